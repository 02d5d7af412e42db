"""Within an epoch nothing is sent, read back or compiled again."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.engine import make_mesh
from jax_unlearn.engine.trainer import Trainer
from jax_unlearn.sharding import Layout

# One of each kind; the battery shows the same of every method.
KINDS = ("finetune", "neggrad_plus", "bad_teacher", "salun", "natmu", "mumis")
SHORT = {name: {"epochs": 2, "batch_size": 10} for name in KINDS}
SHORT["mumis"] = {"max_steps": 4, "check_every": 2, "batch_size": 10, "stop_ratio": 100.0}
SHORT["natmu"]["num"] = 2
KEY = jax.random.key(0)


def short(name, **options):
    return ju.METHODS[name](**{**SHORT[name], **options})


@pytest.fixture
def watched_epochs(monkeypatch):
    """Makes a transfer within an epoch an error, and returns a list of what was read or awaited.

    On CPU JAX guards what is sent. What is read there is counted instead, at the doors of Python.
    """
    seen, inside = [], []

    def noted(name, original):
        def call(*args, **kwargs):
            if inside and any(isinstance(x, jax.Array) for x in jax.tree.leaves(args)):
                seen.append(name)
            return original(*args, **kwargs)

        return call

    array = type(jnp.zeros(()))
    read = array._value.fget
    monkeypatch.setattr(array, "_value", property(noted("value", read)))
    for module, name in ((np, "asarray"), (np, "array"), (jax, "device_get")):
        monkeypatch.setattr(module, name, noted(name, getattr(module, name)))
    monkeypatch.setattr(jax, "block_until_ready", noted("wait", jax.block_until_ready))

    def guarded(original):
        def epoch(*args):
            inside.append(None)
            with jax.transfer_guard("disallow_explicit"):
                result = original(*args)
            inside.clear()
            return result

        return epoch

    def allowed(original):
        def call(*args):
            outside = list(inside)
            inside.clear()
            with jax.transfer_guard("allow"):
                result = original(*args)
            inside.extend(outside)
            return result

        return call

    monkeypatch.setattr(Trainer, "_take_steps", guarded(Trainer._take_steps))
    sent = []

    def shard_rows(original):
        def call(*args):
            sent.append(None)
            return allowed(original)(*args)

        return call

    # The scanned loop sends the order of rows, once for each compiled loop.
    monkeypatch.setattr(Layout, "shard_rows", shard_rows(Layout.shard_rows))
    return seen, sent


@pytest.mark.filterwarnings("ignore:MUMis collapsed")
@pytest.mark.parametrize(
    ("name", "loop"),
    [*((name, "python") for name in KINDS), ("natmu", "scan"), ("mumis", "scan")],
)
def test_an_epoch_sends_and_reads_nothing(name, loop, problem, watched_epochs):
    seen, sent = watched_epochs
    outcome = ju.run(short(name), problem, KEY, mesh=make_mesh(1), loop=loop)
    epochs = len(outcome.history) - 1
    assert outcome.steps >= 2 * epochs
    assert seen == []
    # At the start of an epoch, and for the scanned loop's one program in it.
    assert len(sent) == epochs * (1 if loop == "python" else 2)


def test_nor_does_the_loop_where_the_host_sends_ahead(problem, watched_epochs):
    seen, _ = watched_epochs
    method = short("natmu")
    outcome = ju.run(method, problem, KEY, mesh=make_mesh(1), placement="host", loop="python")
    assert outcome.steps > 4
    assert seen == []


def test_an_epoch_on_several_devices_sends_nothing(problem, watched_epochs):
    seen, _ = watched_epochs
    outcome = ju.run(short("natmu"), problem, KEY, mesh=make_mesh(2), loop="python")
    # Virtual CPU devices must not have two steps under way.
    assert seen == ["wait"] * outcome.steps


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (float, "value"),
        (np.asarray, "asarray"),
        (jax.device_get, "device_get"),
        (jax.block_until_ready, "wait"),
    ],
)
def test_a_reading_would_be_noticed(read, name, problem, watched_epochs):
    seen, _ = watched_epochs
    doors = {"asarray": lambda x: np.asarray(x), "device_get": lambda x: jax.device_get(x)}
    doors["wait"] = lambda x: jax.block_until_ready(x)
    x = jnp.ones(()) + 1
    ju.run(
        short("finetune"),
        problem,
        KEY,
        mesh=make_mesh(1),
        loop="python",
        on_step=lambda done, planned: doors.get(name, read)(x),
    )
    assert name in seen


def test_a_sending_would_be_noticed(problem, watched_epochs):
    del watched_epochs
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        ju.run(
            short("finetune"),
            problem,
            KEY,
            mesh=make_mesh(1),
            loop="python",
            on_step=lambda done, planned: jax.device_put(np.ones(3)),
        )


@pytest.mark.filterwarnings("ignore:MUMis collapsed")
@pytest.mark.parametrize("name", KINDS)
def test_other_seeds_hyperparameters_and_epochs_compile_nothing(
    name, counted, problem, compilations
):
    model, traces = counted
    problem = dataclasses.replace(problem, model=model)
    method = short(name)
    run = {"mesh": make_mesh(1), "loop": "python"}
    first = ju.run(method, problem, KEY, **run)
    once = len(traces)
    floats = {
        field.name: 0.9 * getattr(method, field.name)
        for field in dataclasses.fields(method)
        if field.type is float and not field.metadata.get("static")
    }
    assert "learning_rate" in floats
    longer = {"mumis": {"max_steps": 6}, "sfr_on": {"iterations": 10}}
    more = longer.get(name.removesuffix("_last_layer"), {"epochs": 3})
    with compilations() as compiled:
        other = ju.run(
            dataclasses.replace(method, **floats, **more), problem, jax.random.key(9), **run
        )
    assert len(traces) == once > 0
    assert compiled == []
    # MU-Mis ends on this untrained model when it first looks.
    assert other.steps > first.steps or name.startswith("mumis")
