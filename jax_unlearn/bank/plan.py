"""What a bank is to hold of an experiment: its models, how each is made, and under which key."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import numpy as np

from jax_unlearn import data
from jax_unlearn.bank.filling import RECIPE_VERSION, Member, describe_method
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.record import Record, ids_digest
from jax_unlearn.bank.store import Bank
from jax_unlearn.bank.subset_models import subset_rows
from jax_unlearn.bank.together import weights_of
from jax_unlearn.core import Examples, Model, Problem, Unlearner
from jax_unlearn.data.augment import crop_and_flip
from jax_unlearn.display import display_name, method_of
from jax_unlearn.engine.run_spec import RunSpec

OnStep = Callable[[int, int], None]


def silent(title: str) -> AbstractContextManager[OnStep]:
    """Open no progress bar."""
    del title
    return nullcontext(lambda done, planned: None)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all models of an experiment share.

    Attributes:
      bank: where they go.
      dataset: the data.
      model: the network.
      network: what determines the network, as JSON values.
      recipe: trains originals and oracles.
      padding: see :func:`jax_unlearn.crop_and_flip`.
      flip: see :func:`jax_unlearn.crop_and_flip`.
      mesh: the devices, see :func:`jax_unlearn.bank.fill`.
      loop: see :func:`jax_unlearn.engine.run`.
      placement: see :func:`jax_unlearn.engine.run`.
      checkpoint_seconds: time between two checkpoints of a model under way.
      watch: whether accuracies of unlearned models are recorded after every epoch.
      keep_weights: whether weights of oracles and unlearned models are kept; originals' always are.
      phase: opens a progress bar of a title, which is called with steps done and planned.
      tell: says one line about a model that is finished, or taken up again.
      on_entry: called after every epoch of a model under way, with the group that it belongs to,
        such as ``class-3/natmu``, what determines it, and number and content of the new entry of
        its history; None for nothing.
    """

    bank: Bank
    dataset: data.Dataset
    model: Model
    network: Mapping[str, Any]
    recipe: Unlearner
    padding: int
    flip: bool
    mesh: jax.sharding.Mesh
    loop: str = "auto"
    placement: str = "device"
    checkpoint_seconds: float = 60.0
    watch: bool = False
    keep_weights: bool = True
    phase: Callable[[str], AbstractContextManager[OnStep]] = silent
    tell: Callable[[str], None] = lambda line: None
    on_entry: Callable[[str, Mapping[str, Any], int, Mapping[str, float]], None] | None = None

    def problem(self, **parts: Any) -> Problem:
        """What a run may see: the parts given, and what all runs of the plan share."""
        return Problem(
            model=self.model,
            num_classes=self.dataset.num_classes,
            augment=crop_and_flip(self.padding, self.flip),
            **parts,
        )


@dataclasses.dataclass(frozen=True)
class Named:
    """A method under the name that a user gave it.

    Attributes:
      name: of its row: as given, or with the ending that tells its defaults from settings found.
      unlearner: the method with its hyperparameters.
      source: digest of its source where it is a user's own, else ''.
      failed: why its hyperparameters stand for no setting of the method that works, as a search
        says it ("no setting found that forgets"); '' for nothing. It changes no address: the models
        are the same, their row is no longer taken for the method's.
      seed: of the unlearning run; None takes that of the original.
    """

    name: str
    unlearner: Unlearner
    source: str = ""
    failed: str = ""
    seed: int | None = None

    @property
    def method(self) -> str:
        """Its name as given, part of the model's key and address, whichever row shows it."""
        return method_of(self.name)

    @property
    def title(self) -> str:
        """How a reader knows it: by what its class declares, else by its name."""
        ending = self.name[len(self.method) :]
        return self.declared + ending if self.declared else display_name(self.name)

    @property
    def declared(self) -> str:
        """What its class declares; '' for a name of several methods, one for each step."""
        return "" if "-then-" in self.name else self.unlearner.title

    def describe(self) -> dict[str, Any]:
        """Name, hyperparameters, source and seed as JSON values."""
        own: dict[str, Any] = {"source": self.source} if self.source else {}
        own |= {} if self.seed is None else {"seed": self.seed}
        return {
            "name": self.method,
            "arguments": describe_method(self.unlearner)["arguments"],
        } | own


