"""A method on the small problem, its short run, and ways to require facts of it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import Batch, Model, Problem, StepInfo, Unlearner
from jax_unlearn.engine.loop import run
from jax_unlearn.engine.run_spec import Result
from jax_unlearn.engine.steps import run_keys, take_batch
from jax_unlearn.sharding import make_mesh
from jax_unlearn.testing.small_run import small, small_problem


class Battery:
    """A method on a problem, and its short run."""

    def __init__(self, unlearner: Unlearner, problem: Problem, mesh: jax.sharding.Mesh):
        self.traces: list[bool] = []
        model = _counted(problem.model, self.traces)
        self.problem = dataclasses.replace(problem, model=model)
        self.unlearner, self.mesh = unlearner, mesh
        self.name = type(unlearner).__name__

    @classmethod
    def of(cls, constructor: Callable[..., Unlearner], arguments: Mapping[str, Any]) -> Self:
        """A method's short run on the small problem, on one device."""
        unlearner = small(constructor, **arguments)
        problem = small_problem(whole_classes=unlearner.whole_classes)
        return cls(unlearner, problem, make_mesh(1))

    def run(self, key: int = 0, **options: Any) -> Result:
        """Another run of the method; by default just the same."""
        options = {"mesh": self.mesh, "loop": "python", **options}
        problem = options.pop("problem", self.problem)
        unlearner = options.pop("unlearner", self.unlearner)
        return run(unlearner, problem, jax.random.key(key), **options)

    @functools.cached_property
    def result(self) -> Result:
        """What the short run ends with."""
        return self.run()

    @functools.cached_property
    def first(self) -> tuple[Any, Batch, StepInfo]:
        """State, batch and step info of the second of four steps, as the engine makes them."""
        keys = run_keys(jax.random.key(7))
        pool = self.unlearner.pool(keys.pool, self.problem)
        rows = self.unlearner.batch_indices(keys.batch_indices, 0, pool)[0]
        state = self.unlearner.init(keys.init, self.problem)
        take = jax.jit(take_batch, static_argnames="augment")
        batch = take(pool, rows, keys.step, augment=self.problem.augment)
        step, steps, epoch, epochs = (jnp.int32(n) for n in (1, 4, 0, 2))
        info = StepInfo(step, steps, epoch, epochs, jax.random.key(3))
        return jax.tree.map(jnp.asarray, state), batch, info

    @functools.cached_property
    def step(self) -> Callable[..., Any]:
        """The step of a method, compiled, without donation."""
        return self.new_step()

    def new_step(self) -> Callable[..., Any]:
        """The same, to be traced once more."""
        model = self.problem.model
        return jax.jit(lambda unlearner, *given: unlearner.step(model, *given))

    def changed(self, **changes: Any) -> Unlearner:
        """The method with other hyperparameters."""
        return dataclasses.replace(self.unlearner, **changes)

    def require(self, holds: Any, sentence: str) -> None:
        """Raise AssertionError with the sentence unless the fact holds."""
        if not bool(holds):
            raise AssertionError(f"{self.name}: {sentence}")

    def require_close(self, a: Any, b: Any, sentence: str, rtol: float, atol: float) -> None:
        """Require two trees to agree within a tolerance."""
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            x, y = (np.asarray(jax.device_get(z), np.float64) for z in (x, y))
            gap = float(np.abs(x - y).max(initial=0))
            self.require(np.allclose(x, y, rtol, atol), f"{sentence} (they differ by {gap:.2g})")

    def require_same(self, a: Any, b: Any, sentence: str) -> None:
        """Require two trees to agree bit for bit."""
        same = [
            np.array_equal(jax.device_get(x), jax.device_get(y))
            for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
        ]
        self.require(all(same), sentence)

    def require_numbers(self, tree: Any, whose: str) -> None:
        """Require that no float of a tree is NaN, which would not even equal itself."""
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            lost = is_float(leaf) and bool(jnp.isnan(leaf).any())
            self.require(not lost, f"{whose}{jax.tree_util.keystr(path)} is NaN")


def _counted(model: Model, traces: list[bool]) -> Model:
    """A model that notes down every call of its ``apply``, so every trace."""

    def apply(
        variables: Any, images: jax.Array, *, train: bool, weight: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        traces.append(train)
        return model.apply(variables, images, train=train, weight=weight)

    return Model(model.init, apply, model.name)


def distance(a: Any, b: Any) -> float:
    """Largest difference of two trees of one structure."""
    gaps = jax.tree.map(lambda x, y: np.abs(np.asarray(x) - np.asarray(y)).max(), a, b)
    return max(map(float, jax.tree.leaves(gaps)))


def is_float(leaf: Any) -> bool:
    """Whether an array has a type with a fraction."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def floats(tree: Any) -> list[Any]:
    """Leaves of a tree that have such a type."""
    return [leaf for leaf in jax.tree.leaves(tree) if is_float(leaf)]
