"""Forgetting quality of the NeurIPS 2023 unlearning competition, exact and as released.

Per forget example, an attacker sees one confidence and guesses whether it came from an unlearned
model or from an oracle. The best guesser's error rates bound the epsilon of the unlearning. The
released metric searches a grid of thresholds; here every threshold and every interval counts,
which needs only the sorted confidences.
"""

from typing import Literal, NamedTuple

import numpy as np

from jax_unlearn.audit.measures.banks import BankPair
from jax_unlearn.audit.measures.confidence import check_banks
from jax_unlearn.audit.measures.measure import ABOVE, BELOW, NEARER, TELLS, of_banks
from jax_unlearn.core import InputError, check_choice, check_number

DELTA = 1e-5
EPSILON_CAP = 50.0
BUCKET = 0.5
MIN_MODELS = 3
VARIANTS = ("exact", "grid")
ATTACKS = ("threshold", "interval")

# Examples worked on at a time: a block of counts stays in the cache.
_BLOCK = 256


class ForgettingQuality(NamedTuple):
    """Forgetting quality of a bank of unlearned models.

    Attributes:
      score: mean points over the examples that have an epsilon, in [0, 1]; higher is better.
      epsilon: float64 [E] in [0, 50], per example; 0 cannot be told from retraining.
      max_epsilon: from here on an example earns nothing; grows with the number of models, so
        scores compare only at equal numbers.
      n: examples that have an epsilon.
    """

    score: float
    epsilon: np.ndarray
    max_epsilon: float
    n: int


def forgetting_quality(
    unlearned: np.ndarray, oracle: np.ndarray, *, delta: float = DELTA, variant: str = "exact"
) -> ForgettingQuality:
    """Return the forgetting quality F of a bank of unlearned models.

    Every example earns 2^-b points, b = floor(epsilon / 0.5), and nothing from ceil(log(n - 1))
    on; F is their mean. Higher is better. Oracles against oracles do not reach 1, since the largest
    epsilon over many attacks is above 0 by chance: compare with the same between disjoint oracles.
    Needs n unlearned models and n oracles; the competition takes 512 of each. Cost: quadratic in
    models, linear in examples; about 1 s for 512 + 512 models and 5,000 examples.

    Args:
      unlearned: floating [N, E], the logit confidence of each forget example under each unlearned
        model.
      oracle: floating [M, E], the same under each oracle.
      delta: of the (epsilon, delta) guarantee, in [0, 1).
      variant: 'exact' or 'grid', see :func:`forgetting_epsilons`.

    Raises:
      InputError: if the shapes do not fit, a bank holds fewer than 3 models, or an argument is out
        of range.

    References:
      Triantafillou et al., "Are we making progress in unlearning? Findings from the first NeurIPS
      unlearning competition", 2024, arXiv:2406.09073.
    """
    epsilon = forgetting_epsilons(unlearned, oracle, delta=delta, variant=variant)
    models = min(len(unlearned), len(oracle))
    earned = forgetting_points(epsilon, models)
    known = earned[~np.isnan(earned)]
    score = float(known.mean()) if known.size else float("nan")
    return ForgettingQuality(score, epsilon, float(np.ceil(np.log(models - 1))), known.size)


def final_score(
    score: float, retain: float, oracle_retain: float, test: float, oracle_test: float
) -> float:
    """Return F * RA / RA_oracle * TA / TA_oracle, the competition's ranking; higher is better.

    Args:
      score: forgetting quality in [0, 1].
      retain: mean retain accuracy of the unlearned models.
      oracle_retain: mean retain accuracy of the oracles, same units, > 0.
      test: mean test accuracy of the unlearned models.
      oracle_test: mean test accuracy of the oracles, same units, > 0.

    Raises:
      InputError: if an oracle's accuracy is not positive.
    """
    check_number("oracle_retain", oracle_retain, above=0.0)
    check_number("oracle_test", oracle_test, above=0.0)
    return float(score * (retain / oracle_retain) * (test / oracle_test))


