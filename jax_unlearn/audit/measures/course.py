"""The way to the result: how far a measure strays from the oracle's from checkpoint to checkpoint.

A method that passes the oracle's forget accuracy on its way, or runs far past it, ends well only
if it is stopped at the right moment; its final number does not tell.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jax_unlearn.core import InputError, check_choice


def course(history: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    """Return a measure over a run, float64 [E + 1]: before the first epoch and after each.

    Args:
      history: the result's, one mapping per checkpoint.
      name: the measure, such as 'FA', if that is what the run was watched for.

    Raises:
      InputError: if there is no entry, or the last one lacks the measure.
    """
    if not history:
        raise InputError("history=[]: expected one entry per checkpoint; take a result's history")
    check_choice("name", name, history[-1])
    return np.array([entry.get(name, np.nan) for entry in history], np.float64)


def worst_over_course(values: Sequence[float], oracle_value: float) -> float:
    """Return the largest distance to the oracle over all checkpoints after the start.

    max over e >= 1 of |v_e - oracle|, in the measure's own unit; 0 is the oracle, higher is worse.
    The start is left out: it is the original model, at the same distance for every method. Needs
    one model's course and one oracle's value.

    Args:
      values: floating [E + 1], the measure before the first and after each epoch, E >= 1.
      oracle_value: the measure of the oracle.

    Returns:
      The distance; NaN where a value is not finite.

    Raises:
      InputError: if there are fewer than two values.
    """
    return float(np.max(np.abs(_offsets(values, oracle_value)[1:])))


def overshoot(values: Sequence[float], oracle_value: float) -> float:
    """Return how far a course runs past the oracle, seen from where it starts; 0 is not at all.

    In the measure's own unit, >= 0; higher is worse. Over-forgetting is the overshoot of the
    forget accuracy: it starts above the oracle's and falls below. A course that starts at the
    oracle's value overshoots wherever it goes. Needs one model's course and one oracle's value.

    Args:
      values: floating [E + 1], the measure before the first and after each epoch, E >= 1.
      oracle_value: the measure of the oracle.

    Returns:
      The overshoot; NaN where a value is not finite.

    Raises:
      InputError: if there are fewer than two values.
    """
    offsets = _offsets(values, oracle_value)
    past = np.abs(offsets) if offsets[0] == 0 else -np.sign(offsets[0]) * offsets
    return float(np.maximum(0.0, past).max()) if np.isfinite(offsets).all() else float("nan")


def area_over_course(values: Sequence[float], oracle_value: float) -> float:
    """Return the mean distance to the oracle over the course: the area between the two curves.

    (1 / E) times the integral of |v(e) - oracle| from 0 to E, with straight lines between
    checkpoints; in the measure's own unit, 0 is the oracle throughout, higher is worse. Dividing
    by E makes runs of different length comparable. Needs one model's course and one oracle's value.

    Args:
      values: floating [E + 1], the measure before the first and after each epoch, E >= 1.
      oracle_value: the measure of the oracle.

    Returns:
      The mean distance; NaN where a value is not finite.

    Raises:
      InputError: if there are fewer than two values.
    """
    offsets = _offsets(values, oracle_value)
    start, end = np.abs(offsets[:-1]), np.abs(offsets[1:])
    total = start + end
    crosses = offsets[:-1] * offsets[1:] < 0
    # Two triangles where the line crosses the oracle's, a trapezium elsewhere.
    triangles = (start**2 + end**2) / np.where(crosses, 2.0 * total, 1.0)
    return float(np.mean(np.where(crosses, triangles, 0.5 * total)))


def _offsets(values: Sequence[float], oracle_value: float) -> np.ndarray:
    course = np.asarray(values, np.float64)
    if course.ndim != 1 or len(course) < 2:
        raise InputError(
            f"values=array of shape {list(course.shape)}: expected [E + 1], E >= 1, the measure "
            "before the first epoch and after each; watch the run"
        )
    return course - oracle_value
