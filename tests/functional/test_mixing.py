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


# Partners


def _case(seed, num_classes, forget, retain, concentration):
    """Random preferences over all classes but a label, and retain labels of random frequency."""
    rng = np.random.default_rng(seed)
    frequency = rng.dirichlet(np.full(num_classes, concentration))
    retain_labels = rng.choice(num_classes, retain, p=frequency).astype(np.int32)
    labels = rng.integers(0, num_classes, forget).astype(np.int32)
    logits = rng.normal(size=(forget, num_classes)).astype(np.float32)
    preferences = np.asarray(target_classes(logits, labels, num_classes - 1))
    return preferences, retain_labels


def _expected_classes(preferences, retain_labels, num, num_classes):
    """The rule in plain Python: class of every slot, -1 where none is left."""
    stock = np.bincount(retain_labels, minlength=num_classes).tolist()
    classes = []
    for row in preferences.tolist():
        found = []
        for candidate in row:
            if len(found) < num and stock[candidate] and candidate not in found:
                stock[candidate] -= 1
                found.append(candidate)
        classes.append(found + [-1] * (num - len(found)))
    return np.array(classes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("num_classes", "retain", "concentration"),
    [(5, 150, 5.0), (5, 150, 0.5), (8, 170, 0.3), (8, 60, 0.2), (3, 40, 1.0)],
)
def test_partners_follow_the_rule_and_serve_once_for_any_class_imbalance(
    seed, num_classes, retain, concentration
):
    num = min(4, num_classes - 1)
    preferences, retain_labels = _case(seed, num_classes, 40, retain, concentration)
    rows = np.asarray(draw_partners(jax.random.key(seed), preferences, retain_labels, num))
    expected = _expected_classes(preferences, retain_labels, num, num_classes)
    drawn = rows[rows >= 0]
    assert rows.dtype == np.int32
    assert rows.min() >= -1
    assert rows.max() < retain
    assert len(np.unique(drawn)) == len(drawn)
    np.testing.assert_array_equal(np.where(rows >= 0, retain_labels[rows], -1), expected)


def test_the_imbalanced_cases_contain_substitutes_and_empty_slots():
    substitutes = empty = 0
    for seed in range(4):
        preferences, retain_labels = _case(seed, 8, 40, 60, 0.2)
        expected = _expected_classes(preferences, retain_labels, 4, 8)
        empty += (expected < 0).sum()
        substitutes += ((expected >= 0) & (expected != preferences[:, :4])).sum()
    assert substitutes > 0
    assert empty > 0


def test_without_exhaustion_every_slot_gets_its_own_class():
    preferences, _ = _case(0, 6, 30, 1, 1.0)
    retain_labels = np.repeat(np.arange(6, dtype=np.int32), 30)
    rows = np.asarray(draw_partners(jax.random.key(0), preferences, retain_labels, 4))
    np.testing.assert_array_equal(retain_labels[rows], preferences[:, :4])


def test_a_retain_set_just_large_enough_is_used_up():
    preferences = np.array([[1, 2], [1, 2], [2, 1]], np.int32)
    retain_labels = np.array([2, 1, 1, 2, 1, 2], np.int32)
    rows = draw_partners(jax.random.key(1), preferences, retain_labels, 2)
    np.testing.assert_array_equal(np.sort(rows, axis=None), np.arange(6))


@pytest.mark.parametrize("seed", range(3))
def test_half_of_ten_classes_run_out_and_the_order_of_probability_holds(seed):
    rng = np.random.default_rng(seed)
    stock = np.array([60, 70, 80, 90, 100, 1, 2, 3, 4, 0])
    retain_labels = rng.permutation(np.repeat(np.arange(10, dtype=np.int32), stock))
    labels = rng.integers(0, 10, 60).astype(np.int32)
    # The rare classes are what most images prefer.
    logits = rng.normal(size=(60, 10)).astype(np.float32) + np.where(stock < 5, 1.5, 0)
    preferences = np.asarray(target_classes(logits, labels, 9))
    rows = np.asarray(draw_partners(jax.random.key(seed), preferences, retain_labels, 4))
    expected = _expected_classes(preferences, retain_labels, 4, 10)
    np.testing.assert_array_equal(retain_labels[rows], expected)
    assert len(np.unique(rows)) == rows.size
    assert (np.bincount(expected.ravel(), minlength=10)[5:] == stock[5:]).all()
    chosen = np.take_along_axis(logits, expected, axis=1)
    assert (np.diff(chosen, axis=1) < 0).all()
    moved = (expected != preferences[:, :4]).any(axis=1)
    assert moved.mean() > 0.8


