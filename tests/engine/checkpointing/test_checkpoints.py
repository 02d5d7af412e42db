"""States come back from disk as they were, whatever happens to the process."""

import errno
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
from jax_unlearn.engine.signals import Interrupted, acting
from jax_unlearn.sharding import replicated, shard


class Momentum(NamedTuple):
    trace: Any
    count: Any


@pytest.fixture
def state():
    """All that a run's state may hold."""
    return {
        "params": {"kernel": jnp.linspace(-1.0, 1.0, 12).reshape(3, 4).at[0, 0].set(-0.0)},
        "half": jnp.array([1.5, jnp.nan, 2.0**-130], jnp.bfloat16),
        "optimizer": (Momentum(jnp.arange(5.0), jnp.int32(7)), optax.EmptyState(), None),
        "keys": jax.random.split(jax.random.key(3), 2),
        "rbg": jax.random.key(4, impl="rbg"),
        "flag": jnp.array([True, False]),
        "empty": {},
        "no rows": jnp.zeros((0, 3)),
        "host": np.arange(3, dtype=np.int64),
    }


def bits(tree):
    """Type and bytes of every leaf, so that -0 and NaN count."""

    def one(x):
        key = isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return str(x.dtype), np.asarray(jax.random.key_data(x) if key else x).tobytes()

    return jax.tree.map(one, tree)


def numbered(step):
    return {"x": jnp.full(1000, step, jnp.float32), "key": jax.random.key(step)}


def saved(folder, steps=(1, 2), **settings):
    with Checkpoints(folder, {"model": "a"}, **settings) as checkpoints:
        for step in steps:
            checkpoints.save(step, numbered(step), {"step": step})


def restored(folder, like=None, **settings):
    with Checkpoints(folder, {"model": "a"}) as checkpoints:
        return checkpoints.restore(numbered(0) if like is None else like, **settings)


def snapshots(folder):
    return sorted(path for path in folder.iterdir() if path.is_dir())


def test_a_state_comes_back_bit_for_bit_in_its_structure(state, tmp_path):
    meta = {"epoch": 3, "history": [0.1, float("inf"), 1 / 3], "done": False, "name": "é"}
    with Checkpoints(tmp_path, {}) as checkpoints:
        checkpoints.save(5, state, meta)
        tree, read = checkpoints.restore(state)
    assert jax.tree.structure(tree) == jax.tree.structure(state)
    assert bits(tree) == bits(state)
    assert read == meta
    draw = jax.random.uniform(tree["rbg"], (3,))
    np.testing.assert_array_equal(draw, jax.random.uniform(state["rbg"], (3,)))


@pytest.mark.parametrize("tree", [jnp.arange(3.0), {}, None, jax.random.key(1), (2, 0.5, True)])
def test_a_tree_of_any_shape_comes_back(tree, tmp_path):
    with Checkpoints(tmp_path, {}) as checkpoints:
        checkpoints.save(0, tree, {})
        again, _ = checkpoints.restore(tree)
    assert jax.tree.structure(again) == jax.tree.structure(tree)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(tree), strict=True):
        assert type(a) is type(b)
        assert bool(np.all(a == b))


def test_a_state_comes_back_on_another_number_of_devices(state, tmp_path):
    def on(devices):
        return jax.tree.map(
            lambda x: (
                x if isinstance(x, np.ndarray) else shard(x, replicated(ju.make_mesh(devices)))
            ),
            state,
        )

    with Checkpoints(tmp_path, {}) as checkpoints:
        checkpoints.save(5, on(4), {})
        for devices in (1, 2, 4):
            tree, _ = checkpoints.restore(on(devices))
            assert bits(tree) == bits(state)
            assert len(tree["params"]["kernel"].sharding.device_set) == devices
            assert len(tree["keys"].sharding.device_set) == devices


def test_what_was_restored_may_be_donated(tmp_path):
    mesh = replicated(ju.make_mesh(4))
    step = jax.jit(lambda x: jax.tree.map(lambda v: v * 2 + 1, x), donate_argnums=0)
    like = shard({"x": jnp.arange(4096.0)}, mesh)
    with Checkpoints(tmp_path, {}) as checkpoints:
        checkpoints.save(1, like, {})
        for _ in range(2):
            tree, _ = checkpoints.restore(shard({"x": jnp.zeros(4096)}, mesh))
            np.testing.assert_array_equal(step(step(tree))["x"], np.arange(4096.0) * 4 + 3)


