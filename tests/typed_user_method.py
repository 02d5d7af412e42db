"""Methods as a user writes them, fully typed; read by mypy, never run."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jax_unlearn as ju


class Confuse(ju.Descent):
    """Every hook of a method that descends a loss."""

    epochs: int = 3
    batch_size: int = ju.static(64)
    strength: float = 0.5
    target: str = "uniform"

    roles = (ju.RETAIN, ju.FORGET)

    def extra(self, key: jax.Array, problem: ju.Problem) -> dict[str, Any]:
        return {"teacher": problem.variables, "other": problem.model.init(key)}

    def start(self, key: jax.Array, problem: ju.Problem) -> Any:
        return super().start(key, problem)

    def pool(self, key: jax.Array, problem: ju.Problem) -> ju.Pool:
        pool = super().pool(key, problem)
        target = np.full((len(pool.label), problem.num_classes), 1 / problem.num_classes)
        return pool._replace(extra={"target": target.astype(np.float32)})

    def batch_indices(self, key: jax.Array, epoch: int, pool: ju.Pool) -> jax.Array:
        rows = jnp.flatnonzero(jnp.asarray(pool.role) == ju.FORGET)
        return ju.shuffled_rows(jax.random.fold_in(key, epoch), rows, self.batch_size)

    def losses(
        self, logits: jax.Array, batch: ju.Batch, extra: dict[str, Any], info: ju.StepInfo
    ) -> jax.Array:
        plain = super().losses(logits, batch, extra, info)
        away = -jnp.sum(batch.extra["target"] * jax.nn.log_softmax(logits), axis=1)
        return jnp.where(batch.role == ju.FORGET, self.strength * away, plain)

    def loss(
        self, forward: ju.Forward, batch: ju.Batch, extra: dict[str, Any], info: ju.StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        loss, scalars = super().loss(forward, batch, extra, info)
        penalty = optax.global_norm(forward.params)
        return loss + 1e-4 * penalty, {**scalars, "penalty": penalty}

    def transform(
        self, optimizer: optax.GradientTransformation, extra: Any
    ) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(1.0), super().transform(optimizer, extra))

    def measure(self, model: ju.Model, state: Any, problem: ju.Problem) -> dict[str, float]:
        if problem.forget is None:
            return {}
        images = jnp.asarray(problem.forget.image[:8], jnp.float32) / 255.0
        return {"top": float(model.logits(state.variables, images).max())}

    def stop(self, history: Sequence[Mapping[str, float]], problem: ju.Problem) -> bool:
        return history[-1]["top"] < history[0]["top"] / 2

    def collapsed(self, history: Sequence[Mapping[str, float]], problem: ju.Problem) -> bool:
        return super().collapsed(history, problem) or history[-1]["top"] > 1e6

    def finish(self, state: Any, history: Sequence[Mapping[str, float]]) -> Any:
        return super().finish(state, history)


class ShrinkState(NamedTuple):
    variables: Any
    steps: jax.Array


class Shrink(ju.Unlearner):
    """A method with a step of its own."""

    share: float = 0.1

    @property
    def num_epochs(self) -> int:
        return 1

    def init(self, key: jax.Array, problem: ju.Problem) -> ShrinkState:
        return ShrinkState(problem.variables, jnp.int32(0))

    def pool(self, key: jax.Array, problem: ju.Problem) -> ju.Pool:
        if problem.forget is None:
            raise ju.InputError("forget=None: expected examples to forget; give them")
        return ju.pool_rows(problem.forget, ju.FORGET, augment=False)

    def step(
        self, model: ju.Model, state: ShrinkState, batch: ju.Batch, info: ju.StepInfo
    ) -> tuple[ShrinkState, dict[str, jax.Array]]:
        smaller = jax.tree.map(lambda x: (1 - self.share) * x, state.variables)
        return ShrinkState(smaller, state.steps + 1), {"steps": state.steps.astype(jnp.float32)}


confuse = ju.constructor(Confuse)
METHODS: list[ju.Unlearner] = [
    confuse(epochs=1, strength=0.1, optimizer=optax.adam),
    Confuse(learning_rate=1e-3, schedule=lambda step: 1.0 / (step + 1)),
    Shrink(share=0.2, batch_size=8),
    ju.natmu(delta=0.1, optimizer=optax.lion),
]


def unlearned(problem: ju.Problem, key: jax.Array) -> Any:
    return [ju.run(method, problem, key).variables for method in METHODS]
