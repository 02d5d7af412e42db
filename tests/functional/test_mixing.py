import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.functional import (
    draw_partners,
    mix,
    mixing_masks,
    patch_masks,
    target_classes,
    uniform_masks,
)

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "natmu_mixing.npz") as arrays:
        return dict(arrays)


# Masks


@pytest.mark.parametrize("side", [32, 64])
def test_masks_equal_golden_bit_for_bit_jitted_or_not(golden, side):
    traced = jax.jit(lambda delta: mixing_masks(side, side, delta))
    for delta, expected in zip(golden["delta"], golden[f"masks_{side}"], strict=True):
        np.testing.assert_array_equal(mixing_masks(side, side, float(delta)), expected)
        np.testing.assert_array_equal(traced(delta), expected)


def test_a_new_delta_compiles_nothing():
    compiled = []

    @jax.jit
    def masks(delta):
        compiled.append(1)
        return mixing_masks(8, 8, delta)

    assert not np.array_equal(masks(0.1), masks(-0.3))
    assert len(compiled) == 1


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 7), (5, 12), (3, 2), (2, 9)])
def test_masks_mirror_themselves_and_rows_and_columns_swap_by_transposition(height, width):
    masks = np.asarray(mixing_masks(height, width, 0.0))
    assert masks.shape == (4, height, width, 1)
    np.testing.assert_array_equal(masks, masks[:, ::-1, ::-1])
    swapped = np.asarray(mixing_masks(width, height, 0.0))
    np.testing.assert_array_equal(masks, swapped[[1, 0, 3, 2]].swapaxes(1, 2))


@pytest.mark.parametrize("side", [2, 3, 5, 6, 9])
def test_masks_vary_along_one_axis_and_peak_in_the_middle_or_at_the_border(side):
    masks = np.asarray(mixing_masks(side, side + 4, 0.0))[..., 0]
    assert (np.ptp(masks[[0, 2]], axis=2) == 0).all()
    assert (np.ptp(masks[[1, 3]], axis=1) == 0).all()
    half = (side + 1) // 2
    middle, border = masks[0, :, 0], masks[2, :, 0]
    np.testing.assert_allclose(middle[:half], np.arange(half) / half, rtol=1e-6)
    np.testing.assert_allclose(middle + border, (half - 1) / half, rtol=1e-6, atol=1e-7)


def test_masks_of_delta_one_are_all_one_and_of_minus_one_all_zero():
    np.testing.assert_array_equal(mixing_masks(6, 5, 1.0), 1)
    np.testing.assert_array_equal(mixing_masks(6, 5, -1.0), 0)