def test_what_was_saved_may_be_donated_at_once(tmp_path):
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros(100_000)
    with Checkpoints(tmp_path, {}, keep=5) as checkpoints:
        for number in range(4):
            checkpoints.save(number, x, {})
            x = step(x)
        tree, _ = checkpoints.restore(x)
    np.testing.assert_array_equal(tree, np.full(100_000, 3.0))


def test_meta_may_change_once_save_has_returned(tmp_path):
    history = [1]
    with Checkpoints(tmp_path, {}) as checkpoints:
        checkpoints.save(1, {}, {"history": history})
        history.append(2)
        assert checkpoints.restore({})[1] == {"history": [1]}


def test_an_empty_folder_restores_nothing(tmp_path):
    assert restored(tmp_path / "new") is None


def test_the_last_ones_are_kept(tmp_path):
    with Checkpoints(tmp_path, {"model": "a"}, keep=2) as checkpoints:
        for step in range(6):
            checkpoints.save(step, numbered(step), {"step": step})
    assert [path.name for path in snapshots(tmp_path)] == ["4.0", "5.0"]
    assert restored(tmp_path)[1] == {"step": 5}


def test_a_run_that_goes_on_keeps_as_many(tmp_path):
    for step in range(4):
        with Checkpoints(tmp_path, {}, keep=1) as checkpoints:
            checkpoints.restore(numbered(0))
            checkpoints.save(step, numbered(step), {})
    assert [path.name for path in snapshots(tmp_path)] == ["3.0"]


def test_steps_are_ordered_as_numbers(tmp_path):
    saved(tmp_path, steps=(9, 10, 100))
    assert restored(tmp_path)[1] == {"step": 100}


def test_a_step_saved_again_replaces_the_first(tmp_path):
    with Checkpoints(tmp_path, {}, keep=1) as checkpoints:
        checkpoints.save(3, numbered(3), {"done": False})
        checkpoints.save(3, numbered(3), {"done": True})
        assert checkpoints.restore(numbered(0))[1] == {"done": True}
    assert len(snapshots(tmp_path)) == 1


def test_a_save_is_due_once_its_time_has_passed(tmp_path, monkeypatch):
    with Checkpoints(tmp_path / "a", {}, every_seconds=0) as checkpoints:
        assert checkpoints.due()
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Checkpoints(tmp_path / "b", {}, every_seconds=0.2) as checkpoints:
        assert not checkpoints.due()
        now[0] = 0.21
        assert checkpoints.due()
        checkpoints.save(1, {}, {})
        assert not checkpoints.due()


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


@pytest.mark.usefixtures("signalled")
def test_a_checkpoint_is_not_damaged_because_a_signal_came(tmp_path, monkeypatch):
    with Checkpoints(tmp_path, {"model": "a"}) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, numbered(step), {"step": step})
    with pytest.raises(Interrupted), acting(), warnings.catch_warnings(action="error"):
        restored(tmp_path)
    monkeypatch.undo()
    assert restored(tmp_path)[1] == {"step": 2}


@pytest.mark.parametrize("part", ["arrays/d", "arrays/manifest.ocdbt", "record/metadata"])
@pytest.mark.parametrize("harm", [truncate, empty, flip, pathlib.Path.unlink])
def test_the_one_before_a_damaged_checkpoint_is_used(harm, part, tmp_path, capfd):
    saved(tmp_path)
    target = tmp_path / "2.0" / part
    harm(next(target.iterdir()) if target.is_dir() else target)
    capfd.readouterr()
    with pytest.warns(UserWarning, match=r"checkpoint 2\.0 is damaged and skipped") as caught:
        tree, meta = restored(tmp_path)
    assert [str(w.message).count("\n") for w in caught] == [0]
    assert bits(tree) == bits(numbered(1))
    assert meta == {"step": 1}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("whole", [True, False])
def test_an_emptied_checkpoint_is_passed_over(whole, tmp_path):
    saved(tmp_path)
    shutil.rmtree(tmp_path / "2.0" / ("" if whole else "arrays"))
    (tmp_path / "2.0").mkdir(exist_ok=True)
    with pytest.warns(UserWarning, match=r"checkpoint 2\.0 is damaged"):
        assert restored(tmp_path)[1] == {"step": 1}


