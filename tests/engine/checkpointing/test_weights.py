"""Weights come back from disk as they were saved, and nothing else passes for them."""

import os
import pathlib
import shutil
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine.checkpointing.weights import load_weights, save_weights
from jax_unlearn.engine.signals import Interrupted, acting
from jax_unlearn.sharding import replicated, shard


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
    save_weights(tmp_path / "weights", shard(variables, replicated(ju.make_mesh(4))))
    for devices in (1, 2):
        template = shard(variables, replicated(ju.make_mesh(devices)))
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


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [flip_a_bit, pathlib.Path.unlink, lambda path: os.truncate(path, 20)],
    ids=["flipped bit", "missing", "truncated"],
)
def test_weights_of_which_any_file_is_damaged_are_refused(harm, variables, tmp_path):
    save_weights(tmp_path / "sound", variables)
    files = [path for path in (tmp_path / "sound").rglob("*") if path.is_file()]
    names = [path.relative_to(tmp_path / "sound") for path in files if path.name != "files.json"]
    assert any(name.parent.name == "d" for name in names)
    for number, name in enumerate(names):
        folder = shutil.copytree(tmp_path / "sound", tmp_path / f"{number}")
        harm(folder / name)
        with pytest.raises(InputError, match=r"^path='.*': these weights are damaged .*; delete"):
            load_weights(folder, variables)


@pytest.mark.usefixtures("signalled")
def test_weights_are_not_damaged_because_a_signal_came(variables, tmp_path):
    save_weights(tmp_path / "weights", variables)
    with pytest.raises(Interrupted) as stop, acting():
        load_weights(tmp_path / "weights", variables)
    assert stop.value.exit_code == 143


def test_weights_are_written_whole_though_a_signal_came(variables, tmp_path, monkeypatch):
    write = ocp.StandardCheckpointer.save

    def save(*args, **options):
        signal.raise_signal(signal.SIGTERM)
        write(*args, **options)

    monkeypatch.setattr(ocp.StandardCheckpointer, "save", save)
    with pytest.raises(Interrupted), acting():
        save_weights(tmp_path / "weights", variables)
    chex.assert_trees_all_equal(load_weights(tmp_path / "weights", variables), variables)


def test_weights_without_digests_are_read_as_they_are(variables, tmp_path):
    """So are those of earlier versions."""
    save_weights(tmp_path / "weights", variables)
    (tmp_path / "weights" / "files.json").unlink()
    chex.assert_trees_all_equal(load_weights(tmp_path / "weights", variables), variables)


def test_arrays_without_digests_that_cannot_be_read_are_told_in_one_line(tmp_path):
    # So many numbers that Orbax gives them a file of their own.
    variables = {"kernel": jax.random.normal(jax.random.key(0), (50, 20))}
    save_weights(tmp_path / "weights", variables)
    (tmp_path / "weights" / "files.json").unlink()
    for path in (tmp_path / "weights" / "ocdbt.process_0" / "d").iterdir():
        os.truncate(path, 0)
    with pytest.raises(InputError, match=r"^path='.*': these weights are damaged") as caught:
        load_weights(tmp_path / "weights", variables)
    assert "\n" not in str(caught.value)


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
