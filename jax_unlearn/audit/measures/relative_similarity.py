"""The relative three-sample test: do a model's outputs resemble oracles or originals?"""

import math
from typing import NamedTuple

import numpy as np

from jax_unlearn.audit.measures.measure import ABOVE, Evidence, distance
from jax_unlearn.audit.measures.probabilities import softmax
from jax_unlearn.core import InputError, check_number

EXAMPLES, ORIGINALS = 200, 2
"""Forget examples, evenly spaced, and originals that the audit takes at most: the kernel matrices
grow with the square of either, and the test is made for every pair of a model and an oracle."""


class RelativeSimilarity(NamedTuple):
    """What the relative three-sample test finds.

    Attributes:
      statistic: difference of the two discrepancies over its standard error; standard normal where
        the model is as near to one as to the other. NaN where outputs do not vary.
      p_value: probability of a larger statistic there; below 0.05 the model is nearer to the
        originals, near 1 it is nearer to the oracles.
      to_oracle: squared maximum mean discrepancy to the oracles, unbiased, may be below 0.
      to_original: the same to the originals.
      bandwidth: of the kernel.
    """

    statistic: float
    p_value: float
    to_oracle: float
    to_original: float
    bandwidth: float


def relative_similarity(
    model: np.ndarray,
    oracle: np.ndarray,
    original: np.ndarray,
    *,
    label: np.ndarray | None = None,
    bandwidth: float | None = None,
) -> RelativeSimilarity:
    """Return whether outputs are nearer to the oracles' or the originals'; below 0 is good.

    A statistic far below 0 is good: nearer to the oracles; above 0 is bad: nearer to the originals,
    significantly so where the p-value is small. A two-sample test of model against oracle rejects
    honest retraining too, once examples are many enough; this one asks which of two it resembles.

    The statistic compares MMD^2(model, oracles) with MMD^2(model, originals) under one Gaussian
    kernel. The three samples are outputs on the same examples, so they are paired, and not
    independent as in the source: the difference is a U-statistic of the triples, and its standard
    error that of one, which holds for either. Several oracles or originals stand for their mixture.
    Cost: quadratic in examples and in models of a kind.

    Args:
      model: floating [N, D], its outputs on N >= 4 examples, such as probabilities.
      oracle: floating [N, D] or [models, N, D], on the same examples.
      original: floating [N, D] or [models, N, D], likewise.
      label: integer [N]; outputs are then compared among examples of one label only, so that what
        differs between classes does not hide what differs between models. None compares all.
      bandwidth: of the kernel exp(-|a - b|^2 / (2 bandwidth^2)), > 0; None takes the median
        distance between outputs of oracles and originals on different examples (of one label): the
        same for every model that is compared with them.

    Raises:
      InputError: if the shapes do not fit, examples are too few, or the bandwidth is not positive.

    References:
      Bounliphone et al., "A Test of Relative Similarity For Model Selection in Generative Models",
      2016, arXiv:1511.04581. For unlearning, with other divergences: Ribero, Schrab and Gretton,
      "Regularized f-Divergence Kernel Tests", AISTATS 2026, arXiv:2601.19755.
    """
    x, y, z = _samples(model, oracle, original)
    n = x.shape[1]
    label = np.zeros(n, int) if label is None else np.asarray(label)
    if label.shape != (n,):
        raise InputError(f"label={list(label.shape)}: expected [{n}], one of each example")
    # Pairs of examples that are compared: another one, of the same label.
    pairs = (label[:, None] == label[None]) & ~np.eye(n, dtype=bool)
    if bandwidth is None:
        bandwidth = _median_distance(y, z, pairs)
    else:
        check_number("bandwidth", bandwidth, above=0.0)
    if not math.isfinite(bandwidth) or not bandwidth or not np.isfinite(x).all():
        return RelativeSimilarity(*[math.nan] * 5)
    xx, yy, zz, xy, xz = (
        _kernel(a, b, bandwidth) * pairs for a, b in ((x, x), (y, y), (z, z), (x, y), (x, z))
    )
    towards_y, towards_z = yy - xy - xy.T, zz - xz - xz.T
    h = towards_y - towards_z
    mean, error = _u_statistic(h)
    of_all = 1.0 / (n * (n - 1))
    statistic = mean / error if error > 0.0 else math.nan
    p_value = 0.5 * math.erfc(statistic / math.sqrt(2.0))
    to_oracle, to_original = (float((xx + t).sum() * of_all) for t in (towards_y, towards_z))
    return RelativeSimilarity(statistic, p_value, to_oracle, to_original, bandwidth)


