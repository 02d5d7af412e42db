"""Zero Retrain Forgetting: how much like an untrained network a model answers on the forget set."""

import numpy as np

from jax_unlearn.audit.measures.distances import check_same_shape, jensen_shannon
from jax_unlearn.audit.measures.measure import Evidence, of_probes


def zrf(logits: np.ndarray, random_logits: np.ndarray, *, variant: str = "definition") -> float:
    """Return the ZRF metric: 1 - the mean JS divergence from a random network on the forget set.

    In [1 - log 2, 1] (nats). 1 means answers like those of the random network, which is NOT the
    aim: a retrained model knows the classes and answers forget images with some confidence, so
    compare with the oracle's ZRF against the same random network. Needs one model and one
    untrained network, no oracle; costs one pass over the logits.

    Args:
      logits: floating [N, K], the unlearned model on the forget set.
      random_logits: floating [N, K], a network with random weights on the same examples. Which one
        was drawn matters: use one for all models of a table.
      variant: 'definition', or 'divided' for the released code, whose JS is divided by the number
        of classes with its directions swapped; there all models score near 1. See
        :func:`~jax_unlearn.audit.measures.distances.jensen_shannon`.

    Returns:
      ZRF; NaN where a logit is not finite.

    Raises:
      InputError: if the shapes differ, or for an unknown variant.

    References:
      Chundawat et al., "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an
      Incompetent Teacher", 2023, arXiv:2205.08096.
    """
    check_same_shape("random_logits", random_logits, "logits", logits)
    return 1.0 - jensen_shannon(random_logits, logits, variant=variant)


def _zrf(evidence: Evidence) -> float:
    return zrf(evidence.predictions.forget.logits, evidence.given_probe.random_logits)


ZRF = of_probes(
    "ZRF",
    "Zero Retrain Forgetting",
    "",
    _zrf,
    does="1 - Jensen-Shannon divergence (nats) to an untrained network on the forget set",
    source='Chundawat et al., "Can Bad Teaching Induce Forgetting?", 2023, arXiv:2205.08096',
    formula=zrf,
    higher="forget images are answered more like an untrained network answers",
    low=0.3068528194400547,
    high=1.0,
    good="good is what retrained models have; near 1 is as if never trained at all",
    place=290,
)