def test_a_class_that_ran_out_is_passed_over_and_leaves_no_gap():
    preferences = np.array([[1, 2, 3, 4]], np.int32)
    rows = draw_partners(jax.random.key(0), preferences, np.array([2, 4, 3], np.int32), 2)
    np.testing.assert_array_equal(rows, [[0, 2]])


def test_slots_that_stay_empty_are_the_last():
    preferences = np.array([[1, 2, 3], [1, 2, 3]], np.int32)
    rows = draw_partners(jax.random.key(0), preferences, np.array([1, 3, 3], np.int32), 3)
    np.testing.assert_array_equal(np.asarray(rows)[:, 2], [-1, -1])
    assert rows[0, 0] == 0
    assert sorted([int(rows[0, 1]), int(rows[1, 0])]) == [1, 2]
    assert rows[1, 1] == -1


def test_an_empty_retain_set_leaves_every_slot_empty():
    rows = draw_partners(jax.random.key(0), np.array([[1, 0]]), np.zeros(0, np.int32), 2)
    np.testing.assert_array_equal(rows, [[-1, -1]])


def test_a_class_named_twice_by_an_image_serves_it_once():
    preferences = np.array([[1, 1, 1, 0]], np.int32)
    rows = draw_partners(jax.random.key(0), preferences, np.array([1, 1, 1, 0], np.int32), 3)
    assert rows[0, 0] in (0, 1, 2)
    np.testing.assert_array_equal(rows[0, 1:], [3, -1])


def test_every_retain_image_of_a_class_is_equally_likely():
    preferences, retain_labels = np.array([[1], [1]]), np.array([0, 1, 1, 0, 1, 1, 1])
    keys = jax.random.split(jax.random.key(3), 2000)
    rows = jax.vmap(lambda key: draw_partners(key, preferences, retain_labels, 1))(keys)
    counts = np.stack([np.bincount(slot, minlength=7) for slot in np.asarray(rows[:, :, 0]).T])
    np.testing.assert_array_equal(counts[:, [0, 3]], 0)
    # Binomial(2000, 1/5): five standard deviations are 89.
    assert np.abs(counts[:, [1, 2, 4, 5, 6]] - 400).max() < 90


def test_partners_depend_on_the_key_alone_and_jit_changes_nothing():
    preferences, retain_labels = _case(1, 8, 40, 170, 0.3)
    jitted = jax.jit(draw_partners, static_argnames=("num", "num_classes"))
    rows = draw_partners(jax.random.key(5), preferences, retain_labels, 4)
    again = jitted(jax.random.key(5), preferences, retain_labels, num=4)
    other = draw_partners(jax.random.key(6), preferences, retain_labels, 4)
    np.testing.assert_array_equal(rows, again)
    assert not np.array_equal(rows, other)


def test_short_preferences_need_the_number_of_classes():
    preferences, retain_labels = np.array([[7, 3]]), np.array([7, 3, 9])
    rows = draw_partners(jax.random.key(0), preferences, retain_labels, 2, num_classes=10)
    np.testing.assert_array_equal(rows, [[0, 1]])
    with pytest.raises(InputError, match=r"^preferences=7: expected classes in \[0, 3\).*num_cl"):
        draw_partners(jax.random.key(0), preferences, retain_labels, 2)


def test_retain_labels_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"^retain_labels=-1: expected classes in \[0, 3\)"):
        draw_partners(jax.random.key(0), np.array([[0, 1]]), np.array([-1, 2]), 1)


@pytest.mark.parametrize("num", [0, 3, 1.5])
def test_partners_beyond_the_preferences_are_refused(num):
    with pytest.raises(InputError, match=r"^num=.*: expected a whole number >= 1 and <= 2$"):
        draw_partners(jax.random.key(0), np.array([[0, 1]]), np.array([0, 1]), num)


@pytest.mark.runs_long
@pytest.mark.parametrize("num_classes", [10, 100])
def test_partners_and_hybrids_of_5000_images_from_45000_take_under_two_seconds(num_classes):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8)
    preferences, retain_labels = _case(0, num_classes, 5_000, 45_000, 100.0)
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
