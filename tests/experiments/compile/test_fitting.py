"""The largest batch that fits, found by compiling a few."""

import math

import numpy as np
import pytest

from experiments.compile.fitting import TRIES, confirmed_batch, halved


@pytest.mark.parametrize(
    ("fixed", "per_row", "curve", "guess"),
    [
        (2e9, 1e7, 0, 800),
        (2e9, 1e7, 0, 500),
        (2e9, 1e7, 0, 1500),
        (0, 1e7, 50, 990),
        (5e9, 9e6, 80, 64),
    ],
)
def test_the_largest_batch_is_found_between_two_that_are_compiled(fixed, per_row, curve, guess):
    room, tried = 1e10, []

    def size(batch):
        return fixed + per_row * batch + curve * batch**2

    def needs(batch):
        tried.append(batch)
        return size(batch)

    most, least = confirmed_batch(needs, {64: size(64)}, guess, room, 8)
    assert most % 8 == least % 8 == 0
    assert size(most) <= room < size(least)
    assert 64 < most < least <= max(most * 1.02, most + 8)
    assert len(tried) == len(set(tried)) <= TRIES
    assert {most, least} <= set(tried)


def test_the_largest_batch_is_found_where_a_compiler_saves_memory_beyond_the_room():
    room, tried = 80.0, []

    def needs(batch):
        tried.append(batch)
        size = 5 + batch / 175
        return size if size < room else room + 0.2 * (size - room)

    most, least = confirmed_batch(needs, {256: needs(256)}, 24520, room, 8)
    assert most <= 75 * 175 < least
    assert least - most <= 0.1 * most


def test_the_largest_batch_is_found_where_memory_hardly_grows_before_the_room():
    known = {256: 1.484}
    # As of a ResNet-50 on eight H100: the compiler plans what is left so that it fits.
    sizes = {11864: 59.30, 12260: 59.28, 12512: 59.293, 13000: 59.774, 18512: 76.36, 24520: 105.37}

    def needs(batch):
        return float(np.interp(batch, *zip(*{**known, **sizes}.items(), strict=True)))

    most, least = confirmed_batch(needs, known, 11864, 59.332, 8)
    assert 12260 <= most < 12552 <= least <= 1.05 * most


def test_the_largest_batch_is_found_where_the_compiler_says_nothing_but_no():
    tried = []

    def needs(batch):
        tried.append(batch)
        return 0.5 + batch / 1600 if batch <= 800 else math.inf

    assert confirmed_batch(needs, {64: 0.54}, 1000, 1.0, 8) == (800, 808)
    assert tried[:2] == [1000, 896]
    refused = lambda batch: math.inf  # noqa: E731
    assert confirmed_batch(refused, {8: math.inf}, 1000, 1.0, 8) == (0, 8)
    # What fits in every size is left after a few tries.
    most, least = confirmed_batch(lambda batch: 0.5, {8: 0.5}, 16, 1.0, 8)
    assert (most, least) == (8 * 2**TRIES, None)


@pytest.mark.parametrize("batch", [4096, 1000, 808])
def test_the_largest_batch_is_found_from_one_that_the_compiler_refuses(batch):
    tried = []

    def needs(batch):
        tried.append(batch)
        return 0.2 + batch / 1000 if batch <= 800 else math.inf

    sizes = halved(needs, batch, 8)
    assert math.isfinite(sizes.pop(min(sizes)))
    assert set(map(math.isinf, sizes.values())) == {True}
    sizes = halved(needs, batch, 8)
    del tried[:]
    guess = int(min(sizes) / sizes[min(sizes)])
    most, least = confirmed_batch(needs, sizes, guess, 1.0, 8)
    assert most <= 800 < least <= max(1.02 * most, most + 8)
    assert len(tried) <= TRIES
    assert halved(lambda batch: math.inf, 20, 8) == {20: math.inf, 8: math.inf}
