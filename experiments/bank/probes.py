"""The probes of a bank's models: taken once, so that the audit needs no weights or images.

Every model of a request is compared with the same untrained network and relearns the forget set by
the same recipe, in the same order: `UPDATES` updates with the optimizer, momentum and batch size of
training, at a tenth of its peak rate, without decay or augmentation.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jax_unlearn import data
from jax_unlearn.audit.probes.relearn import Relearn
from jax_unlearn.audit.probes.take import probe_rows, take_probe
from jax_unlearn.audit.stored_probe import Probe
from jax_unlearn.bank import Bank, Record, ids_digest
from jax_unlearn.bank.filling import POLL, describe_method
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import make_key
from jax_unlearn.bank.probes import has_probe, store_probe
from jax_unlearn.core import Model
from jax_unlearn.engine.signals import Interrupted
from jax_unlearn.warn import warnings_about

from ..shared.config import Training

UPDATES = 100
SLOWER = 10.0
PROBE_VERSION = 1
"""Part of what probes are made of: to be raised when the code begins to compute others."""


def relearning(training: Training, forget: int) -> Relearn:
    """Return the recipe by which models relearn a forget set.

    Args:
      training: the recipe of the original.
      forget: size of the forget set.
    """
    return Relearn(
        epochs=UPDATES,
        batch_size=min(training.batch_size, forget),
        learning_rate=training.learning_rate / SLOWER,
        momentum=training.momentum,
        optimizer=training.optimizer,
    )


def take_probes(
    bank: Bank,
    model: Model,
    training: Training,
    forgetting: Forgetting,
    records: Sequence[Record],
    *,
    num_classes: int,
    on_done: Callable[[int, int], None],
    interrupted: Callable[[], int | None],
) -> int:
    """Store the probe of those models of a request that the bank lacks it of.

    Models that collapsed have none. Several processes may do so at once: each model is probed
    by one of them, and all wait until all are done.

    Args:
      bank: the bank.
      model: the network.
      training: the recipe of the original.
      forgetting: the request.
      records: the models.
      num_classes: number of outputs K.
      on_done: called with the number of models done and asked for.
      interrupted: asked after every model for a signal to end at.

    Returns:
      How many this process probed.

    Raises:
      InputError: if a model is damaged, or the bank cannot be written to.
      Interrupted: after a signal; what was done is stored.
    """
    request = forgetting.request.hash
    retained = data.take(forgetting.retain, probe_rows(len(forgetting.retain.id)))
    recipe = relearning(training, len(forgetting.forget.id))
    described = describe_method(recipe)
    # Never reached; JSON has no infinity.
    del described["arguments"]["target"]
    made_of: dict[str, Any] = {
        "relearn": described,
        "probe": ids_digest(retained.id),
        "version": PROBE_VERSION,
    }
    like = model.init(make_key(0, "initial"))
    # The purpose is part of the randomness: another word would make other probes.
    untrained = model.init(make_key(0, "inside", "untrained"))
    key = make_key(0, "inside", "relearn")

    def done(record: Record) -> bool:
        return has_probe(bank, request, record.address, Probe._fields, made_of)

    asked = [record for record in records if record.outcome.get("status") != "collapsed"]
    missing, probed = [record for record in asked if not done(record)], 0
    there = len(asked) - len(missing)
    on_done(there, len(asked))
    while missing:
        left = []
        for record in missing:
            signum = interrupted()
            if signum is not None:
                raise Interrupted(signum)
            with bank.claim(record.address) as mine:
                if not mine:
                    left.append(record)
                    continue
                # Another process may have stored it since.
                if not done(record):
                    weights = jax.device_put(bank.weights(record, like))
                    sets = (forgetting.forget, retained)
                    with warnings_about(_name(record)):
                        probe = take_probe(
                            *(model, weights, *sets, untrained, recipe, key),
                            num_classes=num_classes,
                        )
                    store_probe(bank, request, record.address, probe._asdict(), made_of)
                    probed += 1
            there += 1
            on_done(there, len(asked))
        if len(left) == len(missing):
            time.sleep(POLL)
        missing = left
    return probed


def _name(record: Record) -> str:
    """What a reader knows a model by, such as ``natmu of seed 0``."""
    ingredients = record.ingredients
    called = (ingredients["method"] or {}).get("name", ingredients["kind"])
    return f"{called} of seed {ingredients['seed']}"
