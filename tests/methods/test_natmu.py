"""NatMU's six steps, its limits and its ablations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import HYBRID, InputError, Problem
from jax_unlearn.models.predict import predict_logits

KEY = jax.random.key(0)


def problem_with(lab, forget_label, retain_label):
    """A problem of the given labels, with the trained network and random images."""
    rng = np.random.default_rng(0)

    def examples(label, first):
        label = np.asarray(label, np.int32)
        image = rng.integers(0, 256, (len(label), 8, 8, 1), np.uint8)
        return ju.Examples(image, label, np.arange(first, first + len(label)))

    return dataclasses.replace(
        lab.problem,
        forget=examples(forget_label, 0),
        retain=examples(retain_label, len(forget_label)),
    )


def test_a_hybrid_is_the_blend_of_its_parts(lab):
    hybrids = ju.natmu(delta=0.1).hybrids(KEY, lab.problem)
    forget, retain = lab.problem.forget.image, lab.problem.retain.image
    mask = functional.mixing_masks(8, 8, 0.1)
    np.testing.assert_array_equal(hybrids.mask, mask)
    again = functional.mix(jnp.asarray(forget), jnp.asarray(retain[hybrids.partner]), mask)
    np.testing.assert_array_equal(hybrids.image, again)
    # In double precision, written out for one pixel of one hybrid.
    weight = float(mask[2, 1, 5, 0])
    blend = weight * forget[7, 1, 5, 0] + (1 - weight) * retain[hybrids.partner[7, 2], 1, 5, 0]
    assert abs(int(hybrids.image[7, 2, 1, 5, 0]) - int(blend)) <= 1


def test_labels_are_the_partners_true_labels(lab):
    hybrids = ju.natmu().hybrids(KEY, lab.problem)
    np.testing.assert_array_equal(hybrids.label, lab.problem.retain.label[hybrids.partner])
    assert hybrids.label.dtype == jnp.int32


@pytest.mark.parametrize("request_name", ["problem", "random"])
def test_target_classes_are_the_originals_most_probable_other_classes(request_name, lab):
    problem = getattr(lab, request_name)
    hybrids = ju.natmu().hybrids(KEY, problem)
    logits = predict_logits(problem.model, problem.variables, problem.forget.image)
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = [
        [k for k in row if k != label][:4]
        for row, label in zip(order, problem.forget.label, strict=True)
    ]
    unlimited = np.bincount(np.ravel(expected), minlength=10) <= np.bincount(
        problem.retain.label, minlength=10
    )
    whole = unlimited[np.asarray(expected)].all(axis=1)
    assert whole.any()
    np.testing.assert_array_equal(np.asarray(hybrids.label)[whole], np.asarray(expected)[whole])


def test_no_partner_serves_twice_though_classes_run_out(lab):
    retain = np.repeat(np.arange(10), (40, 3, 2, 0, 1, 40, 60, 60, 60, 60))
    problem = problem_with(lab, [3] * 20 + [0] * 5, retain)
    hybrids = ju.natmu().hybrids(KEY, problem)
    partner = np.asarray(hybrids.partner)
    assert len(set(partner.ravel())) == partner.size == 100
    label = np.asarray(hybrids.label)
    assert all(len(set(row)) == 4 for row in label)
    assert not np.any(label == problem.forget.label[:, None])
    assert np.bincount(label.ravel(), minlength=10)[[1, 2, 4]].tolist() == [3, 2, 1]
    logits = predict_logits(problem.model, problem.variables, problem.forget.image)
    assert (np.diff(np.take_along_axis(np.asarray(logits), label, axis=1), axis=1) <= 0).all()


def test_at_delta_one_training_is_plain_relabelling(lab):
    hybrids = ju.natmu(delta=1.0).hybrids(KEY, lab.problem)
    for k in range(4):
        np.testing.assert_array_equal(hybrids.image[:, k], lab.problem.forget.image)
    np.testing.assert_array_equal(hybrids.label, lab.problem.retain.label[hybrids.partner])


def test_at_delta_minus_one_a_hybrid_is_its_partner(lab):
    hybrids = ju.natmu(delta=-1.0).hybrids(KEY, lab.problem)
    np.testing.assert_array_equal(hybrids.image, lab.problem.retain.image[hybrids.partner])


def test_the_pool_holds_augmented_retain_rows_then_hybrids_as_they_are(lab):
    problem, unlearner = lab.problem, ju.natmu()
    pool, hybrids = unlearner.pool(KEY, problem), unlearner.hybrids(KEY, problem)
    kept = len(problem.retain.label)
    np.testing.assert_array_equal(pool.image[:kept], problem.retain.image)
    np.testing.assert_array_equal(pool.label[:kept], problem.retain.label)
    assert np.all(np.asarray(pool.augment[:kept]))
    np.testing.assert_array_equal(pool.image[kept:], hybrids.image.reshape(-1, 8, 8, 1))
    np.testing.assert_array_equal(pool.label[kept:], hybrids.label.ravel())
    assert np.all(np.asarray(pool.role[kept:]) == HYBRID)
    assert not np.any(np.asarray(pool.augment[kept:]))
    assert len(pool.label) == kept + 4 * len(problem.forget.label)


def test_the_forget_images_themselves_are_not_shown(lab):
    pool = ju.natmu().pool(KEY, lab.problem)
    shown = {image.tobytes() for image in np.asarray(pool.image)}
    assert not any(image.tobytes() in shown for image in lab.problem.forget.image)


def test_fewer_masks_are_the_first_ones(lab):
    two = ju.natmu(num=2).hybrids(KEY, lab.problem)
    assert two.image.shape == (len(lab.problem.forget.label), 2, 8, 8, 1)
    np.testing.assert_array_equal(two.mask, functional.mixing_masks(8, 8, -0.19)[:2])


def test_more_hybrids_than_masks_use_the_masks_again(lab):
    problem = problem_with(lab, [3] * 20, np.repeat(np.arange(10), 40))
    eight, four = (ju.natmu(num=num).hybrids(KEY, problem) for num in (8, 4))
    mask = functional.mixing_masks(8, 8, -0.19)
    np.testing.assert_array_equal(eight.mask, jnp.concatenate([mask, mask]))
    np.testing.assert_array_equal(eight.label[:, :4], four.label)
    assert all(len({3, *row}) == 9 for row in np.asarray(eight.label).tolist())
    assert np.bincount(eight.label.ravel(), minlength=10)[3] == 0


def test_patches_show_either_the_forget_or_the_retain_pixel(lab):
    hybrids = ju.natmu(masks="patches").hybrids(KEY, lab.problem)
    forget = lab.problem.forget.image[:, None]
    retain = lab.problem.retain.image[hybrids.partner]
    shown = np.asarray(hybrids.mask)[None] == 1
    np.testing.assert_array_equal(hybrids.image, np.where(shown, forget, retain))


@pytest.mark.parametrize("delta", [-0.19, 0.0, 0.3])
def test_uniform_blending_has_the_mean_weight_of_the_gradual_masks_plus_delta(delta, lab):
    mask = np.asarray(ju.natmu(masks="uniform", delta=delta).hybrids(KEY, lab.problem).mask)
    assert np.ptp(mask) == 0
    # Sides of 8 have weights 0, 1/4, 2/4, 3/4, twice each: their mean is 3/8.
    assert mask.flat[0] == pytest.approx(0.375 + delta, rel=1e-6)


def test_random_targets_are_other_classes_spread_evenly(lab):
    problem = problem_with(lab, [3] * 200, np.repeat(np.arange(10), 250))
    labels = np.asarray(ju.natmu(targets="random").hybrids(KEY, problem).label)
    counts = np.bincount(labels.ravel(), minlength=10)
    assert counts[3] == 0
    # 800 draws over nine classes: 89 each, with a deviation below 8.
    assert np.abs(np.delete(counts, 3) - 800 / 9).max() < 40


def test_random_wrong_labels_are_never_the_true_one_and_not_the_partners(lab):
    hybrids = ju.natmu(hybrid_label="random_wrong").hybrids(KEY, lab.problem)
    label = np.asarray(hybrids.label)
    assert not np.any(label == lab.problem.forget.label[:, None])
    assert np.any(label != lab.problem.retain.label[hybrids.partner])
    assert len(set(label.ravel())) == 9


def test_without_injection_a_hybrid_is_the_masked_forget_image_on_black(lab):
    unlearner = ju.natmu(inject=False, masks="patches")
    hybrids = unlearner.hybrids(KEY, lab.problem)
    expected = lab.problem.forget.image[:, None] * np.asarray(hybrids.mask, np.uint8)[None]
    np.testing.assert_array_equal(hybrids.image, expected)
    injected = dataclasses.replace(unlearner, inject=True).hybrids(KEY, lab.problem)
    np.testing.assert_array_equal(hybrids.label, injected.label)


def test_hybrids_depend_on_the_key_alone(lab):
    first, again = (ju.natmu().hybrids(KEY, lab.problem) for _ in range(2))
    other = ju.natmu().hybrids(jax.random.key(1), lab.problem)
    np.testing.assert_array_equal(first.partner, again.partner)
    assert np.any(first.partner != other.partner)


def test_a_retain_set_that_is_too_small_is_refused(lab):
    problem = problem_with(lab, [3] * 20, np.arange(70) % 10)
    with pytest.raises(
        InputError, match=r"^num=4: 20 forget images need 80 .* there are 70; lower"
    ):
        ju.run(ju.natmu(batch_size=10), problem, KEY)


def test_a_retain_set_of_too_few_classes_is_refused(lab):
    problem = problem_with(lab, [3] * 20, np.arange(300) % 3)
    with pytest.raises(
        InputError, match=r"^num=4: 20 forget images .*; lower num or forget fewer$"
    ):
        ju.natmu().hybrids(KEY, problem)


def test_a_class_that_others_used_up_is_refused_with_the_number_of_images_left_short(
    linear_problem,
):
    # Every image prefers classes 4, 3, 2, ...: the first two take all there is of 4 and 3.
    variables = {"weight": jnp.zeros((4, 5)), "bias": jnp.arange(5.0)}
    forget = linear_problem.forget
    problem = dataclasses.replace(
        linear_problem,
        variables=variables,
        forget=ju.Examples(forget.image[:3], np.array([0, 0, 4], np.int32), forget.id[:3]),
        retain=ju.Examples(
            linear_problem.retain.image[:6], np.array([2, 2, 3, 3, 4, 4], np.int32), np.arange(6)
        ),
    )
    with pytest.raises(InputError, match=r"^num=2: the retain set ran out .* for 1 of 3 forget"):
        ju.natmu(num=2).hybrids(KEY, problem)


def test_more_hybrids_than_other_classes_are_refused(linear_problem):
    four = dataclasses.replace(linear_problem, num_classes=4)
    with pytest.raises(
        InputError, match=r"^num=4: expected at most 3, the number of other classes"
    ):
        ju.natmu().hybrids(KEY, four)


def test_a_linear_layer_is_redrawn_only_on_request(lab):
    problem: Problem = lab.problem
    kept = ju.natmu().init(KEY, problem).variables["params"]["second"]["kernel"]
    drawn = ju.natmu(reinit_linear=True).init(KEY, problem).variables["params"]["second"]["kernel"]
    np.testing.assert_array_equal(kept, problem.variables["params"]["second"]["kernel"])
    assert np.all(np.asarray(drawn != kept))
