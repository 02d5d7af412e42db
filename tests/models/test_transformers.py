"""Vision transformers and ResNet-50: sizes as published, images apart, second derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import InputError, split_variables
from jax_unlearn.methods.last_layer import last_linear_layer
from jax_unlearn.models import MODELS, swin_tiny, vit_tiny

SMALL = {
    "vit": functools.partial(vit_tiny, width=16, patch=4, depth=2, heads=2),
    "swin": functools.partial(swin_tiny, width=4, depths=(2, 2), heads=2, window=2),
}
SIDE = 16


def small(kind, **changes):
    return SMALL[kind](5, (SIDE, SIDE, 3), **changes)


def images_of(count, seed=0):
    return np.random.RandomState(seed).uniform(size=(count, SIDE, SIDE, 3)).astype(np.float32)


@functools.cache
def lively(kind):
    """Weights large enough for attention to choose."""
    variables = small(kind).init(jax.random.key(0))
    leaves, structure = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [x + 0.2 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, moved)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("vit_tiny", 5_717_416),
        ("vit_small", 22_050_664),
        ("vit_base", 86_567_656),
        ("swin_tiny", 28_288_354),
        ("resnet50", 25_557_032),
    ],
)
def test_a_network_has_as_many_weights_as_is_published(name, count):
    model = MODELS[name](1000, (224, 224, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count


@pytest.mark.parametrize("kind", SMALL)
def test_an_images_logits_do_not_depend_on_the_others(kind):
    logits_fn = jax.jit(small(kind).logits)
    a, b = images_of(4), images_of(4, seed=1)
    alone, mixed = (
        logits_fn(lively(kind), a),
        logits_fn(lively(kind), np.concatenate([a[:1], b[1:]])),
    )
    np.testing.assert_array_equal(alone[0], mixed[0])
    assert not np.allclose(alone[1], mixed[1])


@pytest.mark.parametrize("kind", SMALL)
def test_both_ways_to_differentiate_mumis_agree_with_each_other_and_with_differences(kind):
    model, images = small(kind), images_of(3)
    params, rest = split_variables(lively(kind))
    labels, irrelevant = jnp.array([0, 1, 2]), jnp.array([3, 4, 0])

    def loss(params, differentiate):
        target, other = functional.mumis_terms(
            functools.partial(model.logits, {**rest, "params": params}),
            images,
            labels,
            irrelevant,
            differentiate=differentiate,
        )
        return (target - other).mean()

    reverse, forward = (
        jax.jit(jax.grad(functools.partial(loss, differentiate=way)))(params)
        for way in ("reverse", "forward")
    )
    size = float(jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(reverse))))
    assert size > 0
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * size), reverse, forward)
    # Along the gradient, where a difference is largest beside the rounding of float32.
    value = jax.jit(functools.partial(loss, differentiate="reverse"))
    step = 1e-2 / size
    ends = (jax.tree.map(lambda x, g, s=s: x + s * step * g, params, reverse) for s in (1, -1))
    slope = (float(value(next(ends))) - float(value(next(ends)))) / (2 * step)
    np.testing.assert_allclose(slope, size**2, rtol=0.02)


@pytest.mark.parametrize("kind", SMALL)
def test_bfloat16_keeps_weights_and_logits_float32_and_comes_close(kind):
    full, half = small(kind).logits, small(kind, dtype="bfloat16").logits
    images, variables = images_of(8), lively(kind)
    expected, logits = jax.jit(full)(variables, images), jax.jit(half)(variables, images)
    assert logits.dtype == jnp.float32
    assert 0 < float(jnp.abs(logits - expected).max()) < 0.2 * float(expected.std())


@pytest.mark.parametrize("kind", SMALL)
def test_the_last_linear_layer_is_found(kind):
    model = small(kind)
    forget = ju.Examples(np.zeros((1, SIDE, SIDE, 3), np.uint8), np.zeros(1, int), np.zeros(1, int))
    problem = ju.Problem(model, model.init(jax.random.key(0)), forget, None, num_classes=5)
    found = last_linear_layer(problem)
    assert found.pop("fc") == {"kernel": True, "bias": True}
    assert not any(jax.tree.leaves(found))


def test_windows_are_cut_and_joined_and_a_shift_keeps_apart_what_was_no_neighbour():
    from jax_unlearn.models import swin

    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    windows = swin.to_windows(x, 2)
    assert windows.shape == (2, 6, 4, 3)
    np.testing.assert_array_equal(windows[0, 1, :, 0], x[0, :2, 2:4, 0].ravel())
    np.testing.assert_array_equal(swin.from_windows(windows, 4, 6, 2), x)
    apart = swin.regions_apart(4, 4, 2, 1)
    assert not apart[0].any()
    # The last window holds the map's four corners, none of which is another's neighbour.
    np.testing.assert_array_equal(apart[3] == 0, np.eye(4, dtype=bool))
    # A token's offset to itself is the middle of the table; each offset is its own row.
    table = swin.offsets(3)
    assert set(np.diag(table)) == {12}
    assert table[0, 8] == 0
    assert table[8, 0] == 24


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("vit_tiny", {"patch": 5}, "patch=5: expected a divisor of the images' 16x16 pixels"),
        ("vit_tiny", {"heads": 5}, "width=192: expected a multiple of heads=5"),
        ("vit_tiny", {"depth": 0}, "depth=0: expected a whole number >= 1"),
        ("vit_tiny", {"epsilon": 0}, "epsilon=0: expected"),
        ("swin_tiny", {}, "image_shape=16x16: swin_tiny halves .* multiples of 32 pixels"),
        ("swin_tiny", {"depths": (1, 1), "window": 3}, "window=3: expected whole windows in every"),
        ("swin_tiny", {"depths": (1, 1), "heads": 5}, "width=96: expected a multiple of heads=5"),
    ],
)
def test_a_wrong_argument_is_answered_in_one_line_that_names_it(name, change, message):
    with pytest.raises(InputError, match=message) as error:
        MODELS[name](5, (SIDE, SIDE, 3), **change)
    assert "\n" not in str(error.value)
