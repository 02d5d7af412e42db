"""Models per hour of a bank: as many side by side as there are devices."""

from typing import Any

import jax

import jax_unlearn as ju
from jax_unlearn.engine import RunSpec, run_many

from ..benchmarks.cases import Row
from ..benchmarks.workloads import Workload
from .session import Part, Session

EPOCHS, EPOCH_STEPS = 100, 391
"""Of a model of CIFAR-10 in batches of 128, as the papers train it."""


def parts(session: Session) -> list[Part]:
    """One part."""
    return [Part("bank", 40, 120, lambda limit: _measure(session, limit))]


def _measure(session: Session, limit: float) -> list[Row]:
    load = Workload(**{**session.load.to_json(), "batch": 128 if session.accelerator else 16})
    per_epoch = 8 if session.quick else 128
    found = session.run("..accelerator.bank.train", limit, load=load.to_json(), per_epoch=per_epoch)
    step = found["seconds"] / found["steps"]
    hourly = 3600 / (step * EPOCHS * EPOCH_STEPS) * found["models"]
    note = (
        f"of {EPOCHS} epochs of {EPOCH_STEPS} steps; from {found['steps']} steps of "
        f"{1e3 * step:.4g} ms of {found['models']} side by side, predictions and storage not "
        "counted"
    )
    return [Row(f"{load} bank", hourly, "models/hour", note)]


def train(load: dict[str, Any], per_epoch: int) -> dict[str, Any]:
    """Train a model on each device for two epochs, twice; JSON values of the second time."""
    workload = Workload(**load)
    method = ju.retrain(batch_size=workload.batch, epochs=2, learning_rate=0.01)
    problem = workload.problem(0, per_epoch * workload.batch)
    specs = [RunSpec(method, problem, jax.random.key(n)) for n in range(jax.local_device_count())]
    for _ in range(2):
        results = run_many(specs)
    # Of several side by side each result has its share of the time.
    seconds = sum(result.run_seconds for result in results)
    return {"models": len(specs), "steps": results[0].steps, "seconds": seconds}
