import numpy as np
import pytest

from jax_unlearn.audit.measures.klom import klom, klom_percentiles
from jax_unlearn.core import InputError

FLOOR = 1e-5


def test_equal_banks_diverge_by_nothing():
    margins = np.random.default_rng(0).normal(size=(50, 4))
    # Bins without an oracle are raised to the floor, which costs at most 20 floors.
    assert (klom(margins, margins[::-1]) < 20 * FLOOR + 1e-12).all()
    assert (klom(margins, margins[::-1]) >= 0).all()


def test_disjoint_banks_diverge_by_the_log_of_the_floor():
    found = klom(np.full((8, 1), 5.0), np.linspace(-5, 0, 8)[:, None])
    # The last of 20 bins holds all unlearned models and no oracle.
    assert found.item() == pytest.approx(np.log(1 / FLOOR), abs=2e-4)


def test_halves_give_the_closed_form():
    # Two bins in use: unlearned (3/4, 1/4), oracles (1/2, 1/2); 18 empty bins at the floor.
    unlearned, oracle = np.array([[0.0, 0, 0, 1]]).T, np.array([[0.0, 0, 1, 1]]).T
    q = 0.5 / (1 + 18 * FLOOR)
    forward = 0.75 * np.log(0.75 / q) + 0.25 * np.log(0.25 / q)
    assert klom(unlearned, oracle).item() == pytest.approx(forward, rel=1e-12)
    p = np.array([0.75, 0.25]) / (1 + 18 * FLOOR)
    backward = np.sum(0.5 * np.log(0.5 / p))
    found = klom(unlearned, oracle, direction="oracle_to_unlearned").item()
    assert found == pytest.approx(backward, rel=1e-12)


def test_the_direction_punishes_what_the_second_bank_never_does():
    wide, narrow = np.linspace(-10, 10, 100)[:, None], np.linspace(-1, 1, 100)[:, None]
    assert klom(wide, narrow) > 3 * klom(wide, narrow, direction="oracle_to_unlearned")
    assert klom(wide, narrow) == klom(narrow, wide, direction="oracle_to_unlearned")


def test_it_follows_numpy_histograms_example_by_example():
    rng = np.random.default_rng(1)
    unlearned, oracle = rng.normal(1, 1, (60, 7)), rng.normal(0, 2, (40, 7))
    for u, o, found in zip(unlearned.T, oracle.T, klom(unlearned, oracle), strict=True):
        edges = np.linspace(min(u.min(), o.min()), max(u.max(), o.max()), 21)
        p = np.histogram(u, edges)[0] / 60
        q = np.maximum(np.histogram(o, edges)[0] / 40, FLOOR)
        q /= q.sum()
        used = p > 0
        expected = np.sum(p[used] * np.log(p[used] / q[used]))
        assert found == pytest.approx(expected, rel=1e-12)


def test_shift_and_scale_change_nothing_but_clipping_does():
    rng = np.random.default_rng(2)
    unlearned, oracle = rng.normal(0.5, 1, (50, 5)), rng.normal(0, 1, (50, 5))
    expected = klom(unlearned, oracle)
    np.testing.assert_allclose(klom(4 * unlearned + 8, 4 * oracle + 8), expected, rtol=1e-12)
    far = np.concatenate([oracle[1:], np.full((1, 5), 1e6)])
    at_limit = np.concatenate([oracle[1:], np.full((1, 5), 100.0)])
    np.testing.assert_array_equal(klom(unlearned, far), klom(unlearned, at_limit))


def test_saturated_margins_do_not_diverge():
    assert klom(np.full((4, 1), 300.0), np.full((4, 1), 200.0)).item() < 20 * FLOOR


def test_chance_alone_diverges_less_with_more_models():
    rng = np.random.default_rng(3)
    small, large = (klom(*rng.normal(size=(2, n, 200))).mean() for n in (50, 500))
    assert 0 < large < small / 4


def test_an_example_that_is_not_finite_has_no_value():
    margins = np.zeros((4, 3))
    broken = margins.copy()
    broken[1, 1] = np.nan
    assert np.isnan(klom(broken, margins)).tolist() == [False, True, False]
    assert klom_percentiles(klom(broken, margins)).n == 2
    assert klom_percentiles(np.full(3, np.nan)).n == 0


def test_percentiles_are_over_examples():
    assert klom_percentiles(np.arange(101.0)) == (50.0, 95.0, 99.0, 101)


def test_misuse_is_named():
    with pytest.raises(InputError, match="unlearned_margins=1 model: expected at least 2"):
        klom(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(InputError, match=r"unlearned_margins=\[5, 2\] and oracle_margins=\[5, 3\]"):
        klom(np.zeros((5, 2)), np.zeros((5, 3)))
    with pytest.raises(InputError, match="direction='forward'"):
        klom(np.zeros((5, 3)), np.zeros((5, 3)), direction="forward")


def released(p, q):
    """The released code's computation for one example, by NumPy's digitize."""
    edges = np.linspace(min(p.min(), q.min()), max(p.max(), q.max()), 21)
    p, q = (np.bincount(np.digitize(bank, edges), minlength=22)[1:21] for bank in (p, q))
    p, q = p / p.sum(), q / q.sum()
    used = p > 0
    return np.sum(p[used] * np.log(p[used] / np.maximum(q, FLOOR)[used]))


# Of margins of deviation 2, each pair drawn after the one before: 95th percentiles by the released
# code itself, and by ours, both to four digits.
RELEASED = {0.0: (0, 0.6158, 0.6287), 5.0: (2, 6.6946, 6.7001)}


@pytest.mark.parametrize("shift", RELEASED)
def test_the_released_variant_follows_its_code(shift):
    pair, by_their_code, by_ours = RELEASED[shift]
    rng = np.random.default_rng(0)
    for _ in range(pair + 1):
        oracle, unlearned = 2 * rng.normal(size=(2, 100, 200))
    unlearned += shift
    found = klom(unlearned, oracle, variant="released")
    expected = [released(p, q) for p, q in zip(unlearned.T, oracle.T, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert klom_percentiles(found).p95 == pytest.approx(by_their_code, abs=5e-5)
    assert klom_percentiles(klom(unlearned, oracle)).p95 == pytest.approx(by_ours, abs=5e-5)


def test_the_released_variant_drops_the_largest_margin():
    # The one margin of 1 is counted nowhere, so that both banks look alike.
    unlearned, oracle = np.array([[0.0, 0, 0, 1]]).T, np.zeros((4, 1))
    assert klom(unlearned, oracle, variant="released").item() == 0.0
    assert klom(unlearned, oracle).item() > 2.0
    assert klom(oracle, oracle, variant="released").item() == 0.0
    with pytest.raises(InputError, match="variant='easydub'"):
        klom(unlearned, oracle, variant="easydub")
