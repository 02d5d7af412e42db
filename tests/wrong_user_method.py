"""A method as a user writes it, wrong wherever an error is ignored; read by mypy, never run."""

import jax

import jax_unlearn as ju


class Wrong(ju.Descent):
    """Hooks, fields and arguments that do not fit."""

    batch_size: int = ju.static("many")  # type: ignore[assignment]
    strength: float = 0.5

    def losses(self, logits: str, batch: ju.Batch, *rest: object) -> jax.Array:  # type: ignore[override]
        return batch.labels  # type: ignore[attr-defined,no-any-return]

    def stop(self, history: int, problem: ju.Problem) -> bool:  # type: ignore[override]
        return len(problem.retain.label) > 0  # type: ignore[union-attr]


Wrong(strenght=0.1)  # type: ignore[call-arg]
Wrong(strength="much")  # type: ignore[arg-type]
ju.natmu(delta="much")  # type: ignore[arg-type]
Wrong().strength = 1.0  # type: ignore[misc]
