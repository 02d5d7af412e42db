"""What is refused before anything runs, in a line."""

import dataclasses
import re
from typing import Any

import jax
import numpy as np

from jax_unlearn.core import FORGET, RETAIN, Examples, InputError
from jax_unlearn.testing.battery import Battery, floats
from jax_unlearn.user_code import briefly


def missing_sets(b: Battery) -> None:
    """A set that it needs is refused where it is missing, and any where it is empty."""
    without = dataclasses.replace(b.problem, retain=None)
    if b.unlearner.needs_retain:
        _refused(b, "^retain=None: .* needs retain examples", problem=without)
    else:
        try:
            result = b.run(problem=without)
        except Exception as error:  # a user's code can raise anything
            raise AssertionError(
                f"{b.name}: needs_retain is False, and without retain examples it ends in "
                f"{type(error).__name__}: {briefly(error)}"
            ) from error
        finite = [np.isfinite(np.asarray(x)).all() for x in floats(result.variables)]
        b.require(all(finite), "without retain examples its weights are not finite")
        sentence = "needs_retain is False, and without retain examples its weights are others"
        b.require_close(b.result.variables, result.variables, sentence, 1e-4, 1e-5)
    for part in ("forget", "retain"):
        examples = getattr(b.problem, part)
        empty = Examples(*(field[:0] for field in examples))
        changes: dict[str, Any] = {part: empty}
        problem = dataclasses.replace(b.problem, **changes)
        _refused(b, rf"^{part}=\[\]: expected at least one example", problem=problem)
    roles = set(getattr(b.unlearner, "roles", (RETAIN, FORGET)))
    if FORGET in roles and b.unlearner.num_epochs:
        problem = dataclasses.replace(b.problem, forget=None)
        _refused(b, "^forget=None: ", problem=problem)


def large_batches(b: Battery) -> None:
    """A batch larger than the pool is refused, and the size of the pool is told beforehand."""
    large = dataclasses.replace(b.unlearner, batch_size=5000)
    _refused(b, r"^batch_size=5000: .* has only \d+ examples to show", unlearner=large)
    pool = b.unlearner.pool(jax.random.key(0), b.problem)
    rows, counted = len(pool.label), b.unlearner.count_rows(b.problem)
    b.require(rows == counted, f"count_rows says {counted} of a pool of {rows} rows")


def _refused(b: Battery, pattern: str, **changed: Any) -> None:
    try:
        b.run(watch=lambda variables: b.require(False, "it runs before it refuses"), **changed)
    except InputError as error:
        told = str(error)
        b.require(re.search(pattern, told), f"expected an error like {pattern!r}, not {told!r}")
        b.require("\n" not in told, f"an error has more than one line: {told!r}")
        return
    raise AssertionError(f"{b.name}: expected an InputError like {pattern!r}, and it ran")
