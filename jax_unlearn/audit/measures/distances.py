"""How far one model's predictions lie from another's, example by example, averaged.

All take logits on the same examples in the same order and compute in float64; NaN logits give
NaN. Divergences are in nats and are means over examples; only the variant 'divided', for tables
made so, divides by the number of classes too. Each is smallest where the model answers as the
oracle does (completeness: largest); two oracles do not agree to the last digit either, so the
value to reach is the one between two oracles.
"""

import numpy as np

from jax_unlearn.audit.measures.measure import BELOW, NEARER, Evidence, distance, forget_step
from jax_unlearn.audit.measures.probabilities import log_softmax, softmax
from jax_unlearn.core import InputError, check_choice

VARIANTS = ("definition", "divided")


def kl_oracle_to_unlearned(
    oracle_logits: np.ndarray, logits: np.ndarray, *, variant: str = "definition"
) -> float:
    """Return the mean over examples of KL(oracle || unlearned), in nats, >= 0; 0 for equal answers.

    Lower is nearer to the oracle. Needs one model and one oracle; costs one pass over the logits.
    Taken on the forget set this is one reading of the KL_avg in He et al., "Towards Natural
    Machine Unlearning", 2024, arXiv:2405.15495; :func:`kl_training_targets` is the other.

    Args:
      oracle_logits: floating [N, K].
      logits: floating [N, K] of the unlearned model.
      variant: 'definition', or 'divided': divided by the number of classes too, as by the default
        reduction of PyTorch's kl_div, which the code of Chundawat et al., "Can Bad Teaching Induce
        Forgetting?", 2023, arXiv:2205.08096, relies on. It falls with K for the same answers.

    Raises:
      InputError: if the shapes differ, or for an unknown variant.
    """
    check_same_shape("oracle_logits", oracle_logits, "logits", logits)
    check_choice("variant", variant, VARIANTS)
    mean = float(np.mean(_kl(log_softmax(oracle_logits), log_softmax(logits))))
    return mean / np.shape(logits)[1] if variant == "divided" else mean


def kl_training_targets(targets: np.ndarray, oracle_logits: np.ndarray) -> float:
    """Return the mean over training instances of KL(target || oracle), in nats, >= 0.

    The second reading of the KL_avg in He et al., 2024, arXiv:2405.15495: how unnatural are the
    things a method teaches? The instances are those the method trains on for the sake of
    forgetting (relabelled forget images, hybrids), the oracle is asked about the same instances.
    For a one-hot target it is the oracle's cross-entropy. Lower is more natural; 0 means that the
    method teaches what the oracle says anyway. Needs a method's training instances and one oracle.

    Args:
      targets: floating [N, K], the probabilities the method is trained towards.
      oracle_logits: floating [N, K], the oracle on the same instances.

    Raises:
      InputError: if the shapes differ, or a row of targets is no distribution.
    """
    check_same_shape("targets", targets, "oracle_logits", oracle_logits)
    targets = np.asarray(targets, np.float64)
    bad = ~(np.all(targets >= 0, axis=1) & (np.abs(targets.sum(axis=1) - 1) < 1e-4))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"targets[{row}]=a row that sums to {targets[row].sum():g}: expected probabilities "
            ">= 0 that sum to 1; pass softmax or one-hot rows"
        )
    with np.errstate(divide="ignore"):
        return float(np.mean(_kl(np.log(targets), log_softmax(oracle_logits))))


def jensen_shannon(
    oracle_logits: np.ndarray, logits: np.ndarray, *, variant: str = "definition"
) -> float:
    """Return the mean Jensen-Shannon divergence, in nats, in [0, log 2]; 0 for equal answers.

    0.5 KL(p || m) + 0.5 KL(q || m) with m = (p + q) / 2; symmetric in its arguments. Lower is
    nearer to the oracle. Needs one model and one oracle; costs one pass over the logits.

    Args:
      oracle_logits: floating [N, K].
      logits: floating [N, K].
      variant: 'definition', or 'divided' for what a widely copied code computes: the directions
        swapped, 0.5 KL(m || p) + 0.5 KL(m || q), and divided by the number of classes. It has no
        upper bound, and for the same answers it falls with K.

    Raises:
      InputError: if the shapes differ, or for an unknown variant.

    References:
      Lin, "Divergence Measures Based on the Shannon Entropy", IEEE Transactions on Information
      Theory, 1991. 'divided': the code of Chundawat et al., "Can Bad Teaching Induce Forgetting?
      Unlearning in Deep Networks Using an Incompetent Teacher", 2023, arXiv:2205.08096.
    """
    check_same_shape("oracle_logits", oracle_logits, "logits", logits)
    check_choice("variant", variant, VARIANTS)
    p, q = log_softmax(oracle_logits), log_softmax(logits)
    with np.errstate(invalid="ignore"):
        m = np.logaddexp(p, q) - np.log(2.0)
    if variant == "divided":
        return float(np.mean(0.5 * _kl(m, p) + 0.5 * _kl(m, q))) / p.shape[1]
    return float(np.mean(0.5 * _kl(p, m) + 0.5 * _kl(q, m)))


