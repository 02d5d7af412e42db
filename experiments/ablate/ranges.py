"""A range of numbers of which a sample draws values, as `--over` writes it."""

import math
import re
from typing import NamedTuple

import numpy as np

from jax_unlearn.core import InputError

_NUMBER = r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")

LARGEST = 1e15
"""The largest number of a range: up to it whole numbers are exact."""


class Range(NamedTuple):
    """A range of numbers.

    Attributes:
      low: smallest value.
      high: largest value.
      log: whether values are drawn evenly on a log scale.
    """

    low: float
    high: float
    log: bool

    def draw(self, random: np.random.Generator, *, whole: bool) -> float:
        """A value of four digits, or a whole number."""
        ends = np.log([self.low, self.high]) if self.log else np.array([self.low, self.high])
        low, high = math.ceil(self.low), math.floor(self.high)
        if whole and low > high:
            raise InputError(
                f"over: {self.low:g}..{self.high:g}: expected a range with a whole number in it"
            )
        if whole and not self.log:
            return int(random.integers(low, high, endpoint=True))
        value = float(random.uniform(*ends))
        value = math.exp(value) if self.log else value
        if whole:
            return min(max(round(value), low), high)
        return min(max(float(f"{value:.4g}"), self.low), self.high)


def read_range(text: str, body: str) -> Range | None:
    """The range that a value of `--over` is; None for a list of values.

    Raises:
      InputError: it is neither, or has no numbers in it.
    """
    if ".." not in body or body.startswith("["):
        return None
    found = _RANGE.fullmatch(body)
    if found is None:
        raise InputError(f"over={text!r}: expected LOW..HIGH or LOW..HIGH:log with two numbers")
    low, high, log = float(found[1]), float(found[2]), bool(found[3])
    if max(abs(low), abs(high)) > LARGEST:
        raise InputError(f"over={text!r}: expected numbers up to {LARGEST:g}; mend the range")
    if not low < high or (log and low <= 0):
        positive = "0 < " if log else ""
        raise InputError(f"over={text!r}: expected {positive}LOW < HIGH; mend the range")
    return Range(low, high, log)
