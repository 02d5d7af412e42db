"""Probes by input gradients: closed forms on a linear model, and equality with the primitives."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from jax_unlearn.audit.probes.input_gradients import input_sensitivities, relevance_maps
from jax_unlearn.audit.probes.taught import masked_forget_accuracy, taught_targets
from jax_unlearn.core import FORGET, HYBRID, RETAIN, Model, Pool

WEIGHTS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def linear(variables, images, *, train):
    del train
    return images.reshape(len(images), -1) @ variables, variables


MODEL = Model(init=lambda key: jnp.asarray(WEIGHTS), apply=linear)
IMAGES = np.random.default_rng(1).integers(0, 256, (7, 2, 2, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0])


def test_of_a_linear_model_sensitivities_are_squared_norms_of_its_columns():
    found = input_sensitivities(MODEL, jnp.asarray(WEIGHTS), IMAGES, LABELS, 3)
    norms = (WEIGHTS.astype(float) ** 2).sum(0)
    np.testing.assert_allclose(found.true_class, norms[LABELS], rtol=1e-5)
    others = (norms.sum() - norms[LABELS]) / 2
    np.testing.assert_allclose(found.irrelevant, others, rtol=1e-5)


def test_of_a_linear_model_relevance_sums_to_the_logit_and_is_a_map_of_pixels():
    found = relevance_maps(MODEL, jnp.asarray(WEIGHTS), IMAGES, LABELS)
    unit = IMAGES.reshape(7, 12) / 255.0
    expected = (unit * WEIGHTS[:, LABELS].T).reshape(7, 2, 2, 3).sum(3)
    assert found.shape == (7, 2, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def pool(role, label, **extra):
    image = np.zeros((len(role), 2, 2, 3), np.uint8)
    return Pool(image, np.asarray(label), np.asarray(role), np.zeros(len(role), bool), extra)


def test_what_is_taught_are_hybrids_and_forget_images_under_other_labels():
    own = np.array([1, 2])
    shown = taught_targets(pool([RETAIN, HYBRID, HYBRID], [0, 1, 2]), own, 3)
    np.testing.assert_array_equal(shown.target, np.eye(3)[[1, 2]])
    relabelled = taught_targets(pool([RETAIN, FORGET, FORGET], [0, 0, 1]), own, 3)
    np.testing.assert_array_equal(relabelled.target, np.eye(3)[[0, 1]])
    assert relabelled.image.shape == (2, 2, 2, 3)


def test_who_shows_forget_images_under_their_own_labels_or_none_teaches_nothing_about_them():
    assert taught_targets(pool([RETAIN, FORGET, FORGET], [0, 1, 2]), np.array([1, 2]), 3) is None
    assert taught_targets(pool([RETAIN, RETAIN], [0, 1]), np.array([1, 2]), 3) is None


def test_a_teachers_logits_are_softened_by_the_temperature():
    teacher = np.array([[9.0, 0.0, 0.0], [2.0, 0.0, 0.0]], np.float32)
    taught = taught_targets(
        pool([RETAIN, FORGET], [0, 1], teacher=teacher), np.array([1]), 3, temperature=2.0
    )
    expected = np.exp([1.0, 0.0, 0.0]) / np.exp([1.0, 0.0, 0.0]).sum()
    np.testing.assert_allclose(taught.target, [expected], rtol=1e-6)


def test_the_masked_part_is_the_forget_image_on_black_under_the_mask():
    # Class 0 sees the left column, class 1 the right one.
    weights = np.zeros((2, 2, 3, 2), np.float32)
    weights[:, 0, :, 0] = weights[:, 1, :, 1] = 1
    model = Model(init=lambda key: None, apply=linear)
    image = np.full((3, 2, 2, 3), 200, np.uint8)
    left = np.zeros((2, 2, 1), np.float32)
    left[:, 0] = 1
    mask = np.stack([left, 1 - left])
    right = SimpleNamespace(mask=mask, label=np.tile([0, 1], (3, 1)))
    half = SimpleNamespace(mask=mask, label=np.tile([0, 0], (3, 1)))
    variables = jnp.asarray(weights.reshape(12, 2))
    assert masked_forget_accuracy(model, variables, image, right) == 100.0
    assert masked_forget_accuracy(model, variables, image, half) == 50.0
