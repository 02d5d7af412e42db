"""The ReLU at which branches of a block join."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.backend import traced_for
from jax_unlearn.models import linen

X = jnp.array([-2.0, -0.0, 0.0, 1e-38, 1.5, jnp.inf, -jnp.inf, jnp.nan])
Y = jnp.array([1.0, 0.0, -0.0, 0.0, -1.0, 1.0, 1.0, 1.0])


def derivatives(fn):
    """Values, and first and second derivatives along a direction, of sums of two arrays."""

    def cube(x, y):
        return fn(x, y) ** 3

    def first(x, y):
        return jax.jvp(cube, (x, y), (jnp.ones_like(x), 2 * jnp.ones_like(y)))[1]

    back = jax.vjp(cube, X, Y)[1](jnp.arange(1.0, 1 + len(X)))
    second = jax.jvp(first, (X, Y), (jnp.ones_like(X), -3 * jnp.ones_like(Y)))[1]
    return fn(X, Y), first(X, Y), back, second


def test_on_a_gpu_it_is_the_plain_one_in_all_derivatives():
    with traced_for("gpu"):
        found = derivatives(linen.rectified_sum)
    jax.tree.map(np.testing.assert_array_equal, found, derivatives(lambda x, y: nn.relu(x + y)))


@pytest.mark.parametrize("network", ["resnet8", "resnet50"])
@pytest.mark.parametrize(("platform", "kept"), [("gpu", True), ("tpu", False), ("cpu", False)])
def test_its_result_is_kept_on_gpus_alone(network, platform, kept):
    model = ju.models.make_model(network, 3, (32, 32, 3), width=4)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    with traced_for(platform):
        text = str(jax.make_jaxpr(lambda v, x: model.logits(v, x))(variables, images))
    assert ("optimization_barrier" in text) == kept
