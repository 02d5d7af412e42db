"""A program is traced for the devices that run it, which need not be the process's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.backend import platform, platform_of, traced_for
from jax_unlearn.models import convolution
from jax_unlearn.sharding import Layout, replicated


def test_where_nothing_is_said_it_is_none_whatever_the_process_runs_on():
    assert jax.default_backend() == "cpu"
    assert platform() == ""


def test_inside_it_is_the_one_named_and_afterwards_the_one_before():
    with traced_for("tpu"):
        assert platform() == "tpu"
        with traced_for("cpu"):
            assert platform() == "cpu"
        assert platform() == "tpu"
    assert platform() == ""


def test_it_is_that_of_a_shardings_devices_or_what_was_said_or_the_default_one():
    assert platform_of(replicated(ju.make_mesh(1))) == "cpu"
    assert platform_of(None) == "cpu"
    with traced_for("tpu"):
        assert platform_of(None) == "tpu"
        assert platform_of(replicated(ju.make_mesh(1))) == "cpu"


def test_a_jitted_function_is_traced_for_each():
    traced = []

    @jax.jit
    def inner(x):
        traced.append(platform())
        return x + 1

    @jax.jit
    def outer(x):
        with traced_for("gpu"):
            return inner(x)

    for _ in range(2):
        inner(1.0)
        outer(1.0)
    assert traced == ["", "gpu"]


def test_a_loop_over_batches_that_is_traced_asks_nothing_of_the_process():
    seen = []

    def fn(*given):
        seen.append(platform())
        return given[0]

    images = jnp.zeros((4, 2))
    jax.jit(lambda x: ju.functional.map_batches(fn, (x,), 2)).lower(images)
    jax.jit(lambda x: ju.functional.fold_batches(fn, jnp.zeros(()), (x,), 2)).lower(images)
    # Batches that are written into the program tell nothing, either.
    known = np.zeros((4, 2), np.float32)
    jax.jit(lambda w: ju.functional.map_batches(lambda x: fn(x + w), (known,), 2)).lower(1.0)
    jax.jit(lambda w: ju.functional.fold_batches(fn, w, (known,), 2)).lower(1.0)
    assert set(seen) == {""}
    ju.functional.map_batches(fn, (images,), 2)
    assert seen[-1] == "cpu"


@pytest.mark.parametrize("stacked", [False, True])
def test_a_layouts_functions_are_traced_for_its_mesh(stacked, monkeypatch):
    layout, seen = Layout(ju.make_mesh(1, 2 if stacked else 1), stacked), []

    def one(x):
        seen.append(platform())
        return x

    monkeypatch.setattr(Layout, "platform", "tpu")
    jax.jit(layout.each(one))(jnp.zeros((2, 3)))
    assert seen == ["tpu"]


def test_loops_over_batches_call_programs_for_the_devices_of_the_sharding():
    seen = []

    @jax.jit
    def count(images):
        seen.append(platform())
        return images.sum(axis=1)

    ju.functional.map_batches(count, [np.ones((4, 2), np.float32)], 2)
    with traced_for("tpu"):
        ju.functional.map_batches(count, [np.ones((4, 2), np.float32)], 2)
    assert seen == ["cpu", "tpu"]


@pytest.fixture
def slices(monkeypatch):
    """Convolutions of any size are sliced for a CPU, and nobody may ask what JAX runs on."""
    monkeypatch.setattr(convolution, "SMALLEST", 0)
    monkeypatch.setattr(convolution, "ELEMENTS_PER_WEIGHT", 0)
    monkeypatch.setattr(convolution, "EIGEN_CHANNELS", 0)
    monkeypatch.setattr(jax, "device_count", lambda *_: 1)

    def refuse():
        raise AssertionError("what is traced depends on the process's own backend")

    monkeypatch.setattr(jax, "default_backend", refuse)


def test_an_accelerators_program_has_nothing_of_the_cpus_that_it_is_lowered_on(slices):
    model = ju.make_model("convnet", 3, (8, 8, 1), width=2)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((convolution.SLICES, 8, 8, 1), jnp.float32)

    def count(name):
        with traced_for(name):
            traced = jax.jit(functools.partial(model.logits)).trace(variables, images)
            text = traced.lower(lowering_platforms=(name or "tpu",)).as_text()
        return text.count("stablehlo.convolution")

    assert count("tpu") == 3
    assert {name: count(name) for name in ("", "cuda", "cpu")} == {
        "": 3,
        "cuda": 3,
        "cpu": 3 * convolution.SLICES,
    }
