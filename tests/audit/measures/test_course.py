import numpy as np
import pytest

from jax_unlearn.audit.measures.course import area_over_course, course, overshoot, worst_over_course
from jax_unlearn.core import InputError

MEASURES = (worst_over_course, overshoot, area_over_course)


def test_a_course_is_read_from_the_history_with_gaps_as_nan():
    history = [{"step": 0.0, "FA": 99.0}, {"step": 5.0}, {"step": 9.0, "FA": 93.0}]
    np.testing.assert_array_equal(course(history, "FA"), [99.0, np.nan, 93.0])


@pytest.mark.parametrize("measure", MEASURES)
def test_a_course_that_stays_at_the_oracle_is_perfect(measure):
    assert measure([94.0, 94.0, 94.0], 94.0) == 0.0


@pytest.mark.parametrize("measure", MEASURES)
def test_courses_mirrored_at_the_oracle_are_equally_far(measure):
    values = np.array([100.0, 97.0, 90.0, 93.0])
    assert measure(values, 94.0) == measure(188.0 - values, 94.0) > 0.0


def test_the_worst_checkpoint_is_not_the_start():
    assert worst_over_course([100.0, 96.0, 91.0, 94.0], 94.0) == 3.0
    assert worst_over_course([100.0, 94.0], 94.0) == 0.0


def test_overshoot_counts_only_what_lies_past_the_oracle():
    assert overshoot([100.0, 97.0, 95.0], 94.0) == 0.0
    assert overshoot([100.0, 97.0, 91.5, 94.0], 94.0) == 2.5
    assert overshoot([94.0, 95.0], 94.0) == 1.0


def test_the_area_of_a_straight_line_to_the_oracle_is_half_its_height():
    assert area_over_course([100.0, 94.0], 94.0) == 3.0
    assert area_over_course([100.0, 98.0, 96.0, 94.0], 94.0) == 3.0


def test_the_area_counts_both_sides_of_a_crossing():
    # Two triangles of height 6 and 2 over 3/4 and 1/4 of an epoch.
    assert area_over_course([100.0, 92.0], 94.0) == pytest.approx(0.5 * (6 * 0.75 + 2 * 0.25))


def test_the_area_equals_a_fine_sum_and_does_not_depend_on_the_number_of_epochs():
    values = np.random.default_rng(0).normal(94, 3, 8)
    fine = np.interp(np.linspace(0, 7, 700_001), np.arange(8), values)
    expected = np.mean(np.abs(fine - 94.0))
    assert area_over_course(values, 94.0) == pytest.approx(expected, rel=1e-4)
    halved = np.interp(np.arange(0, 7.5, 0.5), np.arange(8), values)
    assert area_over_course(halved, 94.0) == pytest.approx(area_over_course(values, 94.0))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_checkpoint_that_is_not_finite_leaves_the_measure_unknown(measure):
    assert np.isnan(measure([100.0, np.nan, 94.0], 94.0))
    assert np.isnan(measure([100.0, 94.0], np.nan))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_course_needs_a_checkpoint_after_the_start(measure):
    with pytest.raises(InputError, match=r"values=array of shape \[1\]: expected \[E \+ 1\], E"):
        measure([100.0], 94.0)


def test_unknown_measures_and_empty_histories_are_refused():
    with pytest.raises(InputError, match="name='FAA': did you mean FA"):
        course([{"FA": 1.0}], "FAA")
    with pytest.raises(InputError, match=r"history=\[\]"):
        course([], "FA")