def test_a_changed_record_is_noticed(tmp_path):
    saved(tmp_path)
    path = tmp_path / "2.0" / "record" / "metadata"
    path.write_text(path.read_text().replace('"step": 2}', '"step": 9}'))
    with pytest.warns(UserWarning, match=r"2\.0 is damaged .*\(record/metadata has changed\)"):
        assert restored(tmp_path)[1] == {"step": 1}


@pytest.mark.parametrize("harm", [truncate, empty, flip])
def test_damage_to_the_digests_counts_as_damage(harm, tmp_path):
    saved(tmp_path)
    harm(tmp_path / "2.0" / "files.json")
    with pytest.warns(UserWarning, match=r"checkpoint 2\.0 is damaged"):
        assert restored(tmp_path)[1] == {"step": 1}


def test_a_change_is_noticed_where_the_process_died_before_it_sealed(tmp_path):
    saved(tmp_path)
    (tmp_path / "2.0" / "files.json").unlink()
    assert restored(tmp_path)[1] == {"step": 2}
    path = tmp_path / "2.0" / "record" / "metadata"
    path.write_text(path.read_text().replace('"step": 2}', '"step": 9}'))
    with pytest.warns(UserWarning, match=r"2\.0 is damaged .*do not match their digest"):
        assert restored(tmp_path)[1] == {"step": 1}


def test_a_run_that_passed_over_a_damaged_checkpoint_replaces_it(tmp_path):
    saved(tmp_path)
    flip(tmp_path / "2.0" / "record" / "metadata")
    with Checkpoints(tmp_path, {"model": "a"}) as checkpoints:
        with pytest.warns(UserWarning, match="damaged"):
            checkpoints.restore(numbered(0))
        checkpoints.save(2, numbered(2), {"again": True})
    assert restored(tmp_path)[1] == {"again": True}
    assert [path.name for path in snapshots(tmp_path)] == ["1.0", "2.1"]


def test_a_folder_without_a_sound_checkpoint_is_refused(tmp_path):
    saved(tmp_path)
    for path in snapshots(tmp_path):
        flip(path / "record" / "metadata")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(InputError, match=r"none of its 2 checkpoints is sound; delete the folder"),
    ):
        restored(tmp_path)


def test_other_arrays_are_refused_by_name(tmp_path):
    saved(tmp_path)
    like = {**numbered(0), "x": jnp.zeros(7)}
    with pytest.raises(InputError, match=r"such as \['x'\]: .*1000\) stored, .*7\) expected"):
        restored(tmp_path, like)


def test_another_run_is_refused_with_every_difference(tmp_path):
    with Checkpoints(tmp_path, {"config": "1a", "model": "resnet", "data": [1, 2]}):
        pass
    with pytest.raises(InputError) as caught:
        Checkpoints(tmp_path, {"config": "2b", "model": "resnet", "data": [1, 3]})
    text = str(caught.value)
    assert 'config is "1a" there and "2b" here, data is [1, 2] there and [1, 3] here' in text
    assert "model" not in text
    assert "\n" not in text


def test_a_refused_folder_stays_as_it_was_and_free(tmp_path):
    saved(tmp_path)
    before = [path.name for path in snapshots(tmp_path)], (tmp_path / "run.json").read_text()
    with pytest.raises(InputError):
        Checkpoints(tmp_path, {"model": "b"})
    assert before == (
        [path.name for path in snapshots(tmp_path)],
        (tmp_path / "run.json").read_text(),
    )
    assert restored(tmp_path)[1] == {"step": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 99, "identity": {}}', "have format 99, this version .* writes format 2"),
        ('{"format": 1, "ident', "its run.json is damaged"),
        (None, "holds checkpoints but no run.json"),
    ],
)
def test_a_folder_of_another_format_is_refused(content, message, tmp_path):
    saved(tmp_path)
    (tmp_path / "run.json").unlink()
    if content:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        Checkpoints(tmp_path, {"model": "a"})


