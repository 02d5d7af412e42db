"""Taking the probe of a model: its features, and how it relearns the forget set."""

import chex
import jax
import numpy as np

from jax_unlearn.audit.probes.penultimate import penultimate_features
from jax_unlearn.audit.probes.relearn import Relearn, relearn_curve
from jax_unlearn.audit.stored_probe import Probe, check_probe
from jax_unlearn.core import Examples, Model, Variables
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.sharding import make_mesh

PROBE_EXAMPLES = 2000
"""Retain examples, evenly spaced, that a linear probe is fitted to."""


def take_probe(
    model: Model,
    variables: Variables,
    forget: Examples,
    probe: Examples,
    random_variables: Variables,
    recipe: Relearn,
    key: chex.PRNGKey,
    *,
    num_classes: int,
) -> Probe:
    """Compute what the audit needs of a model's weights.

    Costs two forward passes over the forget set and one over ``probe``, and the fine-tuning run
    of ``recipe`` with a pass over the forget set per epoch of it, all on one device.

    Args:
      model: the network.
      variables: its weights.
      forget: the forget set.
      probe: retain examples, see :func:`probe_rows`.
      random_variables: weights of the untrained network; one for all models of a request.
      recipe: of relearning; one for all models of a request, and so is ``key``.
      key: the order of examples in relearning.
      num_classes: number of outputs K.

    Raises:
      InputError: if the network does not end in a linear layer, or ``recipe`` has larger batches
        than the forget set has examples.
    """
    images = np.concatenate((forget.image, probe.image))
    features = penultimate_features(model, variables, images)
    mesh = make_mesh(1, 1, devices=jax.local_devices()[:1])
    curve = relearn_curve(recipe, model, variables, forget, key, num_classes=num_classes, mesh=mesh)
    found = Probe(
        forget.id,
        features[: len(forget.id)],
        probe.id,
        features[len(forget.id) :],
        predict_logits(model, random_variables, forget.image),
        *curve,
    )
    return check_probe(found, "model")


def probe_rows(examples: int) -> np.ndarray:
    """Return the rows int64 [P] of a retain set that a probe is fitted to, evenly spaced.

    Args:
      examples: size of the retain set.
    """
    if examples <= PROBE_EXAMPLES:
        return np.arange(examples)
    return np.linspace(0, examples - 1, PROBE_EXAMPLES).astype(np.int64)