def test_patches_show_complementary_halves_of_zeros_and_ones():
    masks = np.asarray(patch_masks(5, 4))
    np.testing.assert_array_equal(np.unique(masks), [0, 1])
    np.testing.assert_array_equal(masks[0] + masks[2], 1)
    np.testing.assert_array_equal(masks[1] + masks[3], 1)
    np.testing.assert_array_equal(masks[0, :, 0, 0], [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(masks[1, 0, :, 0], [1, 1, 0, 0])


def test_uniform_masks_hold_one_weight_traced_or_not():
    np.testing.assert_array_equal(uniform_masks(3, 5, 0.25), np.full((4, 3, 5, 1), 0.25))
    np.testing.assert_array_equal(
        jax.jit(lambda w: uniform_masks(3, 5, w))(0.25), uniform_masks(3, 5, 0.25)
    )


def test_every_mask_family_is_float32():
    for masks in (mixing_masks(4, 4, 0.1), patch_masks(4, 4), uniform_masks(4, 4, 0.5)):
        assert masks.dtype == jnp.float32


@pytest.mark.parametrize("delta", [1.5, -2, np.nan, "0.1"])
def test_a_delta_out_of_range_is_refused(delta):
    with pytest.raises(InputError, match=r"^delta=.*: expected a number >= -1 and <= 1$"):
        mixing_masks(8, 8, delta)


@pytest.mark.parametrize("weight", [-0.1, 1.1, np.inf])
def test_a_uniform_weight_out_of_range_is_refused(weight):
    with pytest.raises(InputError, match=r"^weight=.*: expected a number >= 0 and <= 1$"):
        uniform_masks(8, 8, weight)


@pytest.mark.parametrize("side", [1, 0, -3, 2.0, True])
def test_images_below_two_pixels_are_refused(side):
    makers = (
        lambda h, w: mixing_masks(h, w, 0.0),
        patch_masks,
        lambda h, w: uniform_masks(h, w, 0.5),
    )
    for make in makers:
        with pytest.raises(InputError, match=rf"^height={side!r}: .*larger images"):
            make(side, 8)
        with pytest.raises(InputError, match=rf"^width={side!r}: .*larger images"):
            make(8, side)


# Hybrids


def _numpy_mix(forget, partners, masks):
    """Three float32 roundings, as written, which no compiler may fuse."""
    forget, partners = forget[:, None].astype(np.float32), partners.astype(np.float32)
    blend = forget * masks[None] + partners * (1 - masks[None])
    return np.clip(blend, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("jitted", [True, False])
def test_hybrids_equal_golden_bit_for_bit(golden, side, jitted):
    forget = golden[f"forget_{side}"]
    partners = golden[f"retain_{side}"].reshape(3, 4, side, side, 3)
    expected = golden[f"hybrid_{side}"].reshape(partners.shape)
    with jax.disable_jit(not jitted):
        hybrids = mix(forget, partners, mixing_masks(side, side, float(golden["delta"][0])))
    assert hybrids.dtype == jnp.uint8
    np.testing.assert_array_equal(hybrids, expected)


def test_hybrids_skip_no_rounding_when_masks_and_mixing_compile_as_one(golden):
    rng = np.random.default_rng(0)
    forget = rng.integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    partners = rng.integers(0, 256, (64, 4, 32, 32, 3), dtype=np.uint8)
    fused = jax.jit(lambda f, p, delta: mix(f, p, mixing_masks(32, 32, delta)))
    for delta, masks in zip(golden["delta"], golden["masks_32"], strict=True):
        expected = _numpy_mix(forget, partners, masks)
        np.testing.assert_array_equal(fused(forget, partners, delta), expected)


def test_hybrids_skip_no_rounding_for_arbitrary_weights():
    rng = np.random.default_rng(1)
    forget = rng.integers(0, 256, (32, 16, 16, 3), dtype=np.uint8)
    partners = rng.integers(0, 256, (32, 4, 16, 16, 3), dtype=np.uint8)
    masks = rng.random((4, 16, 16, 1), dtype=np.float32)
    np.testing.assert_array_equal(mix(forget, partners, masks), _numpy_mix(forget, partners, masks))


def test_delta_one_keeps_the_forget_image_and_minus_one_the_retain_image():
    rng = np.random.default_rng(2)
    forget = rng.integers(0, 256, (3, 7, 6, 1), dtype=np.uint8)
    partners = rng.integers(0, 256, (3, 4, 7, 6, 1), dtype=np.uint8)
    kept = mix(forget, partners, mixing_masks(7, 6, 1.0))
    np.testing.assert_array_equal(kept, np.repeat(forget[:, None], 4, axis=1))
    np.testing.assert_array_equal(mix(forget, partners, mixing_masks(7, 6, -1.0)), partners)


def test_blending_truncates():
    forget, partners = np.full((1, 2, 2, 1), 1, np.uint8), np.full((1, 4, 2, 2, 1), 2, np.uint8)
    np.testing.assert_array_equal(mix(forget, partners, uniform_masks(2, 2, 0.5)), 1)


def test_fewer_masks_make_fewer_hybrids():
    rng = np.random.default_rng(3)
    forget = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    partners = rng.integers(0, 256, (5, 4, 8, 8, 3), dtype=np.uint8)
    masks = mixing_masks(8, 8, 0.1)
    np.testing.assert_array_equal(
        mix(forget, partners[:, :2], masks[:2]), mix(forget, partners, masks)[:, :2]
    )


# Target classes


def test_target_classes_equal_golden():
    with np.load(GOLDEN / "natmu_target_classes.npz") as arrays:
        logits, labels, expected = arrays["logits"], arrays["labels"], arrays["top4"]
    np.testing.assert_array_equal(target_classes(logits, labels, 4), expected)
    jitted = jax.jit(target_classes, static_argnames="num")
    np.testing.assert_array_equal(jitted(logits, labels, num=4), expected)


def test_all_target_classes_are_every_class_but_the_label():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(20, 6)), jnp.float32)
    labels = jnp.arange(20, dtype=jnp.int32) % 6
    classes = np.asarray(target_classes(logits, labels, 5))
    assert classes.dtype == np.int32
    for row, label in zip(classes, labels, strict=True):
        assert sorted([*row, int(label)]) == list(range(6))


def test_the_label_is_no_target_even_where_the_model_excludes_all_else():
    logits = jnp.array([[-jnp.inf, 3.0, -jnp.inf, -jnp.inf]])
    np.testing.assert_array_equal(target_classes(logits, jnp.array([1]), 3), [[0, 2, 3]])


def test_more_target_classes_than_other_classes_are_refused():
    with pytest.raises(InputError, match=r"^num=3: expected at most 2, .*fewer target classes"):
        target_classes(jnp.zeros((2, 3)), jnp.array([0, 1]), 3)


def test_no_target_class_is_refused():
    with pytest.raises(InputError, match=r"^num=0: expected a whole number >= 1"):
        target_classes(jnp.zeros((2, 3)), jnp.array([0, 1]), 0)


# All of it


@pytest.mark.runs_long
@pytest.mark.parametrize("num_classes", [10, 100])
def test_partners_and_hybrids_of_5000_images_from_45000_take_under_two_seconds(num_classes):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, num_classes, 50_000).astype(np.int32)
    logits = rng.normal(size=(5_000, num_classes)).astype(np.float32)
    preferences = np.asarray(target_classes(logits, labels[:5_000], num_classes - 1))
    retain_labels = labels[5_000:]
    seconds = []
    for _ in range(2):  # the first compiles; a busy machine takes nothing from a processor's time
        start = time.process_time()
        rows = np.asarray(draw_partners(jax.random.key(0), preferences, retain_labels, 4))
        hybrids = mix(images[:5_000], images[5_000:][rows], mixing_masks(32, 32, -0.03))
        hybrids.block_until_ready()
        seconds.append(time.process_time() - start)
    assert min(seconds) < 2
    assert rows.min() >= 0
    assert hybrids.shape == (5_000, 4, 32, 32, 3)
