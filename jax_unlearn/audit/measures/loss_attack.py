"""Membership inference by loss: can forget examples be told from test examples at all?"""

import numpy as np

from jax_unlearn.audit.measures.measure import Evidence, forget_step, percent
from jax_unlearn.audit.measures.membership import attack_sets, draw, logistic_decision, undecided
from jax_unlearn.audit.measures.probabilities import cross_entropy
from jax_unlearn.core import InputError, Predictions, check_number

HELD_OUT = 0.1


def loss_attack_accuracy(
    predictions: Predictions, *, nonmembers: str = "test", splits: int = 10, seed: int = 0
) -> float:
    """Return how often logistic regression on the loss tells forget from test examples.

    An accuracy in [0, 1], cross-validated: 0.5 is a coin's, and the ideal where forget and test
    examples come from one distribution; higher means that the forget set still looks trained on
    (or, above the oracle's value, conspicuously forgotten). In a class-wise request even the
    oracle lies above 0.5 against the whole test set, since it knows the other classes: compare
    with the oracle, or take nonmembers='forgotten'. Retain examples play no part. Needs one
    model; costs a tenth of a second.

    Args:
      predictions: one model's outputs; NaN or infinite logits give NaN.
      nonmembers: the test examples to compare with: 'test' all, 'remaining' those of remaining
        classes, 'forgotten' those of forgotten classes. As many of them as of forget examples are
        taken, drawn at random from the larger side.
      splits: number of random stratified splits, each of which holds a tenth out, >= 1.
      seed: of the draws and splits, whole number.

    Returns:
      Mean held-out accuracy; NaN with a warning where all losses are the same, or where a side has
      fewer than two examples.

    Raises:
      InputError: for an unknown choice or a number out of range.

    References:
      Triantafillou et al., "Are We Making Progress in Unlearning? Findings from the First NeurIPS
      Unlearning Competition", 2024, arXiv:2406.09073 (its starting kit); Kurmanji et al.,
      "Towards Unbounded Machine Unlearning", 2023, arXiv:2302.09880 (5 splits).
    """
    check_number("splits", splits, low=1, whole=True)
    check_number("seed", seed, low=0, whole=True)
    sets = attack_sets(predictions, nonmembers)
    if sets is None:
        return float("nan")
    _, test, forget = sets
    n = min(len(forget.label), len(test.label))
    rng = np.random.default_rng(seed)
    losses = (cross_entropy(o.logits, o.label) for o in (draw(rng, o, n) for o in (forget, test)))
    return cross_validated_accuracy(*losses, splits=splits, seed=seed)


def cross_validated_accuracy(
    first: np.ndarray, second: np.ndarray, *, splits: int = 10, seed: int = 0
) -> float:
    """Return the held-out accuracy of logistic regression that tells two samples of one feature.

    Args:
      first: floating [N], a feature of one kind.
      second: floating [N], the same of the other kind; as many, so that guessing gives 0.5.
      splits: number of random stratified splits, each of which holds a tenth out, >= 1.
      seed: of the splits, whole number.

    Returns:
      Mean accuracy in [0, 1]; NaN where a value is not finite, and with a warning where all are
      the same, up to rounding, or a side has fewer than two.

    Raises:
      InputError: if the samples differ in size.
    """
    n = len(first)
    if len(second) != n:
        raise InputError(
            f"second={len(second)} values: expected {n}, as many as in first; draw from the larger"
        )
    first, second = (np.asarray(side, np.float64) for side in (first, second))
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return float("nan")
    if n < 2 or logistic_decision(first, second) is None:
        return undecided("loss attack")
    held_out = max(1, round(HELD_OUT * n))
    rng = np.random.default_rng(seed)
    right: list[float] = []
    for _ in range(splits):
        one, other = first[rng.permutation(n)], second[rng.permutation(n)]
        decision = logistic_decision(one[held_out:], other[held_out:])
        # A split whose training values are all alike can only guess.
        right.append(
            0.5
            if decision is None
            else float(
                np.append(decision(one[:held_out]) > 0.0, decision(other[:held_out]) <= 0.0).mean()
            )
        )
    return float(np.mean(right))


def _loss(evidence: Evidence) -> float:
    found = loss_attack_accuracy(evidence.predictions, nonmembers=evidence.protocol.nonmembers)
    return 100.0 * found


LOSS_ATTACK = percent(
    "MIA_loss",
    "Loss attack: accuracy",
    _loss,
    does="how often logistic regression on the loss tells forget from test images; a coin has 50",
    higher="the forget set stands out more from test images",
    source='Triantafillou et al., "Are we making progress in unlearning? Findings from the first '
    'NeurIPS unlearning competition", 2024, arXiv:2406.09073',
    formula=loss_attack_accuracy,
    resolution=forget_step,
    good="good is what retrained models show; higher is a forget set that stands out",
    place=70,
)
