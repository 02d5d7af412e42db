"""The convolution in slices is the plain convolution in every derivative."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jax_unlearn.backend import traced_for
from jax_unlearn.models import convolution as module
from jax_unlearn.models.convolution import SLICES, convolution

LAYERS = {
    "3x3": ((3, 3), (1, 1), ((1, 1), (1, 1))),
    "3x3 stride 2": ((3, 3), (2, 2), ((1, 1), (1, 1))),
    "1x1 stride 2": ((1, 1), (2, 2), "VALID"),
}


@pytest.fixture(autouse=True, params=[False, True], ids=["few channels", "many channels"])
def sliced(request, monkeypatch):
    """Take small inputs for large ones, and tell whether their few channels are taken for many."""
    monkeypatch.setattr(module, "SMALLEST", 0)
    monkeypatch.setattr(module, "ELEMENTS_PER_WEIGHT", 0)
    if request.param:
        monkeypatch.setattr(module, "EIGEN_CHANNELS", 0)
        monkeypatch.setattr(jax, "device_count", lambda *_: 1)
    with traced_for("cpu"):
        yield request.param


def pair(layer, *, rows=SLICES, dtype=jnp.float32):
    """The same loss through convolution and through lax, and its arguments."""
    size, strides, padding = LAYERS[layer]
    keys = jax.random.split(jax.random.key(1), 2)
    x = jax.random.normal(keys[0], (rows, 6, 6, 3), dtype)
    w = jax.random.normal(keys[1], (*size, 3, 4), dtype)

    def loss(conv, x, w):
        y = conv(x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.sum(jnp.tanh(y.astype(jnp.float32)))

    new = functools.partial(loss, convolution)
    return new, functools.partial(loss, lax.conv_general_dilated), x, w


def convolutions(function, *arguments):
    text = str(jax.make_jaxpr(function)(*arguments))
    return text.count("conv_general_dilated[") + text.count("canonical_convolution[")


@pytest.mark.parametrize("layer", LAYERS)
def test_values_and_gradients_are_those_of_the_plain_convolution(layer):
    new, plain, x, w = pair(layer)
    np.testing.assert_array_equal(new(x, w), plain(x, w))
    both = functools.partial(jax.grad, argnums=(0, 1))
    chex.assert_trees_all_close(both(new)(x, w), both(plain)(x, w), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_second_derivatives_agree_reverse_over_reverse_and_reverse_over_forward(layer):
    new, plain, x, w = pair(layer)

    def reverse_over_reverse(f, x, w):
        return jax.grad(lambda w: jnp.sum(jax.grad(f)(x, w) ** 2))(w)

    def reverse_over_forward(f, x, w):
        v = 2 * lax.stop_gradient(jax.grad(f)(x, w))
        return jax.grad(lambda w: jax.jvp(lambda x: f(x, w), (x,), (v,))[1])(w)

    expected = reverse_over_reverse(plain, x, w)
    for derivative in (reverse_over_reverse, reverse_over_forward):
        chex.assert_trees_all_close(derivative(new, x, w), expected, rtol=1e-4, atol=1e-4)


def test_a_derivative_along_the_gradient_agrees_forward_over_reverse():
    new, plain, x, w = pair("3x3")
    along = [jax.jvp(lambda w, f=f: jax.grad(f, 1)(x, w), (w,), (w,))[1] for f in (new, plain)]
    chex.assert_trees_all_close(*along, rtol=1e-4, atol=1e-4)


def test_the_gradient_in_bfloat16_keeps_its_type_and_agrees_to_its_precision():
    new, plain, x, w = pair("3x3", rows=32, dtype=jnp.bfloat16)
    ours, expected = jax.grad(new, 1)(x, w), jax.grad(plain, 1)(x, w)
    assert ours.dtype == jnp.bfloat16
    scale = float(jnp.max(jnp.abs(expected.astype(jnp.float32))))
    difference = np.asarray(ours.astype(jnp.float32) - expected.astype(jnp.float32))
    assert np.max(np.abs(difference)) < 0.03 * scale


@pytest.mark.parametrize("rows", [SLICES - 1, SLICES, SLICES + 1, 5 * SLICES])
def test_a_batch_goes_into_slices_where_it_has_a_row_for_each(rows, sliced):
    new, plain, x, w = pair("3x3", rows=rows)
    count = SLICES if sliced and rows >= SLICES else 1
    np.testing.assert_allclose(new(x, w), plain(x, w), rtol=1e-6)
    assert convolutions(new, x, w) == count
    assert convolutions(jax.grad(new, (0, 1)), x, w) == 3 * count
    ours, expected = (jax.grad(f, (0, 1))(x, w) for f in (new, plain))
    chex.assert_trees_all_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_what_led_to_an_input_is_not_computed_again(monkeypatch):
    keys = jax.random.split(jax.random.key(1), 2)
    x, w = jax.random.normal(keys[0], (32, 8, 8, 4)), jax.random.normal(keys[1], (3, 3, 4, 4))

    def maxima(conv):
        """How many times the compiled gradient computes a rectified value."""

        def loss(y, scale, w):
            for _ in range(2):
                y = jnp.maximum(scale * y + 1, 0)
                y = conv(y, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            return jnp.sum(jnp.tanh(y))

        gradient = jax.jit(jax.grad(loss, (1, 2)))
        return gradient.lower(x, jnp.ones((1, 1, 1, 4)), w).compile().as_text().count(" maximum(")

    assert maxima(convolution) < maxima(lax.conv_general_dilated)
    monkeypatch.setattr(module, "_one", lambda kernel: jnp.float32(1))
    assert maxima(convolution) >= maxima(lax.conv_general_dilated)


@pytest.mark.parametrize("value", [0.0, -0.0, -1.5, jnp.inf, -jnp.inf, jnp.nan])
def test_what_is_kept_stays_as_it_is(value):
    x, kernel = jnp.array([value]), jnp.full((1, 1, 1, 1), value)
    kept = jax.jit(lambda x, kernel: x / module._one(kernel))(x, kernel)
    np.testing.assert_array_equal(kept, x)
    np.testing.assert_array_equal(jnp.signbit(kept), jnp.signbit(x))


def test_small_inputs_large_kernels_and_other_backends_take_the_plain_convolution(monkeypatch):
    new, _, x, w = pair("3x3")

    def is_plain():
        # A new function each time: JAX keeps what it has traced.
        program = str(jax.make_jaxpr(lambda x, w: new(x, w))(x, w))
        return " div " not in program

    assert not is_plain()
    for name, limit in (("SMALLEST", x.size), ("ELEMENTS_PER_WEIGHT", x.size / w.size)):
        monkeypatch.setattr(module, name, limit)
        assert not is_plain()
        monkeypatch.setattr(module, name, limit * 1.01)
        assert is_plain()
        monkeypatch.setattr(module, name, 0)
    for name in ("gpu", "tpu", ""):
        with traced_for(name):
            assert is_plain()
    assert not is_plain()


def test_vmap_over_weights_agrees():
    new, plain, x, w = pair("3x3 stride 2")
    weights = jnp.stack([w, 2 * w, -w])
    ours, expected = (jax.vmap(jax.grad(f, 1), (None, 0))(x, weights) for f in (new, plain))
    chex.assert_trees_all_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_a_convolution_over_one_axis_is_the_plain_one():
    x, w = jnp.ones((SLICES, 6, 3)), jnp.ones((3, 3, 4))
    ours = convolution(x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
    plain = lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
    np.testing.assert_array_equal(ours, plain)


def test_the_type_asked_for_and_groups_are_as_of_the_plain_convolution():
    x = jax.random.normal(jax.random.key(0), (SLICES, 6, 6, 4), jnp.bfloat16)
    w = jax.random.normal(jax.random.key(1), (3, 3, 2, 4), jnp.bfloat16)
    options = {
        "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
        "feature_group_count": 2,
        "preferred_element_type": jnp.float32,
    }
    ours = convolution(x, w, (1, 1), "SAME", **options)
    plain = lax.conv_general_dilated(x, w, (1, 1), "SAME", **options)
    assert ours.dtype == jnp.float32
    chex.assert_trees_all_close(ours, plain, rtol=1e-6, atol=1e-6)


def test_a_gradient_of_nothing_is_zero():
    x, w = jnp.ones((2, 2, 2, 2)), jnp.ones((3, 3, 2, 3))

    def total(w):
        return convolution(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")).sum()

    np.testing.assert_array_equal(jax.grad(total)(w), jnp.zeros_like(w))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_padding_in_words_is_as_of_the_plain_convolution(padding, dilation):
    _, _, x, w = pair("3x3")
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "rhs_dilation": dilation}
    ours, plain = (
        jax.vjp(lambda x, w, f=f: f(x, w, (2, 1), padding, **options), x, w)
        for f in (convolution, lax.conv_general_dilated)
    )
    np.testing.assert_allclose(ours[0], plain[0], rtol=1e-5, atol=1e-5)
    chex.assert_trees_all_close(ours[1](ours[0]), plain[1](ours[0]), rtol=1e-4, atol=1e-4)


def test_what_jax_refuses_is_refused():
    x, w = jnp.ones((2, 4, 4, 2)), jnp.ones((3, 3, 2, 3))
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "lhs_dilation": (2, 2)}
    with pytest.raises(ValueError, match="String padding is not implemented"):
        convolution(x, w, (2, 2), "SAME", **options)


def test_axes_without_names_and_a_default_precision_are_as_of_the_plain_convolution():
    x, w = jnp.ones((2, 3, 4, 4)), jnp.ones((5, 3, 3, 3))
    assert convolution(x, w, (1, 1), "SAME").shape == (2, 5, 4, 4)
    new, _, x, w = pair("3x3")
    with jax.default_matmul_precision("highest"):
        assert "HIGHEST" in jax.jit(new).lower(x, w).as_text()


def mesh():
    return jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])


@pytest.mark.skipif(jax.device_count() < 4, reason="needs 4 devices")
def test_a_batch_sharded_over_devices_moves_no_rows(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda *_: 4)
    new, plain, x, w = pair("3x3", rows=32)
    batch, whole = (NamedSharding(mesh(), PartitionSpec(*axes)) for axes in (("data",), ()))
    gradient = jax.jit(jax.grad(new, 1), in_shardings=(batch, whole), out_shardings=whole)
    chex.assert_trees_all_close(
        gradient(x, w), jax.jit(jax.grad(plain, 1))(x, w), rtol=1e-4, atol=1e-4
    )
    text = gradient.lower(x, w).compile().as_text()
    assert "all-reduce" in text
    for exchange in ("all-gather", "collective-permute", "all-to-all"):
        assert exchange not in text


@pytest.mark.skipif(jax.device_count() < 4, reason="needs 4 devices")
def test_gradients_inside_shard_map_agree():
    new, plain, x, w = pair("3x3", rows=16)
    rows, whole = PartitionSpec("data"), PartitionSpec()
    weights = jnp.stack([w, 2 * w, -w, w])

    def one_model(f, x, weights):
        return jax.grad(f, 1)(x, weights[0])[None]

    ours, expected = (
        jax.jit(
            jax.shard_map(
                functools.partial(one_model, f), mesh=mesh(), in_specs=(whole, rows), out_specs=rows
            )
        )(x, weights)
        for f in (new, plain)
    )
    chex.assert_trees_all_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_a_linen_layer_keeps_its_parameters_and_output():
    x = jax.random.normal(jax.random.key(0), (SLICES, 6, 6, 3))
    ours = nn.Conv(4, (3, 3), conv_general_dilated=convolution)
    plain = nn.Conv(4, (3, 3))
    variables = plain.init(jax.random.key(1), x)
    chex.assert_trees_all_equal_shapes(ours.init(jax.random.key(1), x), variables)
    np.testing.assert_array_equal(ours.apply(variables, x), plain.apply(variables, x))
