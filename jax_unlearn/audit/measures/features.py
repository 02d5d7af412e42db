"""What is left in a network's features: their likeness to the oracle's, and a linear probe.

Outputs may forget what the layers below still hold. Both measures take penultimate features, the
inputs of the last linear layer, as arrays, which :mod:`~jax_unlearn.audit.probes.penultimate`
computes.
"""

import numpy as np

from jax_unlearn.audit.measures.measure import BELOW, NEARER, PAIR, Evidence, forget_step, of_probes
from jax_unlearn.core import InputError, check_choice, check_number

ESTIMATORS = ("biased", "unbiased")


def linear_cka(features: np.ndarray, other: np.ndarray, *, estimator: str = "biased") -> float:
    """Return the linear centered kernel alignment of two models' features on the same examples.

    HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)). 1 where one is a rotation, reflection, shift or
    isotropic scaling of the other, 0 where no feature of one correlates with one of the other;
    higher is more alike. The value to reach on the forget set is the one between two oracles.
    Needs one model and one oracle; costs O(N D1 D2).

    Args:
      features: floating [N, D1] of the unlearned model.
      other: floating [N, D2] of the oracle.
      estimator: 'biased' is the usual form, |Yc' Xc|_F^2 / (|Xc' Xc|_F |Yc' Yc|_F) with centred
        columns, in [0, 1]: unrelated features come out near D / N, so take N many times D.
        'unbiased' replaces each HSIC by its unbiased estimate: unrelated features give 0 on
        average whatever D and N are, and a value may be slightly negative. Needs N >= 4.

    Returns:
      CKA; NaN where a feature is not finite or all rows of one side are the same.

    Raises:
      InputError: if the examples do not match, are too few, or for an unknown estimator.

    References:
      Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019,
      arXiv:1905.00414. Unbiased HSIC: Song et al., "Feature Selection via Dependence
      Maximization", Journal of Machine Learning Research, 2012; in CKA: Nguyen et al., "Do Wide
      and Deep Networks Learn the Same Things?", 2021, arXiv:2010.15327.
    """
    check_choice("estimator", estimator, ESTIMATORS)
    shapes = np.shape(features), np.shape(other)
    least = 4 if estimator == "unbiased" else 2
    if any(len(shape) != 2 for shape in shapes) or shapes[0][0] != shapes[1][0]:
        raise InputError(
            f"features={list(shapes[0])} and other={list(shapes[1])}: expected [N, D1] and "
            "[N, D2]; take both models' features of the same examples"
        )
    if shapes[0][0] < least:
        raise InputError(
            f"features={list(shapes[0])}: expected N >= {least} examples for "
            f"estimator={estimator!r}; take more"
        )
    x, y = (np.asarray(array, np.float64) for array in (features, other))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    # Also for the unbiased estimate, which a shift does not change: it keeps the digits.
    x, y = x - x.mean(axis=0, keepdims=True), y - y.mean(axis=0, keepdims=True)
    hsic = _unbiased_hsic if estimator == "unbiased" else _biased_hsic
    own = hsic(x, x), hsic(y, y)
    if min(own) <= 0.0:
        return float("nan")
    return float(hsic(x, y) / np.sqrt(own[0] * own[1]))