def activation_distance(oracle_logits: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean Euclidean distance of the softmax vectors, in [0, sqrt 2]; 0 for equal ones.

    The mean over examples of |softmax_u - softmax_o|_2. Lower is nearer to the oracle. Needs one
    model and one oracle; costs one pass over the logits.

    Args:
      oracle_logits: floating [N, K].
      logits: floating [N, K].

    Raises:
      InputError: if the shapes differ.

    References:
      Golatkar et al., "Mixed-Privacy Forgetting in Deep Networks", 2021, arXiv:2012.13431.
    """
    check_same_shape("oracle_logits", oracle_logits, "logits", logits)
    return float(np.mean(np.linalg.norm(softmax(logits) - softmax(oracle_logits), axis=1)))


def completeness(oracle_logits: np.ndarray, logits: np.ndarray) -> float:
    """Return the share of examples, in [0, 1], on which both models choose one class; 1 if on all.

    Higher is nearer to the oracle. Needs one model and one oracle; costs one pass over the logits.

    Args:
      oracle_logits: floating [N, K].
      logits: floating [N, K].

    Raises:
      InputError: if the shapes differ.

    References:
      Cao and Yang, "Towards Making Systems Forget with Machine Unlearning", IEEE Symposium on
      Security and Privacy, 2015.
    """
    check_same_shape("oracle_logits", oracle_logits, "logits", logits)
    if not (np.isfinite(oracle_logits).all() and np.isfinite(logits).all()):
        return float("nan")
    return float(np.mean(np.argmax(oracle_logits, axis=1) == np.argmax(logits, axis=1)))


def _kl(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    p = np.exp(log_p)
    # A class of probability zero adds nothing, although its logarithm is -inf; NaN stays NaN.
    with np.errstate(invalid="ignore"):
        return np.sum(np.where(p == 0, 0.0, p * (log_p - log_q)), axis=1)


def check_same_shape(name: str, array: np.ndarray, other_name: str, other: np.ndarray) -> None:
    """Raise InputError unless both arrays are [N, K] of one shape, N >= 1."""
    shape, other_shape = np.shape(array), np.shape(other)
    if shape != other_shape or len(shape) != 2 or not shape[0]:
        raise InputError(
            f"{name}={list(shape)} and {other_name}={list(other_shape)}: expected the same shape "
            "[N, K], N >= 1; predict the same examples with both models"
        )


_NATMU = 'He et al., "Towards Natural Machine Unlearning", 2024, arXiv:2405.15495'


def _kl_forget(model: Evidence, oracle: Evidence) -> float:
    return kl_oracle_to_unlearned(oracle.predictions.forget.logits, model.predictions.forget.logits)


def _kl_test(model: Evidence, oracle: Evidence) -> float:
    return kl_oracle_to_unlearned(oracle.predictions.test.logits, model.predictions.test.logits)


def _js(model: Evidence, oracle: Evidence) -> float:
    return jensen_shannon(oracle.predictions.forget.logits, model.predictions.forget.logits)


def _activation(model: Evidence, oracle: Evidence) -> float:
    return activation_distance(oracle.predictions.forget.logits, model.predictions.forget.logits)


def _completeness(model: Evidence, oracle: Evidence) -> float:
    return completeness(oracle.predictions.forget.logits, model.predictions.forget.logits)


KL_FORGET = distance(
    "KL_forget",
    "KL divergence on the forget set",
    "nats",
    _kl_forget,
    does="mean KL(oracle || model) over forget images",
    source=_NATMU,
    formula=kl_oracle_to_unlearned,
    good="good is no larger than between two retrained models",
    place=120,
)
KL_TEST = distance(
    "KL_test",
    "KL divergence on the test set",
    "nats",
    _kl_test,
    does="mean KL(oracle || model) over test images",
    source=_NATMU,
    formula=kl_oracle_to_unlearned,
    good="good is no larger than between two retrained models",
    place=130,
)
JS_FORGET = distance(
    "JS_forget",
    "Jensen-Shannon divergence on the forget set",
    "nats",
    _js,
    does="mean Jensen-Shannon divergence to an oracle over forget images",
    source='Chundawat et al., "Can Bad Teaching Induce Forgetting?", 2023, arXiv:2205.08096',
    formula=jensen_shannon,
    high=0.6931471805599453,
    good="good is no larger than between two retrained models",
    place=140,
)
ACTIVATION_DISTANCE = distance(
    "AD_forget",
    "Activation distance on the forget set",
    "",
    _activation,
    does="mean Euclidean distance of the softmax vectors to an oracle's over forget images",
    source='Golatkar et al., "Mixed-Privacy Forgetting in Deep Networks", 2021, arXiv:2012.13431',
    formula=activation_distance,
    high=1.4142135623730951,
    good="good is no larger than between two retrained models",
    place=150,
)
COMPLETENESS = distance(
    "completeness_forget",
    "Completeness on the forget set",
    "",
    _completeness,
    does="share of forget images on which model and oracle choose one class",
    source='Cao and Yang, "Towards Making Systems Forget with Machine Unlearning", 2015',
    formula=completeness,
    higher=NEARER,
    outside=BELOW,
    high=1.0,
    resolution=lambda evidence, of: forget_step(evidence, of) / 100.0,
    good="good is near 1, no lower than between two retrained models",
    place=160,
)
