"""A method that does as it is told, and what goes wrong around a run."""

import contextlib
import dataclasses
import signal

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import jax_unlearn as ju


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Carried:
    """State of nothing but weights."""

    variables: object


class Scripted(ju.Unlearner):
    """Adds ``move`` to the weights; ends as it is told."""

    epochs: int = 4
    move: float = 1.0
    # Not whole numbers, which may be sizes of arrays: such runs would not go side by side.
    stop_after: float = 99.0
    collapse_after: float = 99.0

    @property
    def num_epochs(self):
        return self.epochs

    def init(self, key, problem):
        del key
        return Carried(problem.variables)

    def pool(self, key, problem):
        del key
        return ju.pool_rows(problem.retain, ju.RETAIN, augment=False)

    def step(self, model, state, batch, info):
        del model, batch
        clocked = {
            name: value.astype(jnp.float32)
            for name, value in info._asdict().items()
            if name != "key"
        }
        return Carried(jax.tree.map(lambda x: x + self.move, state.variables)), {
            "of_" + name: value for name, value in clocked.items()
        }

    def measure(self, model, state, problem):
        del model, problem
        # Of whatever type a method or a caller may give.
        return {"bias": state.variables["bias"][0], "size": np.float32(5), "count": 3}

    def stop(self, history, problem):
        del problem
        return len(history) - 1 >= self.stop_after

    def collapsed(self, history, problem):
        del problem
        return len(history) - 1 >= self.collapse_after


@pytest.fixture(scope="session")
def scripted():
    """A method that does as it is told, see :class:`Scripted`."""
    return Scripted


@pytest.fixture
def signalled(monkeypatch):
    """SIGTERM amid every read of Orbax, which makes an error of its own of what that raises."""
    read = ocp.Checkpointer.restore

    def restore(*args, **options):
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            raise Exception("Encountered error while reading") from error
        return read(*args, **options)

    monkeypatch.setattr(ocp.Checkpointer, "restore", restore)


@contextlib.contextmanager
def _compilations():
    names = []

    def listen(event, seconds, **details):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append((seconds, details))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="session")
def compilations():
    """A context that gives a list with an entry for each program that is compiled inside."""
    return _compilations
