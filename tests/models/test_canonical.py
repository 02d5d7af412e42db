"""All derivatives of a canonical convolution are the plain one's, and canonical."""

import functools
import itertools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType

from jax_unlearn.backend import traced_for
from jax_unlearn.models.canonical import AXES, How, convolve, takes

KERNELS = ((1, 1), (3, 3), (4, 2))
STRIDES = ((1, 1), (2, 2), (3, 1))
PADDINGS = (((1, 1), (1, 1)), ((0, 0), (2, 0)), ((3, 3), (3, 1)))
DILATIONS = (((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 1), (2, 3)), ((2, 3), (1, 2)))


def plain(images, kernel, how):
    return lax.conv_general_dilated(images, kernel, *how, dimension_numbers=AXES)


def arrays(kernel=(3, 3), dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (5, 9, 8, 3), dtype)
    return x, jax.random.normal(keys[1], (*kernel, 3, 4), dtype)


def loss(conv, how, x, w):
    return jnp.sum(jnp.tanh(conv(x, w, how)))


def first(conv, how, x, w):
    return jax.grad(functools.partial(loss, conv, how), (0, 1))(x, w)


def reverse_over_reverse(conv, how, x, w):
    def norm(x, w):
        return sum(jnp.sum(part**2) for part in first(conv, how, x, w))

    return jax.grad(norm, (0, 1))(x, w)


def forward_over_reverse(conv, how, x, w):
    return jax.jvp(functools.partial(first, conv, how), (x, w), (x, w))[1]


def reverse_over_forward(conv, how, x, w):
    def along(x, w):
        return jax.jvp(functools.partial(loss, conv, how), (x, w), (x, w))[1]

    return jax.grad(along, (0, 1))(x, w)


DERIVATIVES = (first, reverse_over_reverse, forward_over_reverse, reverse_over_forward)


@pytest.mark.parametrize("dilations", DILATIONS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_values_and_derivatives_are_those_of_the_plain_convolution(kernel, dilations):
    for strides, padding in itertools.product(STRIDES, PADDINGS):
        how = How(strides, padding, *dilations)
        with jax.enable_x64(True):
            x, w = arrays(kernel, jnp.float64)
            found, expected = (
                jax.jit(lambda x, w, conv=conv, how=how: (conv(x, w, how), first(conv, how, x, w)))(
                    x, w
                )
                for conv in (convolve, plain)
            )
            chex.assert_trees_all_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("derivative", DERIVATIVES[1:])
@pytest.mark.parametrize("strides", STRIDES[:2])
def test_second_derivatives_are_those_of_the_plain_convolution(derivative, strides):
    how = How(strides, PADDINGS[0])
    with jax.enable_x64(True):
        x, w = arrays(dtype=jnp.float64)
        found, expected = (derivative(conv, how, x, w) for conv in (convolve, plain))
        chex.assert_trees_all_close(found, expected, rtol=1e-10, atol=1e-10)


def orders(fn, *args):
    """In which order of axes each convolution of a program, as XLA gets it, has its arrays."""
    text = jax.jit(fn).lower(*args).as_text()
    found = re.findall(r"dim_numbers = (\[.*?\]x\[.*?\]->\[.*?\])", text)
    assert found
    return set(found)


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_every_convolution_of_a_derivative_is_canonical(derivative):
    how = How((2, 2), PADDINGS[0])
    canonical = {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}
    assert orders(functools.partial(derivative, convolve, how), *arrays()) == canonical
    # What is mended: JAX's own derivatives are not.
    assert orders(functools.partial(derivative, plain, how), *arrays()) != canonical


@pytest.fixture(params=["cpu", "gpu"])
def platform(request):
    """What programs are traced for; all of them run on this machine."""
    with traced_for(request.param):
        yield request.param


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 3)])
def test_under_vmap_it_is_the_plain_convolution(axes, platform):
    how = How((2, 1), PADDINGS[0])
    x, w = arrays()
    many = [
        a if axis is None else jnp.stack([a, 2 * a, -a], axis)
        for a, axis in zip((x, w), axes, strict=True)
    ]
    for derivative in (lambda conv, how, x, w: conv(x, w, how), first):
        found, expected = (
            jax.vmap(functools.partial(derivative, conv, how), axes)(*many)
            for conv in (convolve, plain)
        )
        chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


def of_each_example(conv, how, x, w):
    """Gradients of each example in the kernel."""

    def own(w, x):
        return jnp.sum(jnp.tanh(conv(x[None], w, how)))

    return jax.vmap(jax.grad(own), (None, 0))(w, x)


def test_each_examples_gradient_is_the_plain_convolutions(platform):
    given = How((1, 1), PADDINGS[0]), *arrays()
    found, expected = (of_each_example(conv, *given) for conv in (convolve, plain))
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dilations", DILATIONS)
def test_each_examples_gradient_is_that_for_any_strides_on_accelerators(kernel, dilations):
    hows = [How(*given, *dilations) for given in zip(STRIDES, PADDINGS, strict=True)]

    @functools.partial(jax.jit, static_argnames="conv")
    def gradients(x, w, conv):
        return [of_each_example(conv, how, x, w) for how in hows]

    with jax.enable_x64(True), traced_for("gpu"):
        given = arrays(kernel, jnp.float64)
        found, expected = (gradients(*given, conv) for conv in (convolve, plain))
    chex.assert_trees_all_close(found, expected, rtol=1e-10, atol=1e-10)


def windows(fn, *args):
    """Heights and widths of the windows of a program's convolutions."""
    text = jax.jit(fn).lower(*args).as_text()
    lines = re.findall(r"stablehlo.convolution.*tensor<(\d+)x(\d+)x\d+x\d+x\w+>\) ->", text)
    assert lines
    return {(int(height), int(width)) for height, width in lines}


@pytest.mark.parametrize("strides", STRIDES)
def test_no_window_is_as_large_as_an_image_on_accelerators(strides):
    how = How(strides, PADDINGS[0])
    given = [functools.partial(of_each_example, conv, how) for conv in (convolve, plain)]
    with traced_for("gpu"):
        ours, theirs = (windows(fn, *arrays()) for fn in given)
    assert ours == {(3, 3)}
    # What is mended: JAX's own are.
    assert theirs != {(3, 3)}


def test_it_runs_outside_of_jit_and_keeps_bfloat16():
    x, w = arrays(dtype=jnp.bfloat16)
    how = How((1, 1), PADDINGS[0])
    assert convolve(x, w, how).dtype == jnp.bfloat16
    assert {g.dtype for g in first(convolve, how, x, w)} == {jnp.dtype(jnp.bfloat16)}
    np.testing.assert_array_equal(convolve(x, w, how), plain(x, w, how))


def test_nothing_and_explicit_axes_are_not_taken():
    x, w = arrays()
    assert not takes(x[:, :2], w, How((1, 1), ((0, 0), (0, 0))))
    mesh = jax.make_mesh(
        (1,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:1]
    )
    with jax.set_mesh(mesh):
        assert not takes(x, w, How((1, 1), PADDINGS[0]))


def test_arrays_that_do_not_fit_are_not_taken():
    x, w = arrays()
    assert takes(x, w, How((1, 1), PADDINGS[0]))
    assert not takes(x[..., :2], w, How((1, 1), PADDINGS[0]))
    assert not takes(x, w.astype(jnp.bfloat16), How((1, 1), PADDINGS[0]))
