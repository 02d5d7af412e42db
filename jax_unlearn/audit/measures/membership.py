"""Membership inference on the forget set, by attacks that are trained on one model's outputs.

The two attacks of the field report opposite things, so every name here says which: the entropy
attack counts forget examples called MEMBER, the SVC attack those called NON-MEMBER. Neither has
an ideal value of its own; the aim is the oracle's. An attack whose feature says nothing about
membership warns and gives NaN, since whatever it answered would be a guess.
"""

import warnings
from collections.abc import Callable

import numpy as np

from jax_unlearn.audit.measures import probabilities
from jax_unlearn.audit.measures.accuracy import select
from jax_unlearn.audit.measures.measure import Evidence, forget_step, percent
from jax_unlearn.audit.measures.svc import fit_svc
from jax_unlearn.core import InputError, Outputs, Predictions, check_choice, check_number

FEATURES = ("confidence", "correctness", "entropy", "modified_entropy")
NONMEMBERS = ("test", "remaining", "forgotten")
CONSTANT_DECISION = 1e-9

ROUNDED_DECISION = 1e-12
"""Spread of a logistic regression's decisions below which rounding decides."""


def entropy_attack_member_percent(predictions: Predictions, *, nonmembers: str = "test") -> float:
    """Return the percentage of forget examples that an attack on entropy calls members.

    In [0, 100]; higher means that more of the forget set still looks trained on. Members are all
    retain training examples, non-members the test set; the attack is class-balanced logistic
    regression on the entropy of the softmax. Needs one model; costs well under a second.

    Args:
      predictions: one model's outputs; NaN or infinite logits give NaN.
      nonmembers: 'test' takes the whole test set, also in class-wise requests, as published.
        'remaining' leaves out test images of forgotten classes, which the attack otherwise meets
        as non-members of just the kind it is then asked about; 'forgotten' takes only those.

    Raises:
      InputError: for an unknown choice, or one that leaves no test examples.

    References:
      Chundawat et al., "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an
      Incompetent Teacher", 2023, arXiv:2205.08096.
    """
    sets = attack_sets(predictions, nonmembers)
    if sets is None:
        return float("nan")
    return percent_called_member(
        *(probabilities.entropy(probabilities.softmax(o.logits)) for o in sets)
    )


def percent_called_member(
    members: np.ndarray, nonmembers: np.ndarray, targets: np.ndarray
) -> float:
    """Return the percentage of targets that balanced logistic regression calls members.

    Args:
      members: floating [M], a feature of known members.
      nonmembers: floating [N], the same of known non-members.
      targets: floating [F], the same of the examples in question.

    Returns:
      A percentage in [0, 100]; NaN where a feature is not finite, and with a warning where it is
      the same for all members and non-members, up to rounding.

    Raises:
      InputError: if one of the three is empty.
    """
    if not _attackable(members, nonmembers, targets):
        return float("nan")
    decision = logistic_decision(members, nonmembers)
    if decision is None:
        return undecided("entropy attack")
    return 100.0 * float(np.mean(decision(targets) > 0.0))