def forgetting_points(epsilon: np.ndarray, num_models: int) -> np.ndarray:
    """Return what each example earns, float64 [E]: 1, 1/2, 1/4 ... per half unit of epsilon.

    Args:
      epsilon: floating [E], >= 0; NaN stays NaN.
      num_models: models per bank, >= 3; points end at ceil(log(num_models - 1)).

    Raises:
      InputError: if there are too few models for any bucket.
    """
    check_number("num_models", num_models, low=MIN_MODELS, whole=True)
    epsilon = np.asarray(epsilon, np.float64)
    earned = 0.5 ** np.floor(epsilon / BUCKET)
    return np.where(epsilon >= np.ceil(np.log(num_models - 1)), 0.0, earned)


def forgetting_epsilons(
    unlearned: np.ndarray,
    oracle: np.ndarray,
    *,
    delta: float = DELTA,
    variant: str = "exact",
    attacks: tuple[str, ...] = ATTACKS,
) -> np.ndarray:
    """Return the largest epsilon that an attack on each example proves, float64 [E] in [0, 50].

    eps = max(0, log(1 - delta - FPR) - log FNR, log(1 - delta - FNR) - log FPR), at its largest
    over the attacks. Rates that are both 0 prove infinity; exactly one rate of 0 is taken for a
    lack of samples and the attack discarded; 0 where no attack is left. Attack 'threshold' calls
    confidences >= t the bank with the larger median. Attack 'interval' calls confidences between
    two thresholds the bank with the smaller range; every attack's epsilon depends on its two error
    counts only, so for each number of wrong ones inside it takes the interval that holds most right
    ones. 50 where the smaller range is under 1 % of the larger.

    Args:
      unlearned: floating [N, E].
      oracle: floating [M, E].
      delta: in [0, 1).
      variant: 'exact' takes the supremum over all thresholds and intervals. 'grid' searches the
        thresholds of the released code, 100 per unit, intervals within 2 units of the narrower
        range; never larger than exact, and slow.
      attacks: which of 'threshold' and 'interval' to try.

    Returns:
      The epsilons; NaN where a confidence is NaN or infinite.

    Raises:
      InputError: if the shapes do not fit, a bank holds fewer than 3 models, or an argument is out
        of range.
    """
    unlearned, oracle = check_banks("unlearned", unlearned, "oracle", oracle, at_least=MIN_MODELS)
    if not 0.0 <= delta < 1.0:
        raise InputError(f"delta={delta!r}: expected a number >= 0 and < 1, such as {DELTA:g}")
    check_choice("variant", variant, VARIANTS)
    if not attacks:
        raise InputError(f"attacks={attacks!r}: expected one or more of {', '.join(ATTACKS)}")
    for attack in attacks:
        check_choice("attacks", attack, ATTACKS)
    tests = {
        ("threshold", "exact"): _threshold_exact,
        ("interval", "exact"): _interval_exact,
        ("threshold", "grid"): _threshold_grid,
        ("interval", "grid"): _interval_grid,
    }
    epsilon = np.full(unlearned.shape[1], np.nan)
    known = np.flatnonzero(np.isfinite(unlearned).all(axis=0) & np.isfinite(oracle).all(axis=0))
    for start in range(0, len(known), _BLOCK):
        block = known[start : start + _BLOCK]
        u, o = np.sort(unlearned[:, block], axis=0), np.sort(oracle[:, block], axis=0)
        found = [tests[attack, variant](u, o, delta) for attack in attacks]
        epsilon[block] = np.where(_one_sided(u, o), EPSILON_CAP, np.max(found, axis=0))
    return np.clip(epsilon, 0.0, EPSILON_CAP)


def _one_sided(u: np.ndarray, o: np.ndarray) -> np.ndarray:
    ranges = np.stack([u[-1] - u[0], o[-1] - o[0]])
    return ranges.min(axis=0) < 0.01 * ranges.max(axis=0)


