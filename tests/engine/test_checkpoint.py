"""Weights come back from disk as they were."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine.checkpoint import load_weights, save_weights
from jax_unlearn.engine.mesh import place, replicated


@pytest.fixture
def variables():
    return {
        "params": {"kernel": jnp.arange(12.0).reshape(3, 4), "half": jnp.ones(2, jnp.bfloat16)},
        "batch_stats": {"count": jnp.int32(3)},
    }


def test_weights_come_back_bit_for_bit_with_their_types(variables, tmp_path):
    save_weights(tmp_path / "weights", variables)
    loaded = load_weights(tmp_path / "weights", jax.tree.map(jnp.zeros_like, variables))
    chex.assert_trees_all_equal(loaded, variables)
    chex.assert_trees_all_equal_dtypes(loaded, variables)


def test_a_bare_array_can_be_saved(tmp_path):
    save_weights(tmp_path / "weights", jnp.arange(3.0))
    np.testing.assert_array_equal(load_weights(tmp_path / "weights", jnp.zeros(3)), [0, 1, 2])


def test_weights_are_laid_out_as_the_template_is(variables, tmp_path):
    save_weights(tmp_path / "weights", place(variables, replicated(ju.make_mesh(4))))
    for devices in (1, 2):
        template = place(variables, replicated(ju.make_mesh(devices)))
        loaded = load_weights(tmp_path / "weights", template)
        chex.assert_trees_all_equal(jax.device_get(loaded), jax.device_get(variables))
        assert len(loaded["params"]["kernel"].sharding.device_set) == devices


def test_a_template_on_the_host_does(variables, tmp_path):
    save_weights(tmp_path / "weights", variables)
    loaded = load_weights(tmp_path / "weights", jax.tree.map(np.asarray, variables))
    chex.assert_trees_all_equal(jax.device_get(loaded), jax.device_get(variables))


def test_saving_again_replaces(variables, tmp_path):
    save_weights(tmp_path / "weights", variables)
    changed = jax.tree.map(lambda x: x + 1, variables)
    save_weights(tmp_path / "weights", changed)
    chex.assert_trees_all_equal(load_weights(tmp_path / "weights", variables), changed)


def test_a_missing_folder_is_named(variables, tmp_path):
    with pytest.raises(InputError, match=r"^path='.*nowhere': no such folder; expected"):
        load_weights(tmp_path / "nowhere", variables)


@pytest.mark.parametrize(
    "template",
    [
        {"params": {"kernel": jnp.zeros((3, 5)), "half": jnp.ones(2, jnp.bfloat16)}},
        {"params": {"other": jnp.zeros((3, 4))}, "batch_stats": {"count": jnp.int32(0)}},
        {
            "params": {"kernel": jnp.zeros((9, 4)), "half": jnp.ones(2, jnp.bfloat16)},
            "batch_stats": {"count": jnp.int32(0)},
        },
    ],
    ids=["structure", "names", "shape"],
)
def test_weights_of_another_network_are_refused(template, variables, tmp_path):
    save_weights(tmp_path / "weights", variables)
    with pytest.raises(InputError, match=r"^path='.*': not the weights of this network") as caught:
        load_weights(tmp_path / "weights", template)
    assert "\n" not in str(caught.value)


def test_refused_weights_leave_no_complaints_on_the_terminal(variables, tmp_path, capfd):
    save_weights(tmp_path / "weights", variables)
    capfd.readouterr()
    with pytest.raises(InputError):
        load_weights(
            tmp_path / "weights", jax.tree.map(lambda x: jnp.zeros((7, *x.shape)), variables)
        )
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_something_else_is_refused(variables, tmp_path):
    (tmp_path / "notes.txt").write_text("no weights")
    with pytest.raises(InputError, match=r"^path='.*': not the weights of this network"):
        load_weights(tmp_path, variables)
