"""Membership inference on the forget set, by attacks that are trained on one model's outputs.

The two attacks of the field report opposite things, so every name here says which: the entropy
attack counts forget examples called MEMBER, the SVC attack those called NON-MEMBER. Neither has
an ideal value of its own; the aim is the oracle's.
"""

import numpy as np

from jax_unlearn.audit import probabilities
from jax_unlearn.audit.accuracy import select
from jax_unlearn.core import InputError, Outputs, Predictions, check_choice, check_number

FEATURES = ("confidence", "correctness", "entropy", "modified_entropy")
NONMEMBERS = ("test", "remaining")


def entropy_attack_member_percent(predictions: Predictions, *, nonmembers: str = "test") -> float:
    """Return the percentage of forget examples that an attack on entropy calls members.

    Members are all retain training examples, non-members the test set; the attack is
    class-balanced logistic regression on the entropy of the softmax.

    Args:
      predictions: one model's outputs; NaN or infinite logits give NaN.
      nonmembers: 'test' takes the whole test set, also in class-wise requests, as published.
        'remaining' leaves out test images of forgotten classes, which the attack otherwise meets
        as non-members of just the kind it is then asked about.

    Raises:
      InputError: for an unknown choice.

    References:
      Chundawat et al., "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an
      Incompetent Teacher", 2023, arXiv:2205.08096.
    """
    sets = _attack_sets(predictions, nonmembers)
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
    """
    from sklearn.linear_model import LogisticRegression

    # Same optimum as the usual L-BFGS, whose BLAS threads stall on a busy machine.
    attack = LogisticRegression(class_weight="balanced", solver="newton-cholesky")
    attack.fit(*_training_data(members, nonmembers))
    return 100.0 * float(np.mean(attack.predict(np.reshape(targets, (-1, 1)))))


def svc_attack_nonmember_share(
    predictions: Predictions,
    feature: str = "confidence",
    *,
    nonmembers: str = "test",
    max_examples: int | None = 2000,
    seed: int = 0,
) -> float:
    """Return the share of forget examples, in [0, 1], that an SVC calls non-members.

    Trained on as many retain training examples as test examples.

    Args:
      predictions: one model's outputs; NaN or infinite logits give NaN.
      feature: 'confidence' (probability of the true class), 'correctness', 'entropy' or
        'modified_entropy'.
      nonmembers: 'test' takes the whole test set, 'remaining' leaves out test images of forgotten
        classes; see :func:`entropy_attack_member_percent`.
      max_examples: at most this many of each side train the SVC, drawn at random: fitting grows
        with the square (0.3 s for 2,000 of each, about 8 s for 10,000). None is the published
        protocol, which takes the whole test set.
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
    check_number("seed", seed, low=0, whole=True)
    if max_examples is not None:
        check_number("max_examples", max_examples, low=1, whole=True)
    sets = _attack_sets(predictions, nonmembers)
    if sets is None:
        return float("nan")
    members, outsiders, targets = sets
    n = min(len(members.label), len(outsiders.label), max_examples or len(outsiders.label))
    rng = np.random.default_rng(seed)
    members, outsiders = (_draw(rng, o, n) for o in (members, outsiders))
    return share_called_nonmember(
        *(
            membership_feature(probabilities.softmax(o.logits), o.label, feature)
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
    """
    from sklearn.svm import SVC

    attack = SVC(C=3, kernel="rbf", gamma="auto")
    attack.fit(*_training_data(members, nonmembers))
    return 1.0 - float(np.mean(attack.predict(np.reshape(targets, (-1, 1)))))


def membership_feature(probs: np.ndarray, label: np.ndarray, feature: str) -> np.ndarray:
    """Return one number per example, float64 [N], that tells members from non-members.

    Args:
      probs: floating [N, K], rows sum to 1.
      label: integer [N].
      feature: one of ``FEATURES``.

    Raises:
      InputError: for an unknown feature.
    """
    check_choice("feature", feature, FEATURES)
    if feature == "entropy":
        return probabilities.entropy(probs)
    return getattr(probabilities, feature)(probs, label)


def _attack_sets(
    predictions: Predictions, nonmembers: str
) -> tuple[Outputs, Outputs, Outputs] | None:
    check_choice("nonmembers", nonmembers, NONMEMBERS)
    test = predictions.test
    if nonmembers == "remaining":
        test = select(test, ~np.asarray(predictions.test_forgotten))
        if not len(test.label):
            raise InputError(
                "nonmembers='remaining': every test example belongs to a forgotten class; "
                "use nonmembers='test'"
            )
    sets = predictions.retain, test, predictions.forget
    return sets if all(np.isfinite(o.logits).all() for o in sets) else None


def _draw(rng: np.random.Generator, outputs: Outputs, n: int) -> Outputs:
    # Kept in order, so that drawing all examples changes nothing, not even rounding.
    return select(outputs, np.sort(rng.choice(len(outputs.label), n, replace=False)))


def _training_data(members: np.ndarray, nonmembers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    feature = np.concatenate([members, nonmembers])[:, None]
    return feature, np.repeat([1, 0], [len(members), len(nonmembers)])