def _samples(*outputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """Outputs as float64 [models, N, D] of one N and D."""
    found = tuple(np.asarray(sample, np.float64) for sample in outputs)
    shapes = [sample.shape for sample in found]
    tails = {shape[-2:] for shape in shapes}
    fits = len(shapes[0]) == 2 and all(len(s) in (2, 3) and all(s) for s in shapes)
    if not fits or len(tails) > 1 or shapes[0][0] < 4:
        raise InputError(
            f"model={list(shapes[0])}, oracle={list(shapes[1])} and original={list(shapes[2])}: "
            "expected [N, D] of the model and [N, D] or [models, N, D] of the others, N >= 4; "
            "predict the same examples with all"
        )
    return tuple(sample.reshape(-1, *sample.shape[-2:]) for sample in found)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between all outputs of two samples, float64 [models * N, models * N]."""
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None]
    return np.maximum(squares - 2.0 * (a @ b.T), 0.0)


def _median_distance(y: np.ndarray, z: np.ndarray, pairs: np.ndarray) -> float:
    distances = _squared_distances(y, z).reshape(len(y), len(pairs), len(z), len(pairs))
    chosen = distances.transpose(0, 2, 1, 3)[:, :, pairs]
    positive = chosen[chosen > 0.0]
    return float(np.sqrt(np.median(positive))) if positive.size else math.nan


def _kernel(a: np.ndarray, b: np.ndarray, bandwidth: float) -> np.ndarray:
    """Gaussian kernel between examples, means over the models of either sample, [N, N]."""
    n = a.shape[1]
    values = np.exp(_squared_distances(a, b) / (-2.0 * bandwidth**2))
    return values.reshape(len(a), n, len(b), n).mean(axis=(0, 2))


def _u_statistic(h: np.ndarray) -> tuple[float, float]:
    """Mean over pairs of a symmetric h [N, N], zero on its diagonal, and its standard error."""
    n = len(h)
    of_each = h.sum(axis=1) / (n - 1)
    mean = float(of_each.mean())
    first = np.var(of_each, ddof=1)
    second = float((h**2).sum() / (n * (n - 1)) - mean**2)
    # The means of each vary by their own estimation, too, which is the second order's share.
    first = max(first - second / (n - 1), 0.0)
    variance = 4.0 * (n - 2) / (n * (n - 1)) * first + 2.0 / (n * (n - 1)) * max(second, 0.0)
    return mean, math.sqrt(variance)


def _test(model: Evidence, oracle: Evidence) -> RelativeSimilarity:
    forget = model.predictions.forget
    rows = np.arange(len(forget.label))
    if len(rows) > EXAMPLES:
        rows = np.linspace(0, len(rows) - 1, EXAMPLES).astype(int)
    if len(rows) < 4 or not model.originals:
        return RelativeSimilarity(*[math.nan] * 5)

    def outputs(evidence: Evidence) -> np.ndarray:
        return softmax(evidence.predictions.forget.logits[rows])

    originals = [softmax(one.forget.logits[rows]) for one in model.originals[:ORIGINALS]]
    return relative_similarity(
        outputs(model), outputs(oracle), np.stack(originals), label=forget.label[rows]
    )


def _statistic(model: Evidence, oracle: Evidence) -> float:
    return _test(model, oracle).statistic


RELATIVE_SIMILARITY = distance(
    "relative_similarity",
    "Relative similarity to original and oracle",
    "",
    _statistic,
    does="relative three-sample test on the forget set: standard errors by which the model's "
    "outputs are farther from an oracle's than from the originals'; below 0 is good, above 1.64 "
    "the model is nearer to the originals (p < 0.05)",
    source='Bounliphone et al., "A Test of Relative Similarity", 2016, arXiv:1511.04581; for '
    'unlearning Ribero et al., "Regularized f-Divergence Kernel Tests", 2026, arXiv:2601.19755',
    formula=relative_similarity,
    higher="nearer to the originals, farther from the oracles",
    outside=ABOVE,
    low=float("-inf"),
    needs_originals=True,
    good="good is below 0, nearer to retraining than to the original",
    place=164,
)
