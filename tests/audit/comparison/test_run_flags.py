import numpy as np
import pytest

from jax_unlearn.audit import chance_level, is_collapsed, is_no_op
from jax_unlearn.core import Outputs


def test_chance_is_the_share_of_the_most_frequent_label():
    label = np.array([0, 1, 1, 2])
    assert chance_level(Outputs(np.zeros((4, 3)), label, np.arange(4))) == 50.0


def test_a_trained_model_has_not_collapsed(simulate):
    original = simulate(0)
    assert not is_collapsed(original, original)
    assert not is_collapsed(simulate(1, lead=-3.0), original)


@pytest.mark.parametrize("split", ["forget", "retain", "test"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_logit_that_is_not_finite_is_a_collapse(simulate, split, bad):
    original = simulate(0)
    outputs = getattr(original, split)
    logits = outputs.logits.copy()
    logits[0, 0] = bad
    broken = original._replace(**{split: outputs._replace(logits=logits)})
    assert is_collapsed(broken, original)


def test_constant_and_random_answers_are_a_collapse(simulate, map_logits):
    original = simulate(0)
    for k in range(10):
        assert is_collapsed(map_logits(original, lambda x, k=k: 0 * x + np.eye(10)[k]), original)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert is_collapsed(map_logits(original, lambda x, r=rng: r.normal(size=x.shape)), original)


def keep_only(share, original):
    """The original with all but a share of its retain answers made wrong."""
    retain = original.retain
    logits = retain.logits.copy()
    wrong = np.arange(len(logits)) >= share * len(logits)
    logits[wrong, retain.label[wrong]] = -50.0
    return original._replace(retain=retain._replace(logits=logits))


def test_the_margin_is_a_tenth_of_the_originals_lead_over_chance(simulate):
    original = simulate(0)
    chance = chance_level(original.retain)
    # A nearly perfect original: chance is 12 %, so the limit is near 20 %.
    assert 10 < chance < 15
    assert is_collapsed(keep_only(0.15, original), original)
    assert not is_collapsed(keep_only(0.30, original), original)


def test_an_original_that_is_itself_broken_leaves_the_statistical_margin(simulate, map_logits):
    broken = map_logits(simulate(0), lambda x: x * np.nan)
    assert is_collapsed(broken, broken)
    assert not is_collapsed(simulate(0), broken)


def test_only_equal_logits_are_a_no_op(simulate, map_logits):
    original = simulate(0)
    assert is_no_op(original, original)
    assert is_no_op(map_logits(original, lambda x: x * (1 + 1e-7)), original)
    assert not is_no_op(simulate(1), original)
    one_set = original._replace(forget=simulate(1).forget)
    assert not is_no_op(one_set, original)
    assert not is_no_op(map_logits(original, lambda x: x * np.nan), original)
