"""A forget set unlearned part by part."""

import dataclasses

import chex
import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.engine.sequences import step_problems
from jax_unlearn.testing import small_problem

KEY = jax.random.key(5)
FINETUNE = ju.finetune(epochs=1, batch_size=10)
ASCENT = ju.gradient_ascent(epochs=1, batch_size=5)
PARTS = [np.arange(0, 5), np.arange(5, 10)]


def by_hand(methods):
    """Two runs, the second from the weights of the first."""
    problem = small_problem()
    first, second = (ju.Examples(*(column[rows] for column in problem.forget)) for rows in PARTS)
    both = ju.Examples(*map(np.concatenate, zip(problem.retain, second, strict=True)))
    seen = dataclasses.replace(problem, forget=first, retain=both)
    one = ju.run(methods[0], seen, jax.random.fold_in(KEY, 0))
    seen = dataclasses.replace(problem, forget=second, variables=one.variables)
    return one, ju.run(methods[1], seen, jax.random.fold_in(KEY, 1))


@pytest.mark.parametrize("methods", [(FINETUNE, FINETUNE), (ASCENT, FINETUNE)])
def test_a_sequence_of_two_requests_is_two_runs_bit_for_bit(methods):
    asked = methods[0] if methods[0] is methods[1] else methods
    results = ju.run_sequence(asked, small_problem(), PARTS, KEY)
    for result, alone in zip(results, by_hand(methods), strict=True):
        chex.assert_trees_all_equal(
            jax.device_get(result.variables), jax.device_get(alone.variables)
        )
        assert result.history == alone.history


def test_one_part_is_a_plain_run():
    (result,) = ju.run_sequence(ASCENT, small_problem(), [np.arange(10)], KEY)
    alone = ju.run(ASCENT, small_problem(), jax.random.fold_in(KEY, 0))
    chex.assert_trees_all_equal(jax.device_get(result.variables), jax.device_get(alone.variables))


def test_each_step_retains_what_no_step_has_removed_yet():
    parts = [np.array([7, 2]), np.array([0, 1, 3]), np.array([4, 5, 6, 8, 9])]
    gone = np.zeros(0, int)
    for part, seen in zip(parts, step_problems(small_problem(), parts), strict=True):
        gone = np.concatenate([gone, part])
        assert set(seen.forget.id) == set(part)
        assert set(seen.retain.id) == set(range(70)) - set(gone)
    without = dataclasses.replace(small_problem(), retain=None)
    assert all(seen.retain is None for seen in step_problems(without, parts))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([np.arange(6), np.arange(5, 10)], r"^parts: 1 id in more than one, 5 the first"),
        ([np.arange(5)], r"^parts: id 5 is in the parts or in the forget set alone, as are 4 more"),
        ([np.arange(10), np.array([10])], r"^parts: id 10 is in"),
        ([np.arange(10), np.zeros(0, int)], r"^parts\[1\]=int64\[0\]: expected ids"),
        ([], r"^parts: id 0 is in"),
    ],
)
def test_parts_that_do_not_divide_the_forget_set_are_refused(parts, message):
    with pytest.raises(ju.InputError, match=message) as caught:
        ju.run_sequence(FINETUNE, small_problem(), parts, KEY)
    assert "\n" not in str(caught.value)


def test_a_method_too_many_or_checkpoints_are_refused():
    with pytest.raises(ju.InputError, match=r"^unlearners=3 methods: .* each of the 2 parts"):
        ju.run_sequence([FINETUNE] * 3, small_problem(), PARTS, KEY)
    with pytest.raises(ju.InputError, match=r"^checkpoints: are of one run"):
        ju.run_sequence(FINETUNE, small_problem(), PARTS, KEY, checkpoints="some")
