"""Names, numbers and times as a reader would write them; needs no extra."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from jax_unlearn.display import display_name

FEW = 3
"""Models below which an interval says no more than that they are few: two give 12.7 half widths."""


def finite(value: Any) -> float:
    """Return a number of the record as float; NaN where it is missing."""
    return math.nan if value is None else float(value)


def number(value: Any) -> str:
    """Write a number with about three figures; a dash where it is missing."""
    value = finite(value)
    if not math.isfinite(value):
        return "\u2013" if math.isnan(value) else ("\u221e" if value > 0 else "-\u221e")
    size = abs(value)
    if size >= 100:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    if size >= 0.001:
        return f"{value:.3f}"
    return f"{value:.1e}" if size else "0"


def interval(low: Any, high: Any) -> str:
    """Write an interval; empty where either end is missing."""
    if math.isnan(finite(low)) or math.isnan(finite(high)):
        return ""
    return f"{number(low)} to {number(high)}"


def band_ends(low: Any, high: Any, side: str, write: Callable[[Any], str] = number) -> str:
    """Write a null band by the ends that count: no distance is too small to be retraining.

    Args:
      low: lower end, None for unknown.
      high: upper end.
      side: on which side of the band a measure tells from retraining: 'both', 'above' or 'below'.
      write: how a number is written.
    """
    if side == "above":
        return f"up to {write(high)}"
    if side == "below":
        return f"from {write(low)}"
    unknown = math.isnan(finite(low)) or math.isnan(finite(high))
    return "none" if unknown else f"{write(low)} to {write(high)}"


def row_name(name: str) -> str:
    """Name a row as a reader knows it, on one line."""
    return " ".join(display_name(str(name)).split()) or "(no name)"


def duration(seconds: float) -> str:
    """Write a time in the unit a reader would say: 320 ms, 45 s, 12 min, 2.1 h."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def percent(share: float) -> str:
    """Write a share (1 is the whole) in percent with two figures, whole numbers from 100 % on."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def with_half(result: Mapping[str, Any] | None) -> str:
    """Write a record's result as 'value ±half', a hyphen for what is not known or says nothing."""
    if result is None or result["value"] is None:
        return "-"
    value, low, high = result["value"], result["low"], result["high"]
    if low is None or high is None:
        return digits(value)
    if result.get("n", FEW) < FEW:
        return f"{digits(value)} ±-"
    # An interval that ends at the measure's own limit is shorter on that side.
    return f"{digits(value)} ±{digits(max(high - value, value - low))}"


def digits(value: float | None) -> str:
    """Write a number of a table in plain text: one place from 10 on, else three."""
    if value is None:
        return "-"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
