"""A program is traced for the devices that run it, which need not be the process's own."""

import jax
import jax.numpy as jnp
import pytest

import jax_unlearn as ju
from jax_unlearn.backend import platform, traced_for
from jax_unlearn.sharding import Layout


def test_outside_of_a_run_it_is_the_default_one():
    assert platform() == jax.default_backend() == "cpu"


def test_inside_it_is_the_one_named_and_afterwards_the_one_before():
    with traced_for("tpu"):
        assert platform() == "tpu"
        with traced_for("cpu"):
            assert platform() == "cpu"
        assert platform() == "tpu"
    assert platform() == "cpu"


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
    assert traced == ["cpu", "gpu"]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_layouts_functions_are_traced_for_its_mesh(stacked, monkeypatch):
    layout, seen = Layout(ju.make_mesh(1, 2 if stacked else 1), stacked), []

    def one(x):
        seen.append(platform())
        return x

    monkeypatch.setattr(Layout, "platform", "tpu")
    jax.jit(layout.each(one))(jnp.zeros((2, 3)))
    assert seen == ["tpu"]
