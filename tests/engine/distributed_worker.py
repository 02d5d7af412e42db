"""What one of several processes does in the tests: all checks in one start, results in a file.

As a script: ``distributed_worker.py COORDINATOR NUM_PROCESSES PROCESS_ID TASK FOLDER``. There are
four devices, however many processes share them.
"""

import contextlib
import dataclasses
import os
import pathlib
import signal
import sys

import jax
import numpy as np

import jax_unlearn as ju
from jax_unlearn.engine import RunSpec, distributed, make_mesh, run_many
from jax_unlearn.engine.checkpointing import policy as pausing
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
from jax_unlearn.engine.signals import Interrupted
from jax_unlearn.testing import small_model

DEVICES = 4
# Four devices divide neither these batches nor the last ones of a pass.
SHORT = {
    "retrain": {"epochs": 6, "batch_size": 30, "learning_rate": 0.05, "warmup_epochs": 0.0},
    "bad_teacher": {"epochs": 2, "batch_size": 30, "learning_rate": 0.01, "optimizer": "sgd"},
    "salun": {"epochs": 2, "batch_size": 30},
    "natmu": {"epochs": 2, "batch_size": 30, "learning_rate": 0.01, "optimizer": "sgd"},
    "mumis": {"max_steps": 4, "check_every": 2, "batch_size": 7, "stop_ratio": 100.0},
    "fisher_forgetting": {"alpha": 1e-5},
}


NETWORK = small_model(classes=10, side=8, hidden=16)


def examples(count, first):
    rng = np.random.default_rng(first)
    image = rng.integers(0, 256, (count, 8, 8, 1), np.uint8)
    label = (np.arange(count) % 10).astype(np.int32)
    # A brighter row tells the class.
    image[np.arange(count), label % 8] = 255 - 20 * (label[:, None, None] // 8)
    return ju.Examples(image, label, np.arange(first, first + count))


def make_problem(model):
    initial = model.init(jax.random.key(0))
    return ju.Problem(
        model, initial, examples(19, 0), examples(118, 19), 10, initial, ju.crop_and_flip(1)
    )


def flat(tree):
    """All numbers of a pytree, as one float32 vector on the host."""
    return np.concatenate([np.ravel(np.asarray(x)) for x in jax.tree.leaves(tree)])


def history(outcome):
    """A run's history as one vector."""
    return np.array([value for entry in outcome.history for value in entry.values()])


def trainings():
    """Weights and history of methods, and of a convolutional network with BatchNorm."""
    problem = make_problem(NETWORK)
    done = {}
    for name, options in SHORT.items():
        outcome = ju.run(ju.METHODS[name](**options), problem, jax.random.key(1))
        done[name] = flat(outcome.variables)
        done[f"{name} history"] = history(outcome)
        if name == "retrain":
            # The others start from what it has learnt.
            problem = dataclasses.replace(problem, variables=outcome.variables)
    convnet = ju.make_model("convnet", 10, (8, 8, 1), width=4)
    outcome = ju.train(
        ju.retrain(epochs=2, batch_size=30, learning_rate=0.05, warmup_epochs=0.0),
        convnet,
        examples(118, 19),
        jax.random.key(2),
        num_classes=10,
    )
    done["convnet"] = flat(outcome.variables)
    predictions = ju.predict(
        convnet,
        outcome.variables,
        forget=examples(19, 0),
        retain=examples(118, 19),
        test=examples(33, 500),
        test_forgotten=np.zeros(33, bool),
        batch_size=50,
    )
    done["predictions"] = flat([part.logits for part in predictions[:3]])
    return done


def interrupted_training(folder):
    """Weights of a run that was cut off in the middle of an epoch, and of the run as a whole."""
    problem, method = make_problem(NETWORK), ju.finetune(epochs=3, batch_size=30)
    whole = ju.run(method, problem, jax.random.key(3))
    asked = 0

    def interrupted():
        nonlocal asked
        asked += 1
        # The signal reaches the last process alone.
        last = jax.process_index() == jax.process_count() - 1
        return int(signal.SIGTERM) if asked >= 3 and last else None

    ended = False
    with Checkpoints(folder, {"run": "test"}) as checkpoints, contextlib.suppress(Interrupted):
        ju.run(
            method,
            problem,
            jax.random.key(3),
            checkpoints=checkpoints,
            interrupted=interrupted,
        )
        ended = True
    steps = []
    with Checkpoints(folder, {"run": "test"}) as checkpoints:
        again = ju.run(
            method,
            problem,
            jax.random.key(3),
            checkpoints=checkpoints,
            on_step=lambda done, planned: steps.append(done),
        )
    return {
        "whole": flat(whole.variables),
        "resumed": flat(again.variables),
        "ended at once": np.array(ended),
        "first step of the second part": np.array(steps[0]),
    }


def local_runs(part, parts):
    """Runs on this process's own devices: every ``parts``-th of five jobs."""
    problem = make_problem(NETWORK)
    jobs = [
        RunSpec(
            ju.finetune(epochs=1, batch_size=30, learning_rate=rate), problem, jax.random.key(i)
        )
        for i, rate in enumerate((0.001, 0.002, 0.005, 0.01, 0.02))
    ]
    # As many devices as a process has where there are two.
    mesh = make_mesh(1, 2, devices=jax.local_devices()[:2])
    watch = lambda variables: {"sum": float(flat(variables["params"]).sum())}  # noqa: E731
    outcomes = run_many(jobs[part::parts], mesh=mesh, watch=watch)
    return {f"job {part + i * parts}": flat(x.variables) for i, x in enumerate(outcomes)}


def endless():
    """Train until the process is ended from outside."""
    problem = make_problem(NETWORK)
    method = ju.finetune(epochs=10**6, batch_size=30)

    def on_step(done, planned):
        del planned
        if done == 20:
            print("training", flush=True)

    ju.run(method, problem, jax.random.key(0), on_step=on_step)


def compute(rank, number, folder):
    """All results of one of so many processes."""
    return {
        **trainings(),
        **interrupted_training(pathlib.Path(folder) / f"checkpoints-{number}"),
        **local_runs(rank, number),
        "devices": np.array([jax.device_count(), jax.local_device_count()]),
        "leader": np.array(distributed.is_leader()),
    }


def main(coordinator, num_processes, process_id, task, folder):
    """Join the other processes and do the task."""
    number, rank = int(num_processes), int(process_id)
    os.environ["PJRT_NPROC"] = "32"
    jax.config.update("jax_num_cpu_devices", DEVICES // number)
    # Nearly all of the time is compilation.
    jax.config.update("jax_disable_most_optimizations", True)
    pausing.AGREE_EVERY = 2
    distributed.initialize(
        coordinator=coordinator,
        num_processes=number,
        process_id=rank,
        # On a machine that is busy with other things a process may be silent for many seconds.
        heartbeat_seconds=10 if task == "endless" else 120,
        timeout_seconds=900,
    )
    if task == "endless":
        endless()
    np.savez(pathlib.Path(folder) / f"{rank}.npz", **compute(rank, number, folder))
    distributed.wait_for_others("end")


if __name__ == "__main__":
    main(*sys.argv[1:])