def linear_probe_accuracy(
    features: np.ndarray,
    label: np.ndarray,
    probed_features: np.ndarray,
    probed_label: np.ndarray,
    *,
    inverse_penalty: float = 1.0,
) -> float:
    """Return the accuracy in percent, [0, 100], of a linear classifier of a network's features.

    Multinomial logistic regression with an L2 penalty is fitted to one part, on features of mean
    0 and variance 1 there, and asked about the other. What the two parts are is the measure:
    fitted to retain and asked about forget examples it is the forget accuracy that a new last
    layer brings back; fitted to one half of the forget set and asked about the other it tells
    whether the features still separate those classes. The value to reach is the oracle's; higher
    means that the features know more. Needs one model; costs seconds for 10,000 examples of 512
    features.

    Args:
      features: floating [N, D] of the examples to fit to.
      label: integer [N].
      probed_features: floating [M, D] of the examples to ask about; must be others.
      probed_label: integer [M]; a label that ``label`` lacks counts as wrong.
      inverse_penalty: C of the logistic regression, > 0; larger fits closer.

    Returns:
      Accuracy in percent; NaN where a feature is not finite.

    Raises:
      InputError: if shapes do not match, a part is empty, or ``label`` holds one class only.

    References:
      Alain and Bengio, "Understanding Intermediate Layers Using Linear Classifier Probes", 2016,
      arXiv:1610.01644.
    """
    from sklearn.linear_model import LogisticRegression

    check_number("inverse_penalty", inverse_penalty, above=0)
    parts = {"features": (features, label), "probed_features": (probed_features, probed_label)}
    for name, (array, labels) in parts.items():
        shape = np.shape(array)
        if len(shape) != 2 or not shape[0] or np.shape(labels) != shape[:1]:
            raise InputError(
                f"{name}={list(shape)} with labels {list(np.shape(labels))}: expected [N, D] and "
                "[N], N >= 1"
            )
    if np.shape(features)[1] != np.shape(probed_features)[1]:
        raise InputError(
            f"probed_features={list(np.shape(probed_features))}: expected "
            f"{np.shape(features)[1]} features per example, as in features; use one layer"
        )
    classes = np.unique(label)
    if len(classes) < 2:
        raise InputError(
            f"label=class {classes[0]} only: expected two classes or more; fit the probe to "
            "retain examples, or to all training examples"
        )
    x, z = (np.asarray(array, np.float64) for array in (features, probed_features))
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        return float("nan")
    mean, deviation = x.mean(axis=0, keepdims=True), x.std(axis=0, keepdims=True)
    # A feature that never varies says nothing; dividing by its deviation would say it loudly.
    scale = np.where(deviation > 1e-12 * np.maximum(1.0, np.abs(mean)), deviation, np.inf)
    probe = LogisticRegression(C=inverse_penalty, max_iter=1000)
    probe.fit((x - mean) / scale, label)
    return 100.0 * float(probe.score((z - mean) / scale, probed_label))


def _biased_hsic(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sum((x.T @ y) ** 2))


def _unbiased_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """Up to a factor that CKA cancels; the N x N kernel matrices never appear."""
    n = len(x)
    norm_x, norm_y = np.sum(x * x, axis=1), np.sum(y * y, axis=1)
    # Row sums of the kernel matrices without their diagonals.
    rows_x, rows_y = x @ x.sum(axis=0) - norm_x, y @ y.sum(axis=0) - norm_y
    trace = np.sum((x.T @ y) ** 2) - norm_x @ norm_y
    both = rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))
    return float(trace + both - 2.0 * (rows_x @ rows_y) / (n - 2))


def _linear_probe(evidence: Evidence) -> float:
    """NaN where the retain examples are of one class only."""
    probe, retain = evidence.given_probe, evidence.predictions.retain
    order = np.argsort(retain.id)
    label = retain.label[order[np.searchsorted(retain.id[order], probe.probe_id)]]
    if len(np.unique(label)) < 2:
        return float("nan")
    return linear_probe_accuracy(
        probe.probe_features, label, probe.forget_features, evidence.predictions.forget.label
    )


def _linear_cka(model: Evidence, oracle: Evidence) -> float:
    """NaN below four forget examples.

    The unbiased estimator: forget sets are often no larger than the number of features, where the
    biased one finds likeness between any two networks.
    """
    mine, theirs = model.given_probe, oracle.given_probe
    if len(mine.forget_id) < 4:
        return float("nan")
    return linear_cka(mine.forget_features, theirs.forget_features, estimator="unbiased")


LINEAR_PROBE = of_probes(
    "linear_probe",
    "Linear probe",
    "%",
    _linear_probe,
    does="forget accuracy of a linear classifier of features, fitted to retain images",
    source='Alain and Bengio, "Understanding Intermediate Layers Using Linear Classifier Probes", '
    "2016, arXiv:1610.01644",
    formula=linear_probe_accuracy,
    higher="the features know more of the forget set",
    high=100.0,
    resolution=forget_step,
    class_wise=False,
    good="good is what retrained models have; higher is still known inside",
    place=310,
)
LINEAR_CKA = of_probes(
    "linear_CKA",
    "Linear CKA",
    "",
    _linear_cka,
    kind=PAIR,
    does="likeness of features on the forget set to an oracle's (unbiased estimator)",
    source='Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019, '
    "arXiv:1905.00414",
    formula=linear_cka,
    higher=NEARER,
    outside=BELOW,
    low=-1.0,
    high=1.0,
    good="good is as high as between two retrained models",
    place=320,
)
