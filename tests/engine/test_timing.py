"""The stopwatch counts compilation apart, and nothing twice."""

import time

import jax
import jax.numpy as jnp
import pytest

from jax_unlearn.engine.timing import Stopwatch, _covered


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [
        ([], 0),
        ([(1, 2), (3, 5)], 3),
        ([(1, 4), (2, 3)], 3),
        ([(2, 3), (1, 4)], 3),
        ([(1, 3), (2, 5)], 4),
        ([(1, 2), (1, 2)], 1),
        ([(-2, 1)], 1),
    ],
)
def test_overlapping_intervals_count_once_and_not_from_before_the_start(intervals, seconds):
    assert _covered(intervals, 0.0) == seconds


def test_time_adds_up_over_spells_and_stands_still_between_them():
    watch = Stopwatch()
    for _ in range(2):
        with watch.running():
            time.sleep(0.05)
        time.sleep(0.3)
    assert 0.1 <= watch.run < 0.3
    assert watch.compile == 0


def test_compilation_is_counted_apart_from_running():
    watch = Stopwatch()
    start = time.perf_counter()

    @jax.jit
    def slow_to_compile(x):
        for _ in range(200):
            x = jnp.sin(x) @ x
        return x

    with watch.running():
        slow_to_compile(jnp.eye(3)).block_until_ready()
    wall = time.perf_counter() - start
    assert 0 < watch.run < watch.compile < wall
    compiled = watch.compile
    with watch.running():
        slow_to_compile(jnp.eye(3)).block_until_ready()
    assert watch.compile == compiled


def test_an_error_inside_stops_the_watch_and_passes_on():
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.running():
        raise KeyError
    before = watch.compile
    jax.jit(lambda x: x * 3.14159)(1.0)
    assert watch.compile == before
