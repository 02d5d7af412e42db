"""Weight gradients of bfloat16 layers are summed over devices in float32."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec

import jax_unlearn as ju
from jax_unlearn.models import mixed
from jax_unlearn.sharding import Layout, make_mesh


def layer(kind, dtype):
    """A layer of one type, its weights, images and what its outputs are multiplied by."""
    make = {"convolution": mixed.conv, "linear layer": mixed.dense}[kind]
    options = {"convolution": {"strides": 2, "padding": ((1, 1), (1, 1))}, "linear layer": {}}
    sizes = {"convolution": (4, (3, 3)), "linear layer": (5,)}
    shape = {"convolution": (6, 6, 3), "linear layer": (2, 7)}[kind]
    module = make(*sizes[kind], dtype=dtype, **options[kind])
    keys = jax.random.split(jax.random.key(3), 3)
    x = jax.random.normal(keys[0], (8, *shape))
    weights = module.init(keys[1], x)
    factors = jax.random.normal(keys[2], module.apply(weights, x).shape)
    return module, weights, x, factors


def loss(module, weights, x, factors):
    return jnp.sum(module.apply(weights, x).astype(jnp.float32) * factors)


def over(mesh, fn):
    """``fn`` as a program of a run on a mesh, of rows that lie on its devices."""
    layout = Layout(mesh)

    def call(weights, *rows):
        return jax.jit(layout.each(fn))(
            layout.shard([weights]), *(layout.shard_rows([x], 0) for x in rows)
        )

    return call


def kernel_of(tree):
    return np.asarray(tree["params"]["kernel"])


def sums(fn, *trees):
    """Types and shapes of what a function of a program sums over devices."""
    text = str(jax.make_jaxpr(Layout(make_mesh(4)).each(fn))(*trees))
    return re.findall(r"(\w+\[[\d,]*\]) = psum", text)


@pytest.mark.parametrize("kind", ["convolution", "linear layer"])
def test_the_sum_is_that_of_each_devices_gradient_in_float32(kind):
    module, weights, x, factors = layer(kind, "bfloat16")
    gradient = jax.grad(functools.partial(loss, module))
    shape = ",".join(map(str, kernel_of(weights).shape))
    assert sums(gradient, weights, x, factors) == [f"f32[{shape}]"]
    own = [
        kernel_of(jax.jit(gradient)(weights, x[i : i + 2], factors[i : i + 2]))
        for i in range(0, 8, 2)
    ]
    # A program of one device skips the rounding of what it makes float32 at once.
    rounded = [part.astype(jnp.bfloat16).astype(np.float32) for part in own]
    found = kernel_of(over(make_mesh(4), gradient)(weights, x, factors))
    np.testing.assert_allclose(found, sum(rounded), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["convolution", "linear layer"])
def test_bfloat16_sums_are_left_to_the_compiler(kind):
    module, weights, x, factors = layer(kind, "bfloat16_sums")
    gradient = jax.grad(functools.partial(loss, module))
    assert sums(gradient, weights, x, factors) == []


@pytest.mark.parametrize("dtype", ["bfloat16", "bfloat16_sums"])
@pytest.mark.parametrize("kind", ["convolution", "linear layer"])
def test_outputs_do_not_depend_on_devices_nor_on_the_sums(kind, dtype):
    module, weights, x, factors = layer(kind, dtype)
    del factors
    plain, *_ = layer(kind, "bfloat16")
    found = over(make_mesh(4), module.apply)(weights, x)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, jax.jit(plain.apply)(weights, x))


def programs(dtype, mesh):
    """The text of a training step's gradient of a small network, and its value."""
    model = ju.models.make_model("convnet", 3, (8, 8, 1), width=4, dtype=dtype)
    variables = model.init(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (8, 8, 8, 1))

    def mean(variables, images):
        logits, _ = model.forward(variables, images, train=True, weight=None, key=None)
        return jnp.mean(logits**2)

    fn = Layout(mesh).each(jax.grad(mean))
    return str(jax.make_jaxpr(fn)(variables, images)), over(mesh, jax.grad(mean))(variables, images)