def make_key(seed: int, *words: str) -> jax.Array:
    """A key for one purpose: the seed's, folded with the words that name it."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32("/".join(words).encode()))


def ingredients(plan: Plan, kind: str, seed: int, removed: np.ndarray | None, **more: Any) -> dict:
    """What determines a model, see :func:`jax_unlearn.bank.record.address_of`."""
    recipe = {**describe_method(plan.recipe), "padding": plan.padding, "flip": plan.flip}
    if plan.placement == "sharded":
        # Each device draws from rows of its own: the batches are others on each number of them.
        recipe["batch_shares"] = plan.mesh.shape["data"]
    return {
        "kind": kind,
        "data": plan.dataset.fingerprint,
        "removed": None if removed is None else ids_digest(removed),
        "request": None,
        "network": dict(plan.network),
        "recipe": recipe,
        "seed": seed,
        "version": RECIPE_VERSION,
        "method": None,
        "original": None,
        **more,
    }


def original_member(plan: Plan, seed: int) -> Member:
    """A model trained on all data."""
    made_of = ingredients(plan, "original", seed, None)
    return Member(made_of, lambda: _trained(plan, seed, "original", plan.dataset.train))


def oracle_member(plan: Plan, forgetting: Forgetting, seed: int) -> Member:
    """A model retrained without the forget set, from the initial weights of the seed's original."""
    request = forgetting.request.hash
    made_of = ingredients(plan, "oracle", seed, forgetting.forget.id, request=request)
    purpose = f"oracle/{forgetting.slug}"
    return Member(made_of, lambda: _trained(plan, seed, purpose, forgetting.retain))


def subset_member(plan: Plan, seed: int) -> Member:
    """A model trained on a random half of the data, for memorization scores."""
    kept = subset_rows(seed, len(plan.dataset.train.label))
    removed = np.delete(plan.dataset.train.id, kept)
    made_of = ingredients(plan, "subset", seed, removed)
    return Member(
        made_of, lambda: _trained(plan, seed, "half", data.take(plan.dataset.train, kept))
    )


def unlearned_member(plan: Plan, forgetting: Forgetting, original: Record, method: Named) -> Member:
    """A model from which a method has removed the forget set.

    It began as the original; in a sequence as the model that the steps before left.
    """
    made_of = ingredients(
        plan,
        "unlearned",
        original.ingredients["seed"],
        forgetting.forget.id,
        request=forgetting.request.hash,
        method=method.describe(),
        original=original.address,
    )
    remarks = {"title": method.declared, "failed": method.failed}
    return Member(
        made_of,
        lambda: unlearning(plan, forgetting, original, method),
        {name: text for name, text in remarks.items() if text},
    )


def unlearning_seed(record: Record) -> int | None:
    """The seed of an unlearned model's own run; None where it is that of the original."""
    return record.ingredients["method"].get("seed")


def unlearning(plan: Plan, forgetting: Forgetting, original: Record, method: Named) -> RunSpec:
    """The run that makes :func:`unlearned_member`; it sees what the method asks for."""
    seed = original.ingredients["seed"]
    initial = plan.model.init(make_key(seed, "initial"))
    problem = plan.problem(
        variables=weights_of(plan.bank, original, initial),
        initial=initial,
        forget=forgetting.step,
        retain=forgetting.retain if method.unlearner.needs_retain else None,
        validation=plan.dataset.validation,
    )
    drawn = seed if method.seed is None else method.seed
    key = make_key(drawn, "unlearn", forgetting.slug, method.method)
    return RunSpec(method.unlearner, problem, key)


def _trained(plan: Plan, seed: int, purpose: str, examples: Examples) -> RunSpec:
    initial = plan.model.init(make_key(seed, "initial"))
    problem = plan.problem(variables=initial, initial=initial, forget=None, retain=examples)
    # The key that `jax_unlearn.train` gives its run, so that this is the model that it trains.
    key = jax.random.split(make_key(seed, purpose))[1]
    return RunSpec(plan.recipe, problem, key)
