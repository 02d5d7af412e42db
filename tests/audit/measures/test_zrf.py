import numpy as np
import pytest

from jax_unlearn.audit.measures.distances import jensen_shannon
from jax_unlearn.audit.measures.zrf import zrf
from jax_unlearn.core import InputError


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 40, 7)) * 3


def test_zrf_of_the_random_network_itself_is_one(pair):
    assert zrf(pair[0], pair[0]) == pytest.approx(1.0, abs=1e-12)


def test_zrf_is_one_minus_the_jensen_shannon_divergence_in_nats(pair):
    assert zrf(*pair) == pytest.approx(1.0 - jensen_shannon(*pair), rel=1e-12)
    opposite = zrf([[999.0, 0.0]], [[0.0, 999.0]])
    assert opposite == pytest.approx(1.0 - np.log(2))


def test_zrf_falls_as_answers_move_away_from_the_random_network(pair):
    scores = [zrf(pair[0] + shift * np.eye(7)[:1] * 10, pair[0]) for shift in (0.0, 0.1, 0.5, 2.0)]
    assert scores == sorted(scores, reverse=True)


def test_the_divided_variant_hides_the_difference_behind_the_number_of_classes(pair):
    assert zrf(*pair, variant="divided") == pytest.approx(
        1.0 - jensen_shannon(*pair, variant="divided")
    )
    assert 1.0 - zrf(*pair, variant="divided") < 0.5 * (1.0 - zrf(*pair))


def test_a_model_that_is_not_finite_has_no_zrf(pair):
    assert np.isnan(zrf(pair[0] * np.nan, pair[1]))


def test_bad_arguments_are_named(pair):
    with pytest.raises(InputError, match=r"random_logits=\[39, 7\] and logits=\[40, 7\]"):
        zrf(pair[0], pair[1][1:])
    with pytest.raises(InputError, match="variant='divide': did you mean divided"):
        zrf(*pair, variant="divide")