def test_a_run_that_did_not_restore_cannot_write_behind_the_newest(tmp_path):
    saved(tmp_path)
    with (
        Checkpoints(tmp_path, {"model": "a"}) as checkpoints,
        pytest.raises(InputError, match=r"^step=1: .* holds a checkpoint of step 2; restore"),
    ):
        checkpoints.save(1, numbered(1), {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"keep": 0}, "^keep=0: expected a whole number >= 1"), ({"every_seconds": -1}, "^every_s")],
)
def test_numbers_out_of_range_are_named(settings, message, tmp_path):
    with pytest.raises(InputError, match=message):
        Checkpoints(tmp_path, {}, **settings)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^folder='.*file': cannot be used \(File exists\)"):
        Checkpoints(tmp_path / "file", {})


def test_a_folder_has_one_writer(tmp_path):
    with (
        Checkpoints(tmp_path, {}),
        pytest.raises(InputError, match=rf"in use by process {os.getpid()} on .*; wait for it"),
    ):
        Checkpoints(tmp_path, {})
    Checkpoints(tmp_path, {}).close()


def test_where_there_are_no_locks_a_run_goes_on_and_says_so(tmp_path, monkeypatch):
    def missing(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", missing)
    with pytest.warns(UserWarning, match="no locks; do not start a second run"):
        saved(tmp_path)
    assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_failed_save_does_not_hide_what_ended_the_run(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ocp.Checkpointer, "save", full)

    def ended():
        with Checkpoints(tmp_path, {}) as checkpoints:
            checkpoints.save(1, {}, {})
            raise KeyboardInterrupt

    full_disk = pytest.warns(UserWarning, match=r"disk full \(No space left on device\)")
    with full_disk, pytest.raises(KeyboardInterrupt):
        ended()
    Checkpoints(tmp_path, {}).close()


CHILD = """
import resource, signal, sys
import jax, jax.numpy as jnp
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

def state(step):
    return {"x": jax.random.normal(jax.random.key(step), (SIZE,)), "step": jnp.int32(step)}

checkpoints = Checkpoints(sys.argv[1], {})
"""

FILL = """
checkpoints.save(1, state(1), {"step": 1}, wait=True)
# To the writer, a file that may not grow is a disk that is full.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
checkpoints.save(2, state(2), {"step": 2})
print("goes on", flush=True)
checkpoints.close()
"""

WRITE = """
found = checkpoints.restore(state(0))
step = 0 if found is None else found[1]["step"]
while True:
    step += 1
    checkpoints.save(step, state(step), {"step": step}, wait=step % 2 == 0)
    if step % 2 == 0:
        print(step, flush=True)
"""


def child_state(step, size):
    return {"x": jax.random.normal(jax.random.key(step), (size,)), "step": jnp.int32(step)}


def test_a_full_disk_is_said_and_earlier_checkpoints_stay_valid(tmp_path):
    code = CHILD.replace("SIZE", "100_000") + FILL
    run = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=3600)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert done.stdout == "goes on\n"
    assert re.search(r"InputError: folder='.*': disk full \(File too large\); earlier", last)
    assert [path.name for path in snapshots(tmp_path)] == ["1.0"]
    with Checkpoints(tmp_path, {}) as checkpoints:
        tree, meta = checkpoints.restore(child_state(0, 100_000))
    assert meta == {"step": 1}
    assert bits(tree) == bits(child_state(1, 100_000))


@pytest.mark.filterwarnings("error")
def test_a_process_killed_while_saving_leaves_sound_checkpoints(tmp_path):
    code = CHILD.replace("SIZE", "500_000") + WRITE
    told, pauses = 0, (0.05, 0.12, 0.21)
    for pause in pauses:
        run = [sys.executable, "-c", code, str(tmp_path)]
        with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            time.sleep(pause)
            process.kill()
            told = max([told, *map(int, process.stdout.read().split())])
        with Checkpoints(tmp_path, {}) as checkpoints:
            tree, meta = checkpoints.restore(child_state(0, 500_000))
        assert meta["step"] >= told
        assert bits(tree) == bits(child_state(meta["step"], 500_000))
        assert {path.name for path in tmp_path.iterdir()} == {
            "lock",
            "run.json",
            *(path.name for path in snapshots(tmp_path)),
        }
        assert not list(tmp_path.glob("*tmp*"))
        told = meta["step"]
    assert told >= len(pauses) * 2
