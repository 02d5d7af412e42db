"""Adversarial images, on linear networks, where distances are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn import functional

KEYS = jax.random.split(jax.random.key(0), 4)
WEIGHTS = jax.random.normal(KEYS[0], (4 * 4, 2))
IMAGES = jax.random.uniform(KEYS[1], (6, 4, 4, 1), minval=0.4, maxval=0.6)


def logits_of(images):
    return images.reshape(len(images), -1) @ WEIGHTS


LABELS = logits_of(IMAGES).argmax(axis=1)


def distances(a, b):
    return jnp.sqrt(((a - b) ** 2).sum((1, 2, 3)))


def margins():
    """How far each image is from the boundary of the linear network."""
    difference = WEIGHTS[:, 0] - WEIGHTS[:, 1]
    height = IMAGES.reshape(len(IMAGES), -1) @ difference
    return jnp.abs(height) / jnp.linalg.norm(difference)


def test_one_step_moves_every_pixel_by_the_step_towards_the_other_class():
    moved = functional.fgsm(logits_of, IMAGES, LABELS, 0.05) - IMAGES
    side = jnp.where(LABELS == 0, 1.0, -1.0)[:, None]
    away = jnp.sign((WEIGHTS[:, 1] - WEIGHTS[:, 0])[None] * side)
    np.testing.assert_allclose(moved.reshape(6, -1), 0.05 * away, atol=1e-6)


@pytest.mark.parametrize("step", [0.0, 0.1, 0.7, 3.0])
def test_one_step_stays_within_the_step_and_within_the_range_of_pixels(step):
    attacked = functional.fgsm(logits_of, IMAGES, LABELS, step)
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert jnp.abs(attacked - IMAGES).max() <= step + 1e-6


def test_a_step_and_a_range_may_be_a_channels_own():
    images = jnp.full((2, 4, 4, 3), 0.5)
    weights = jax.random.normal(KEYS[2], (48, 2))
    step, high = jnp.array([0.1, 0.2, 0.9]), jnp.array([1.0, 0.6, 1.0])
    given = {"low": 0.0, "high": high}
    of = lambda x: x.reshape(2, -1) @ weights  # noqa: E731
    attacked = functional.fgsm(of, images, jnp.array([0, 1]), step, **given)
    np.testing.assert_allclose(attacked.max((0, 1, 2)), [0.6, 0.6, 1.0], atol=1e-6)
    np.testing.assert_allclose(attacked.min((0, 1, 2)), [0.4, 0.3, 0.0], atol=1e-6)


def test_the_nearest_adversary_is_across_the_boundary_in_the_first_ball_that_reaches_it():
    found = jax.jit(lambda x, y: functional.nearest_adversaries(logits_of, x, y, radius=0.003))(
        IMAGES, LABELS
    )
    assert found.found.all()
    np.testing.assert_array_equal(found.label, 1 - LABELS)
    np.testing.assert_array_equal(found.label, logits_of(found.image).argmax(axis=1))
    distance, margin = distances(found.image, IMAGES), margins()
    assert (distance >= margin - 1e-6).all()
    # At the end of a ball is where it is crossed, or one stride further.
    assert (distance <= margin + found.radius / 10 + 1e-6).all()
    assert (distance <= found.radius + 1e-6).all()
    assert (found.radius < 2 * margin).all()
    assert len(set(np.asarray(found.radius))) > 1


def test_an_image_finds_its_adversary_as_it_does_alone():
    together = functional.nearest_adversaries(logits_of, IMAGES, LABELS)
    alone = functional.nearest_adversaries(logits_of, IMAGES[2:3], LABELS[2:3])
    np.testing.assert_allclose(together.image[2:3], alone.image, atol=1e-6)
    assert together.radius[2] == alone.radius[0]


def test_an_image_that_is_seen_as_another_class_is_its_own_adversary():
    found = functional.nearest_adversaries(logits_of, IMAGES, 1 - LABELS)
    np.testing.assert_array_equal(found.image, IMAGES)
    np.testing.assert_array_equal(found.label, LABELS)
    assert found.found.all()


def test_a_network_that_always_says_the_same_has_no_adversaries():
    constant = lambda images: jnp.zeros((len(images), 2)) + jnp.array([[1.0, 0.0]])  # noqa: E731
    given = {"radius": 0.5, "steps": 2, "doublings": 3}
    found = functional.nearest_adversaries(constant, IMAGES, jnp.zeros(6, jnp.int32), **given)
    assert not found.found.any()
    np.testing.assert_array_equal(found.radius, np.full(6, 4.0))
    assert jnp.isfinite(found.image).all()


@pytest.mark.parametrize("radius", [0.1, 0.8, 5.0])
def test_a_targeted_attack_stays_in_its_ball_and_leads_to_its_target(radius):
    keys = jax.random.split(KEYS[3], 6)
    given = {"radius": radius, "step": 0.2, "steps": 30}
    images = functional.targeted_adversaries(logits_of, IMAGES, 1 - LABELS, keys, **given)
    assert (distances(images, IMAGES) <= radius + 1e-6).all()
    assert images.min() >= 0
    assert images.max() <= 1
    reached = logits_of(images).argmax(axis=1) == 1 - LABELS
    np.testing.assert_array_equal(reached, margins() < radius)


def test_an_attack_starts_inside_the_ball_and_the_range_of_pixels_each_image_with_its_own_key():
    keys = jax.random.split(KEYS[3], 6)
    offsets = functional.random_offsets(keys, IMAGES, 0.3)
    assert (distances(offsets, 0) <= 0.3 + 1e-6).all()
    assert (IMAGES + offsets).min() >= 0
    assert (IMAGES + offsets).max() <= 1
    np.testing.assert_array_equal(offsets[4:], functional.random_offsets(keys[4:], IMAGES[4:], 0.3))


def test_error_maximizing_noise_leads_away_from_its_class_and_keeps_small():
    noise = jax.random.normal(KEYS[2], (3, 4, 4, 1))
    labels = jnp.array([0, 1, 1])
    rise = []
    for penalty in (0.0, 1.0):
        given = {"steps": 20, "rate": 0.1, "penalty": penalty}
        made = functional.error_maximizing_noise(logits_of, noise, labels, **given)
        rise.append(functional.cross_entropy(logits_of(made), labels))
        alone = functional.error_maximizing_noise(logits_of, noise[1:2], labels[1:2], **given)
        np.testing.assert_allclose(made[1:2], alone, atol=1e-5)
    assert (rise[0] > functional.cross_entropy(logits_of(noise), labels) + 1).all()
    assert (rise[0] > rise[1]).all()