def test_only_bfloat16_on_several_devices_is_split():
    one, four = make_mesh(1), make_mesh(4)
    assert "shard_map" not in programs("float32", four)[0]
    assert "shard_map" not in programs("bfloat16_sums", four)[0]
    assert "shard_map" not in programs("bfloat16", one)[0]
    assert "shard_map" in programs("bfloat16", four)[0]


def test_a_networks_gradient_is_as_near_to_float32s_as_one_devices():
    exact, alone, shared = (
        np.asarray(ravel_pytree(programs(dtype, make_mesh(count))[1]["params"])[0])
        for dtype, count in (("float32", 1), ("bfloat16", 1), ("bfloat16", 4))
    )
    near, found = (np.linalg.norm(x - exact) / np.linalg.norm(exact) for x in (alone, shared))
    assert found < max(1.5 * near, 0.01)
    assert near < 0.1


def test_rows_that_devices_do_not_divide_are_computed_all_the_same():
    module, weights, x, factors = layer("convolution", "bfloat16")
    gradient = jax.grad(functools.partial(loss, module))
    layout = Layout(make_mesh(3))
    found = jax.jit(layout.each(gradient))(*layout.shard([(weights, x, factors)]))
    expected = jax.jit(gradient)(weights, x, factors)
    np.testing.assert_allclose(kernel_of(found), kernel_of(expected), rtol=0.02, atol=0.02)


def test_rows_that_are_a_devices_own_are_not_split_again():
    module, weights, x, _ = layer("convolution", "bfloat16")
    rows, whole = PartitionSpec("data"), PartitionSpec()
    x = jnp.concatenate([x, -x])
    mesh = make_mesh(4)

    def local(weights, x):
        return jax.shard_map(
            module.apply, mesh=mesh, in_specs=(whole, rows), out_specs=rows, check_vma=False
        )(weights, x)

    found = over(mesh, local)(weights, x)
    np.testing.assert_array_equal(found, jax.jit(module.apply)(weights, x))


@pytest.mark.parametrize("differentiate", ["forward", "reverse"])
def test_second_derivatives_hold_where_devices_share_a_batch(differentiate):
    module, weights, x, factors = layer("convolution", "bfloat16")

    def norm(weights, x, factors):
        along = jax.grad(lambda x: loss(module, weights, jnp.tanh(x), factors))
        if differentiate == "reverse":
            return jnp.sum(along(x) ** 2)
        v = jax.lax.stop_gradient(along(x))
        return 2 * jax.jvp(lambda x: loss(module, weights, jnp.tanh(x), factors), (x,), (v,))[1]

    found = over(make_mesh(4), jax.grad(norm))(weights, x, factors)
    expected = jax.jit(jax.grad(norm))(weights, x, factors)
    scale = np.abs(kernel_of(expected)).max()
    np.testing.assert_allclose(kernel_of(found), kernel_of(expected), rtol=0, atol=0.02 * scale)


def test_models_side_by_side_each_sum_over_their_own_devices():
    module, weights, x, factors = layer("convolution", "bfloat16")
    gradient = jax.grad(functools.partial(loss, module))
    layout = Layout(make_mesh(2, 2), stacked=True)
    pair = [factors, 2 * factors]
    found = jax.jit(layout.each(gradient))(
        layout.shard([weights] * 2), layout.shard_rows([x] * 2, 0), layout.shard_rows(pair, 0)
    )
    for number, own in enumerate(pair):
        expected = over(make_mesh(2), gradient)(weights, x, own)
        scale = np.abs(kernel_of(expected)).max()
        np.testing.assert_allclose(
            kernel_of(found)[number], kernel_of(expected), rtol=0, atol=0.01 * scale
        )
