"""Programs of a one-shot edit's passes over data sets, for devices that may not be there.

See :mod:`jax_unlearn.engine.shapes` for those of methods that take steps.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import NamedSharding, PartitionSpec

from jax_unlearn.backend import traced_for
from jax_unlearn.batching import Instead, folding
from jax_unlearn.core import Problem, Unlearner
from jax_unlearn.sharding import Layout, tracing_on


class Pass(NamedTuple):
    """A jitted function that an edit calls with chunk after chunk of a data set.

    Attributes:
      name: of the function.
      batch: rows of a full chunk; of fewer examples a run has a smaller one.
      lower: makes the program for chunks of as many rows.
    """

    name: str
    batch: int
    lower: Callable[[int], jax.stages.Lowered]


@dataclasses.dataclass(frozen=True)
class _Fold:
    """A call of :func:`jax_unlearn.batching.fold_batches`."""

    fn: Callable[..., Any]
    carry: Any
    arrays: Sequence[Any]
    layout: Layout
    splits_rows: bool

    def calls(self, batch: int) -> dict[str, tuple[Any, set[int]]]:
        """Jitted functions that a chunk goes to, by name, and which arguments are split rows."""
        rows = [
            jax.ShapeDtypeStruct((batch, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype))
            for x in self.arrays
        ]
        weight = jax.ShapeDtypeStruct((batch,), np.float32)
        layout = self.layout if self.splits_rows else None
        with traced_for(self.layout.platform), tracing_on(layout):
            found = jax.make_jaxpr(self.fn)(self.carry, *rows, weight).jaxpr
        split = found.invars[-len(rows) - 1 :] if self.splits_rows else []
        return {
            # Of calls that differ in numbers alone, as for one class and the next, one is enough.
            call.params["name"]: (
                call,
                {i for i, x in enumerate(call.invars) if any(x is row for row in split)},
            )
            for call in found.eqns
            if "donated_invars" in call.params
        }

    def lower(self, name: str, batch: int) -> jax.stages.Lowered:
        """The program of a call with a chunk of ``batch`` rows."""
        call, split = self.calls(batch)[name]
        shapes = [jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype) for x in call.invars]
        given = [
            (self.layout.shapes_of_rows(x, 0) if i in split else self.layout.shapes(x))
            for i, x in enumerate(shapes)
        ]
        donated = [i for i, one in enumerate(call.params["donated_invars"]) if one]
        run = jax.jit(jaxpr_as_fun(call.params["jaxpr"]), donate_argnums=donated)
        with traced_for(self.layout.platform):
            return run.lower(*given)


def list_passes(edit: Unlearner, problem: Problem, layout: Layout) -> list[Pass]:
    """List the programs in which an edit goes over data sets; none of them is run.

    What it does with :func:`~jax_unlearn.functional.fold_batches` counts, in jitted functions.

    Args:
      edit: a method whose work is done in ``init``.
      problem: with weights; a few examples of each set suffice.
      layout: the devices, which share each chunk.
    """
    folds: dict[str, tuple[_Fold, int]] = {}

    def record(fn: Any, carry: Any, arrays: Sequence[Any], batch: int, sharding: Any) -> Any:
        fold = _Fold(fn, carry, arrays, layout, splits_rows=sharding is not None)
        batch += -batch % layout.batch_shards if fold.splits_rows else 0
        for name in fold.calls(batch):
            folds.setdefault(name, (fold, batch))
        # An edit may look at what it gets, and go on or not. Of zeros a solver would make nothing,
        # as of the difference of two means that are equal.
        return jax.tree.map(lambda x: jnp.asarray(draw.uniform(1, 2, x.shape), x.dtype), carry)

    draw = np.random.default_rng(0)
    sharding = NamedSharding(layout.mesh, PartitionSpec("data"))
    with folding(Instead(sharding, record)):
        # No program depends on the key.
        edit.init(jax.random.key(0), problem)

    def lower(name: str) -> Callable[[int], jax.stages.Lowered]:
        fold, _ = folds[name]
        return lambda batch: fold.lower(name, batch)

    return [Pass(name, batch, lower(name)) for name, (_, batch) in folds.items()]
