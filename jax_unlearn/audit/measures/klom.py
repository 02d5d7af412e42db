"""KLOM: the divergence between the margins of oracles and of unlearned models, per example."""

from typing import NamedTuple

import numpy as np

from jax_unlearn.audit.measures.banks import BankPair
from jax_unlearn.audit.measures.confidence import check_banks
from jax_unlearn.audit.measures.measure import ABOVE, FARTHER, Measure, of_banks
from jax_unlearn.core import check_choice

BINS = 20
CLIP = 100.0
FLOOR = 1e-5
DIRECTIONS = ("unlearned_to_oracle", "oracle_to_unlearned")
VARIANTS = ("definition", "released")


class KlomPercentiles(NamedTuple):
    """The published summary of a set's KLOM values.

    Attributes:
      median: 50th percentile over examples, in nats.
      p95: 95th percentile.
      p99: 99th percentile.
      n: examples that the percentiles are taken over; those without a value are left out.
    """

    median: float
    p95: float
    p99: float
    n: int


def klom(
    unlearned_margins: np.ndarray,
    oracle_margins: np.ndarray,
    *,
    direction: str = "unlearned_to_oracle",
    variant: str = "definition",
) -> np.ndarray:
    """Return the KL divergence between histograms of margins, in nats, float64 [E]; near 0 is good.

    Per example the margins of all models are clipped to [-100, 100] and counted in 20 equal bins
    from the smallest to the largest of both banks; bins of the second distribution below 1e-5 are
    raised to it. Range: [0, 11.6]; higher is worse. Two banks of oracles give not 0 but a value
    that shrinks as the banks grow: compare with banks of the same sizes. Needs n unlearned models
    and n oracles; published with 100 of each. Cost: linear, 0.1 s for 512 + 512 models and 5,000
    examples.

    Args:
      unlearned_margins: floating [N, E], the logit confidence under each unlearned model.
      oracle_margins: floating [M, E], the same under each oracle.
      direction: 'unlearned_to_oracle' is KL(unlearned || oracle), as the released code has it:
        large where unlearned models do what no oracle does. 'oracle_to_unlearned' is
        KL(oracle || unlearned).
      variant: 'definition', or 'released' for what the code of EasyDUB computes, to compare with
        its tables: the largest margin of all is counted in no bin, and the floor, which only bins
        with unlearned models get, is not followed by a division by the sum. Published with it, for
        100 original models on CIFAR-10 and forget set 2: 95th percentiles of 0.3191 on the retain,
        9.2647 on the forget and 0.2639 on the validation set.

    Returns:
      One value per example; NaN where a margin is NaN or infinite.

    Raises:
      InputError: if the shapes do not fit, a bank holds fewer than 2 models, or direction or
        variant are unknown.

    References:
      Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", 2024,
      arXiv:2410.23232. 'released': the evaluation code of EasyDUB, the Easy Data-Unlearning
      Benchmark.
    """
    check_choice("direction", direction, DIRECTIONS)
    check_choice("variant", variant, VARIANTS)
    p, q = check_banks(
        "unlearned_margins", unlearned_margins, "oracle_margins", oracle_margins, at_least=2
    )
    if direction == "oracle_to_unlearned":
        p, q = q, p
    finite = np.isfinite(p).all(axis=0) & np.isfinite(q).all(axis=0)
    p, q = np.clip(p[:, finite], -CLIP, CLIP), np.clip(q[:, finite], -CLIP, CLIP)
    low = np.minimum(p.min(axis=0), q.min(axis=0))
    high = np.maximum(p.max(axis=0), q.max(axis=0))
    # All margins alike: any width puts them in one bin.
    high = np.where(high > low, high, low + 1.0)
    values = np.full(len(finite), np.nan)
    if variant == "released":
        p, q = (_released_histogram(bank, low, high) for bank in (p, q))
        values[finite] = _kl(p, np.maximum(q, FLOOR))
        return values
    p, q = _histogram(p, low, high), np.maximum(_histogram(q, low, high), FLOOR)
    # Rounding may leave a zero divergence a last digit below zero.
    values[finite] = np.maximum(_kl(p, q / q.sum(axis=0)), 0.0)
    return values


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Of each column; q is positive."""
    return np.sum(p * np.log(np.where(p > 0, p, 1.0) / q), axis=0)


def klom_percentiles(values: np.ndarray) -> KlomPercentiles:
    """Return the percentiles of KLOM over the examples of a set; NaN where no example has a value.

    Args:
      values: floating [E] from :func:`klom`, on the forget, the retain or the test set.
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        return KlomPercentiles(float("nan"), float("nan"), float("nan"), 0)
    median, p95, p99 = map(float, np.percentile(values, [50, 95, 99]))
    return KlomPercentiles(median, p95, p99, values.size)


def _histogram(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Shares float64 [BINS, E] of each column's values; the last bin holds its upper end."""
    bins = np.minimum(((values - low) / (high - low) * BINS).astype(np.int64), BINS - 1)
    examples = values.shape[1]
    flat = bins + BINS * np.arange(examples)
    counts = np.bincount(flat.ravel(), minlength=BINS * examples)
    return counts.reshape(examples, BINS).T / len(values)


def _released_histogram(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Shares float64 [BINS, E] of those values that are below the upper end of the last bin."""
    # Compared with the edges, as the code does: a division may round a value into the next bin.
    edges = np.linspace(low, high, BINS + 1)
    below = np.stack([(values >= edge).sum(axis=0) for edge in edges])
    counts = below[:-1] - below[1:]
    return counts / np.maximum(counts.sum(axis=0), 1)


def _entry(split: str, place: int) -> Measure:
    def function(pair: BankPair) -> float:
        banks = (getattr(bank, split) for bank in (pair.unlearned, pair.oracle))
        return klom_percentiles(klom(*banks, variant=pair.protocol.klom_variant)).p95

    return of_banks(
        f"klom_{split}_p95",
        f"KLOM on the {split} set, 95th percentile",
        "nats",
        function,
        does=f"KL between histograms of margins per {split} example, at its 95th percentile",
        source='Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", '
        "2024, arXiv:2410.23232",
        formula=klom,
        higher=FARTHER,
        good="good is no larger than between two sets of retrained models",
        outside=ABOVE,
        place=place,
    )


KLOM_FORGET, KLOM_RETAIN, KLOM_TEST = (
    _entry(split, place) for split, place in (("forget", 260), ("retain", 270), ("test", 280))
)
