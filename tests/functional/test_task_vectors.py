"""Arithmetic of task vectors, and what holds weights back."""

import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional


def test_entries_whose_signs_agree_keep_their_mean_and_all_others_are_zero():
    vectors = {"w": jnp.array([[1.0, 1.0, 0.0, -2.0], [3.0, -1.0, 5.0, -4.0]])}
    merged = functional.sign_consensus(vectors)
    np.testing.assert_array_equal(merged["w"], [2.0, 0.0, 0.0, -3.0])


def test_one_vector_is_its_own_consensus():
    vector = jnp.array([[1.5, -0.25, 0.0]])
    np.testing.assert_array_equal(functional.sign_consensus(vector), vector[0])


def test_negation_leads_from_the_start_away_from_the_tuned_weights():
    start, tuned = jnp.array([1.0, 2.0]), jnp.array([3.0, 1.0])
    vector = tuned - start
    np.testing.assert_array_equal(functional.negate_task_vector(start, vector, 0.0), start)
    np.testing.assert_array_equal(functional.negate_task_vector(start, vector, 0.5), [0.0, 2.5])
    np.testing.assert_array_equal(functional.negate_task_vector(start, vector, -1.0), tuned)


def test_the_least_important_weight_of_each_array_is_held_the_most():
    held = functional.hold_unimportant({"a": jnp.array([2.0, 4.0, 3.0]), "b": jnp.ones(2)})
    np.testing.assert_array_equal(held["a"], [1.0, 0.0, 0.5])
    np.testing.assert_array_equal(held["b"], [1.0, 1.0])


def test_a_distance_weighs_each_weight():
    params, start = [jnp.array([3.0, 1.0])], [jnp.array([1.0, 1.5])]
    assert functional.weighted_distance(params, start, [jnp.array([0.5, 4.0])]) == 1.5