def logistic_decision(
    positive: np.ndarray, negative: np.ndarray
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return the decision of class-balanced logistic regression on one feature, > 0 for positive.

    Args:
      positive: floating [M], finite values, at least one.
      negative: floating [N], likewise.

    Returns:
      A function of values floating [F]; None where the values are so much alike that rounding
      would decide.
    """
    from sklearn.linear_model import LogisticRegression

    feature = np.concatenate([positive, negative]).astype(np.float64)[:, None]
    if np.ptp(feature) == 0.0:
        return None
    # Same optimum as the usual L-BFGS, whose BLAS threads stall on a busy machine and which stops
    # before its first step where values differ by less than its tolerance.
    attack = LogisticRegression(class_weight="balanced", solver="newton-cholesky")
    attack.fit(feature, np.repeat([1, 0], [len(positive), len(negative)]))
    if np.ptp(attack.decision_function(feature)) <= ROUNDED_DECISION:
        return None
    return lambda values: attack.decision_function(np.reshape(values, (-1, 1)))


def svc_attack_nonmember_share(
    predictions: Predictions,
    feature: str = "confidence",
    *,
    variant: str = "definition",
    nonmembers: str = "test",
    max_examples: int | None = None,
    seed: int = 0,
) -> float:
    """Return the share of forget examples, in [0, 1], that an SVC calls non-members.

    Higher means that less of the forget set still looks trained on: the other way round from
    :func:`entropy_attack_member_percent`. The SVC is trained on as many retain training examples
    as test examples. Needs one model; costs about half a second for 10,000 of each.

    Args:
      predictions: one model's outputs; NaN or infinite logits give NaN.
      feature: 'confidence' (probability of the true class), 'correctness', 'entropy' or
        'modified_entropy'. Published tables mean 'confidence'.
      variant: of 'modified_entropy', see
        :func:`~jax_unlearn.audit.measures.probabilities.modified_entropy`.
      nonmembers: 'test' takes the whole test set, 'remaining' leaves out test images of forgotten
        classes, 'forgotten' takes only those; see :func:`entropy_attack_member_percent`.
      max_examples: at most this many of each side train the SVC, drawn at random. None is the
        published protocol, which takes the whole test set.
      seed: of the draws, whole number; the same rows are drawn for models whose sets agree. The
        released code takes the first retain examples instead.

    Raises:
      InputError: for an unknown choice or a number out of range.

    References:
      Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency", 2024,
      arXiv:2310.12508. Song and Mittal, "Systematic Evaluation of Privacy Risks of Machine
      Learning Models", 2021, arXiv:2003.10595.
    """
    check_choice("feature", feature, FEATURES)
    check_choice("variant", variant, probabilities.MODIFIED_ENTROPY_VARIANTS)
    if variant != "definition" and feature != "modified_entropy":
        raise InputError(
            f"variant={variant!r}: expected 'definition' for feature={feature!r}; variants exist "
            "of 'modified_entropy' only"
        )
    check_number("seed", seed, low=0, whole=True)
    if max_examples is not None:
        check_number("max_examples", max_examples, low=1, whole=True)
    sets = attack_sets(predictions, nonmembers)
    if sets is None:
        return float("nan")
    members, outsiders, targets = sets
    n = min(len(members.label), len(outsiders.label), max_examples or len(outsiders.label))
    rng = np.random.default_rng(seed)
    members, outsiders = (draw(rng, o, n) for o in (members, outsiders))
    return share_called_nonmember(
        *(
            membership_feature(probabilities.softmax(o.logits), o.label, feature, variant=variant)
            for o in (members, outsiders, targets)
        )
    )


def share_called_nonmember(
    members: np.ndarray, nonmembers: np.ndarray, targets: np.ndarray
) -> float:
    """Return the share of targets, in [0, 1], that an SVC (C = 3, RBF, gamma = 1) rejects.

    Args:
      members: floating [M], a feature of known members.
      nonmembers: floating [N], the same of known non-members.
      targets: floating [F], the same of the examples in question.

    Returns:
      A share in [0, 1]; NaN where a feature is not finite, and with a warning where it tells no
      member from a non-member, so that the SVC's decision is a constant.

    Raises:
      InputError: if one of the three is empty.
    """
    if not _attackable(members, nonmembers, targets):
        return float("nan")
    attack = fit_svc(members, nonmembers, cost=3.0)
    if np.ptp(attack.decision(np.concatenate([members, nonmembers]))) <= CONSTANT_DECISION:
        return undecided("SVC attack")
    return 1.0 - float(np.mean(attack.decision(targets) > 0.0))


def membership_feature(
    probs: np.ndarray, label: np.ndarray, feature: str, *, variant: str = "definition"
) -> np.ndarray:
    """Return one number per example, float64 [N], that tells members from non-members.

    Members tend to higher 'confidence' and 'correctness', and to lower 'entropy' and
    'modified_entropy'.

    Args:
      probs: floating [N, K], rows sum to 1.
      label: integer [N].
      feature: one of ``FEATURES``.
      variant: of 'modified_entropy'; the other features have none.

    Raises:
      InputError: for an unknown feature or variant.
    """
    check_choice("feature", feature, FEATURES)
    if feature == "modified_entropy":
        return probabilities.modified_entropy(probs, label, variant=variant)
    if feature == "entropy":
        return probabilities.entropy(probs)
    return getattr(probabilities, feature)(probs, label)


def attack_sets(
    predictions: Predictions, nonmembers: str
) -> tuple[Outputs, Outputs, Outputs] | None:
    """Return members, non-members and targets of an attack; None where a logit is not finite.

    Args:
      predictions: one model's outputs.
      nonmembers: one of ``NONMEMBERS``.

    Raises:
      InputError: for an unknown choice, one that leaves no test examples, or a label that is no
        class.
    """
    check_choice("nonmembers", nonmembers, NONMEMBERS)
    test, forgotten = predictions.test, np.asarray(predictions.test_forgotten)
    if nonmembers != "test":
        test = select(test, forgotten if nonmembers == "forgotten" else ~forgotten)
        if not len(test.label):
            which = "every" if nonmembers == "remaining" else "no"
            raise InputError(
                f"nonmembers={nonmembers!r}: {which} test example belongs to a forgotten class; "
                "use nonmembers='test'"
            )
    sets = predictions.retain, test, predictions.forget
    for outputs in sets:
        label, classes = np.asarray(outputs.label), outputs.logits.shape[-1]
        if label.size and not (label.min() >= 0 and label.max() < classes):
            raise InputError(
                f"label={label.min()}..{label.max()}: expected classes in [0, {classes}), the "
                "columns of logits"
            )
    return sets if all(np.isfinite(o.logits).all() for o in sets) else None


def draw(rng: np.random.Generator, outputs: Outputs, n: int) -> Outputs:
    """Return ``n`` rows at random in their order; all of them change nothing, not even rounding."""
    return select(outputs, np.sort(rng.choice(len(outputs.label), n, replace=False)))


def undecided(attack: str) -> float:
    """Warn that an attack has nothing to go by, and return NaN."""
    warnings.warn(
        f"{attack}: its feature does not tell members from non-members, so any answer would be a "
        "guess; NaN is reported",
        stacklevel=3,
    )
    return float("nan")


def _attackable(members: np.ndarray, nonmembers: np.ndarray, targets: np.ndarray) -> bool:
    sides = {"members": members, "nonmembers": nonmembers, "targets": targets}
    for name, side in sides.items():
        if not np.size(side):
            raise InputError(f"{name}=[]: expected at least one; check how they were chosen")
    return all(np.isfinite(side).all() for side in sides.values())


def _entropy(evidence: Evidence) -> float:
    return entropy_attack_member_percent(
        evidence.predictions, nonmembers=evidence.protocol.nonmembers
    )


def _svc(evidence: Evidence) -> float:
    protocol = evidence.protocol
    return 100.0 * svc_attack_nonmember_share(
        evidence.predictions,
        nonmembers=protocol.nonmembers,
        max_examples=protocol.svc_max_examples,
    )


ENTROPY_ATTACK = percent(
    "MIA_entropy_member",
    "Entropy attack: called members",
    _entropy,
    does="forget images that logistic regression on entropy calls members",
    higher="more of the forget set looks trained on",
    source='Chundawat et al., "Can Bad Teaching Induce Forgetting?", 2023, arXiv:2205.08096',
    formula=entropy_attack_member_percent,
    resolution=forget_step,
    good="good is as few as retrained models show; more is still known",
    place=50,
)
SVC_ATTACK = percent(
    "MIA_svc_nonmember",
    "SVC attack: called non-members",
    _svc,
    does="forget images that a support vector classifier on confidence calls non-members",
    higher="less of the forget set looks trained on; the opposite of the entropy attack",
    source='Fan et al., "SalUn", 2024, arXiv:2310.12508',
    formula=svc_attack_nonmember_share,
    resolution=forget_step,
    good="good is as many as retrained models show; fewer is still known",
    place=60,
)
