import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.functional import soft_threshold, top_share_mask, where_mask


def _scores(seed=0):
    rng = np.random.default_rng(seed)
    drawn = (rng.random((3, 3, 4, 5)), 10 * rng.random((7, 2)), rng.random())
    conv, kernel, bias = (jnp.asarray(scores, jnp.float32) for scores in drawn)
    return {"conv": conv, "dense": [kernel, bias]}


def _flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


_jitted_mask = jax.jit(top_share_mask)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.29, 0.5, 0.7, 1.0])
def test_the_largest_scores_are_kept_ranked_over_all_leaves(share):
    scores = _scores()
    mask = _jitted_mask(scores, share)
    assert jax.tree.structure(mask) == jax.tree.structure(scores)
    kept, flat = _flat(mask), _flat(scores)
    assert kept.dtype == bool
    assert kept.sum() == int(share * flat.size)
    if 0 < kept.sum() < flat.size:
        assert flat[kept].min() > flat[~kept].max()


def test_jit_changes_no_entry_of_the_mask():
    jax.tree.map(
        np.testing.assert_array_equal,
        top_share_mask(_scores(), 0.29),
        _jitted_mask(_scores(), 0.29),
    )


def test_equal_scores_are_kept_in_order_of_position():
    mask = top_share_mask({"a": jnp.ones(3), "b": jnp.array([1.0, 2.0, 1.0, 0.0, 1.0])}, 0.5)
    np.testing.assert_array_equal(mask["a"], [True, True, True])
    np.testing.assert_array_equal(mask["b"], [False, True, False, False, False])


@pytest.mark.parametrize("count", [7, 1000])
def test_every_whole_number_of_entries_can_be_asked_for(count):
    mask = jax.jit(jax.vmap(lambda share: top_share_mask(jnp.arange(count * 1.0), share)))
    shares = np.arange(count + 1) / count
    np.testing.assert_array_equal(mask(shares).sum(axis=1), np.arange(count + 1))


def test_a_sweep_over_shares_compiles_once():
    compiled = []

    @jax.jit
    def mask(share):
        compiled.append(1)
        return top_share_mask(jnp.arange(10.0), share)

    assert [int(mask(s).sum()) for s in (0.0, 0.3, 1.0)] == [0, 3, 10]
    assert len(compiled) == 1


@pytest.mark.parametrize("share", [-0.1, 1.2, np.nan])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(InputError, match=r"^share=.*: expected a number >= 0 and <= 1$"):
        top_share_mask(jnp.ones(3), share)


def test_a_tree_without_entries_is_refused():
    with pytest.raises(InputError, match=r"^scores: the tree holds no entries"):
        top_share_mask({}, 0.5)


def test_masked_selection_leaves_the_other_entries_bit_for_bit():
    old, new = _scores(1), _scores(2)
    mask = top_share_mask(_scores(3), 0.3)
    chosen = where_mask(mask, new, old)
    kept = _flat(mask)
    np.testing.assert_array_equal(_flat(chosen)[kept], _flat(new)[kept])
    np.testing.assert_array_equal(_flat(chosen)[~kept], _flat(old)[~kept])


def test_soft_thresholding_returns_the_nearest_share_and_pulls_the_rest_by_the_same_distance():
    start = {"a": jnp.zeros(3), "b": jnp.full(2, 10.0)}
    params = {"a": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array([6.0, 15.0])}
    pulled = soft_threshold(params, start, 0.4)
    np.testing.assert_array_equal(pulled["a"], [0, 0, 1])
    np.testing.assert_array_equal(pulled["b"], [8, 13])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9, 1.0])
def test_soft_thresholding_returns_exactly_the_share_asked_for_bit_for_bit(share):
    start, params = _scores(1), _scores(2)
    pulled = _flat(jax.jit(soft_threshold)(params, start, share))
    assert np.sum(pulled == _flat(start)) == int(share * len(pulled))
    if share == 0:
        np.testing.assert_array_equal(pulled, _flat(params))