def _epsilon(
    false_positives: np.ndarray,
    false_negatives: np.ndarray,
    negatives: int,
    positives: int,
    delta: float,
) -> np.ndarray:
    """Return each attack's epsilon; 0 for one that is discarded."""
    fpr, fnr = false_positives / negatives, false_negatives / positives
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = np.fmax(
            np.log(1.0 - delta - fpr) - np.log(fnr), np.log(1.0 - delta - fnr) - np.log(fpr)
        )
    none, one = (fpr == 0) & (fnr == 0), (fpr == 0) != (fnr == 0)
    # A bound is NaN where both rates are near 1: such an attack proves nothing.
    return np.where(none, np.inf, np.where(one, 0.0, np.fmax(bounds, 0.0)))


def _columns(values: np.ndarray, at: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
    """Searchsorted column by column: how many of sorted values [N, E] lie below each of at."""
    return np.stack(
        [np.searchsorted(v, a, side) for v, a in zip(values.T, at.T, strict=True)], axis=1
    )


def _oracle_positive(u: np.ndarray, o: np.ndarray) -> np.ndarray:
    # As in the released code, a tie makes the unlearned models the positive ones.
    return np.median(o, axis=0) > np.median(u, axis=0)


def _threshold_exact(u: np.ndarray, o: np.ndarray, delta: float) -> np.ndarray:
    candidates = np.concatenate([u, o])
    below_u, below_o = _columns(u, candidates, "left"), _columns(o, candidates, "left")
    return _threshold(u, o, below_u, below_o, delta)


def _threshold(
    u: np.ndarray, o: np.ndarray, below_u: np.ndarray, below_o: np.ndarray, delta: float
) -> np.ndarray:
    n, m = len(u), len(o)
    unlearned_positive = _epsilon(m - below_o, below_u, m, n, delta)
    oracle_positive = _epsilon(n - below_u, below_o, n, m, delta)
    return np.where(_oracle_positive(u, o), oracle_positive, unlearned_positive).max(axis=0)


def _interval_exact(u: np.ndarray, o: np.ndarray, delta: float) -> np.ndarray:
    epsilon = np.empty(u.shape[1])
    swap = _oracle_inside(u, o)
    for chosen, inside, outside in ((~swap, u, o), (swap, o, u)):
        if chosen.any():
            epsilon[chosen] = _best_interval(inside[:, chosen], outside[:, chosen], delta)
    return epsilon


def _oracle_inside(u: np.ndarray, o: np.ndarray) -> np.ndarray:
    wide_u, wide_o = u[-1] - u[0], o[-1] - o[0]
    # As in the released code, a tie puts the bank with the smaller median inside.
    return np.where(wide_u == wide_o, ~_oracle_positive(u, o), wide_o < wide_u)


def _best_interval(positive: np.ndarray, negative: np.ndarray, delta: float) -> np.ndarray:
    n, m = len(positive), len(negative)
    low, high = positive[:1], positive[-1:]
    edge = np.full_like(low, np.inf)
    left_of, right_of = np.concatenate([-edge, negative[:-1]]), np.concatenate([negative[1:], edge])
    # An interval that holds negatives i..j reaches from just right of i - 1 to just left of j + 1.
    up_to_left = _columns(positive, left_of, "right")
    below_right = _columns(positive, right_of, "left")
    # Tied negatives come all or none.
    starts, ends = left_of < negative, negative < right_of

    # A false negative is needed, or the attack is discarded: the interval must leave out the lowest
    # positive or the highest, and either is enough.
    most = np.full((m, positive.shape[1]), -1, np.int32)
    ties_low, below_high = _columns(positive, low, "right"), _columns(positive, high, "left")
    for first, last, can_start, can_end in (
        (np.maximum(up_to_left, ties_low), below_right, starts & (negative > low), ends),
        (up_to_left, np.minimum(below_right, below_high), starts, ends & (negative < high)),
    ):
        first = np.where(can_start, first, n + 1).astype(np.int32)
        last = np.where(can_end, last, -1).astype(np.int32)
        for k in range(m):
            held = (last[k:] - first[: m - k]).max(axis=0)
            np.maximum(most[k], held, out=most[k])

    held = np.arange(1, m + 1)[:, None]
    found = np.where(most >= 0, _epsilon(held, n - most, m, n, delta), 0.0).max(axis=0)
    clean = _columns(negative, low, "left") == _columns(negative, high, "right")
    return np.where(clean[0], np.inf, found)


def _threshold_grid(u: np.ndarray, o: np.ndarray, delta: float) -> np.ndarray:
    found = []
    for a, b in zip(u.T, o.T, strict=True):
        low, high = min(a[0], b[0]), max(a[-1], b[-1])
        at = np.linspace(low, high, int(np.ceil(100.0 * (high - low))))
        # A range below one step of the grid has no threshold.
        below_a, below_b = np.searchsorted(a, at), np.searchsorted(b, at)
        columns = (a[:, None], b[:, None], below_a[:, None], below_b[:, None])
        found.append(_threshold(*columns, delta)[0] if at.size else 0.0)
    return np.array(found)


def _interval_grid(u: np.ndarray, o: np.ndarray, delta: float) -> np.ndarray:
    found = []
    reach = 2.0
    for a, b, swap in zip(u.T, o.T, _oracle_inside(u, o), strict=True):
        positive, negative = (b, a) if swap else (a, b)
        width = positive[-1] - positive[0]
        first, last = positive[0] + width - reach, positive[-1] + reach
        right = np.linspace(first, last, int(np.ceil(100.0 * (last - first))))[:, None]
        left = np.linspace(right - width - reach, right - width + reach, 400, axis=1)[..., 0]
        inside = [_between(v, left, right) for v in (positive, negative)]
        n, m = len(positive), len(negative)
        found.append(_epsilon(inside[1], n - inside[0], m, n, delta).max())
    return np.array(found)


def _between(values: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How many of sorted values [N] lie in each [left, right]; none where left exceeds right."""
    inside = np.searchsorted(values, right, "right") - np.searchsorted(values, left, "left")
    return np.maximum(inside, 0)


_COMPETITION = (
    'Triantafillou et al., "Are we making progress in unlearning? Findings from the first NeurIPS '
    'unlearning competition", 2024, arXiv:2406.09073'
)


def _quality(pair: BankPair) -> ForgettingQuality:
    return forgetting_quality(pair.unlearned.forget, pair.oracle.forget)


def _score(pair: BankPair) -> float:
    return pair.once(_quality).score


def _final(pair: BankPair) -> float:
    unlearned, oracle = pair.unlearned, pair.oracle
    accuracies = (
        np.mean(values)
        for values in (
            unlearned.retain_accuracy,
            oracle.retain_accuracy,
            unlearned.test_accuracy,
            oracle.test_accuracy,
        )
    )
    return final_score(pair.once(_quality).score, *accuracies)


def _epsilon_median(pair: BankPair) -> float:
    return float(np.nanmedian(pair.once(_quality).epsilon))


FORGETTING_QUALITY = of_banks(
    "forgetting_quality",
    "Forgetting quality",
    "",
    _score,
    does="points for a small epsilon, mean over forget images; below 1 between oracles too",
    source=_COMPETITION,
    formula=forgetting_quality,
    higher=NEARER,
    outside=BELOW,
    high=1.0,
    good="good is as high as between two sets of retrained models",
    place=170,
)
FINAL_SCORE = of_banks(
    "final_score",
    "Competition score",
    "",
    _final,
    does="forgetting quality times the shares of the oracles' retain and test accuracy",
    source=_COMPETITION,
    formula=final_score,
    higher=NEARER,
    outside=BELOW,
    good="good is as high as between two sets of retrained models",
    place=180,
)
MEDIAN_EPSILON = of_banks(
    "epsilon_median",
    "Epsilon of the median forget image",
    "nats",
    _epsilon_median,
    does="largest epsilon that an attack on an image proves, median over forget images",
    source=_COMPETITION,
    formula=forgetting_epsilons,
    higher=TELLS,
    outside=ABOVE,
    high=EPSILON_CAP,
    good="good is as small as between two sets of retrained models",
    place=190,
)
