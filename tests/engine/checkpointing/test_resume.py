"""A run that was cut off goes on: the result is, bit for bit, that of one that was left alone."""

import contextlib
import dataclasses
import itertools
import pathlib
import re
import shutil
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.bank import (
    RECIPE_VERSION,
    DataDescription,
    Labelled,
    Member,
    describe_method,
    fill,
    open_bank,
)
from jax_unlearn.core import InputError
from jax_unlearn.engine import RunSpec, make_mesh, run_many, steps, trainer
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
from jax_unlearn.engine.signals import Interrupted

KEY = jax.random.key(7)
SIZES = {
    "mumis": {"batch_size": 5, "max_steps": 7, "check_every": 3, "stop_ratio": 9.0},
    "natmu": {"batch_size": 16, "epochs": 2, "num": 2},
}
# One of each kind; the battery shows the same of every method.
KINDS = ("finetune", "neggrad_plus", "bad_teacher", "salun", "natmu", "mumis")
SHORT = {"batch_size": 10, "epochs": 2}
METHODS = {
    name: ju.METHODS[name](**SIZES.get(name, SHORT)) for name in (*KINDS, "amnesiac", "retrain")
}


@pytest.fixture(autouse=True)
def short_scans(monkeypatch):
    """Two steps in a compiled loop, so that it can be cut off within an epoch of four."""
    monkeypatch.setattr(trainer, "MAX_SCAN_STEPS", 2)


def watched(variables):
    """What keeps MU-Mis from giving up; of another type than the history's."""
    del variables
    return {"retain_accuracy": np.float32(99)}


def after(count):
    """A signal that comes with the question of this number."""
    asked = itertools.count(1)
    return lambda: signal.SIGTERM if next(asked) >= count else None


def in_parts(folder, start, pauses):
    """Start a run again and again, with a signal at each pause; its result and where it was cut.

    Args:
      folder: of the checkpoints.
      start: ``start(checkpoints=..., interrupted=...)``.
      pauses: for each start, after how many questions the signal comes; the last is left alone.
    """
    cuts = []
    for pause in (*pauses, 10**9):
        # So rare a save that there are none but those of signals.
        with contextlib.suppress(Interrupted), Checkpoints(folder, {}, every_seconds=1e9) as saved:
            return start(checkpoints=saved, interrupted=after(pause)), cuts
        cuts.append(newest(folder)[0])
    raise AssertionError("the run did not end")


def newest(folder):
    """Step and revision of the newest checkpoint."""
    found = (path.name.split(".") for path in folder.glob("*.*") if path.is_dir())
    return max(tuple(map(int, name)) for name in found)


def assert_same(one, other):
    chex.assert_trees_all_equal(jax.device_get(one.variables), jax.device_get(other.variables))
    # As text: NaN is not equal to itself.
    assert repr(one.history) == repr(other.history)
    assert (one.status, one.steps) == (other.status, other.steps)


def steps_of(outcome):
    """Number of the last step of each epoch."""
    return [int(entry["step"]) for entry in outcome.history]


@pytest.mark.parametrize("way", ["python", "scan"])
@pytest.mark.parametrize("name", KINDS)
def test_a_method_goes_on_from_within_and_from_the_end_of_an_epoch(name, way, problem, tmp_path):
    options = {"mesh": make_mesh(1), "loop": way, "watch": watched}
    whole = ju.run(METHODS[name], problem, KEY, **options)

    def start(**safety):
        return ju.run(METHODS[name], problem, KEY, **options, **safety)

    end = steps_of(whole)[1]
    pauses = (1, -(-end // 2) - 1) if way == "scan" else (2, end - 2)
    parts, cuts = in_parts(tmp_path, start, pauses)
    assert_same(parts, whole)
    assert cuts == [2, end]
    assert 2 < end < whole.steps


def test_training_goes_on(problem, tmp_path):
    recipe = ju.retrain(batch_size=10, epochs=2, learning_rate=0.05)

    def start(**safety):
        return ju.train(
            recipe, problem.model, problem.retain, KEY, num_classes=5, loop="scan", **safety
        )

    assert_same(in_parts(tmp_path, start, (1, 1, 1, 1))[0], start())


def test_a_run_cut_off_at_every_step_ends_the_same(problem, tmp_path):
    def start(**safety):
        return ju.run(METHODS["salun"], problem, KEY, **safety)

    whole = start()
    parts, cuts = in_parts(tmp_path, start, [1] * whole.steps)
    assert_same(parts, whole)
    assert cuts == list(range(1, whole.steps + 1))


def test_data_that_stay_on_the_host_are_sent_from_where_the_run_stopped(problem, tmp_path):
    def start(**safety):
        return ju.run(METHODS["natmu"], problem, KEY, placement="host", **safety)

    parts, cuts = in_parts(tmp_path, start, (2, 3))
    assert_same(parts, start())
    assert len(cuts) == 2


def test_a_run_that_goes_on_takes_only_the_steps_that_are_left(problem, tmp_path):
    seen = []

    def start(**safety):
        seen.append([])
        return ju.run(
            METHODS["finetune"],
            problem,
            KEY,
            on_step=lambda done, planned: seen[-1].append((done, planned)),
            **safety,
        )

    in_parts(tmp_path, start, (3, 2))
    assert seen == [
        [(1, 8), (2, 8), (3, 8)],
        [(4, 8), (5, 8)],
        [(6, 8), (7, 8), (8, 8)],
    ]


def test_a_run_that_breaks_off_without_a_word_goes_on_from_its_last_save(problem, tmp_path):
    """As after SIGKILL: nothing is saved at the end."""

    class BreakError(Exception):
        pass

    def start(until, **safety):
        def on_step(done, planned):
            del planned
            if done >= until:
                raise BreakError

        return ju.run(METHODS["salun"], problem, KEY, on_step=on_step, **safety)

    for until in (4, 8):
        with (
            pytest.raises(BreakError),
            Checkpoints(tmp_path, {}, every_seconds=0) as checkpoints,
        ):
            start(until, checkpoints=checkpoints)
        assert newest(tmp_path)[0] < until
    with Checkpoints(tmp_path, {}, every_seconds=0) as checkpoints:
        parts = start(10**9, checkpoints=checkpoints)
    assert_same(parts, start(10**9))


def test_going_on_compiles_nothing(counted, problem, tmp_path):
    model, traces = counted
    mine = dataclasses.replace(problem, model=model)
    ju.run(METHODS["finetune"], mine, KEY)
    before = len(traces)
    in_parts(tmp_path, lambda **safety: ju.run(METHODS["finetune"], mine, KEY, **safety), (3, 3))
    assert len(traces) == before > 0


def test_a_finished_run_is_given_back_from_its_last_checkpoint(problem, tmp_path):
    def start(**safety):
        return ju.run(METHODS["finetune"], problem, KEY, **safety)

    whole = start()
    for _ in range(2):
        with Checkpoints(tmp_path, {}, every_seconds=0) as checkpoints:
            assert_same(start(checkpoints=checkpoints), whole)
    assert newest(tmp_path) == (8, 0)


@pytest.mark.parametrize(("before", "now"), [(4, 2), (4, 1), (1, 4), (2, 4)])
def test_a_run_goes_on_with_another_number_of_devices(before, now, problem, tmp_path):
    """Equal but for the order of summation."""

    def start(devices, **safety):
        return ju.run(METHODS["neggrad_plus"], problem, KEY, mesh=make_mesh(devices), **safety)

    with (
        pytest.raises(Interrupted),
        Checkpoints(tmp_path, {}) as checkpoints,
    ):
        start(before, checkpoints=checkpoints, interrupted=after(3))
    with Checkpoints(tmp_path, {}) as checkpoints:
        moved = start(now, checkpoints=checkpoints)
    leaves = jax.tree.leaves(moved.variables)
    assert {len(leaf.sharding.device_set) for leaf in leaves} == {now}
    for leaf in leaves:
        # Restored replicas must not share the memory that steps overwrite.
        first, *others = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        for other in others:
            np.testing.assert_array_equal(first, other)
    for devices in (before, now):
        whole = start(devices)
        chex.assert_trees_all_close(
            jax.device_get(moved.variables),
            jax.device_get(whole.variables),
            rtol=1e-5,
            atol=1e-6,
        )
        assert steps_of(moved) == steps_of(whole)


@pytest.mark.parametrize(("name", "way"), [("retrain", "scan"), ("mumis", "python")])
def test_models_side_by_side_go_on(name, way, problem, tmp_path):
    jobs = [
        RunSpec(dataclasses.replace(METHODS[name], learning_rate=rate), problem, jax.random.key(i))
        for i, rate in enumerate((1e-4, 1e-3, 3e-3))
    ]

    def start(**safety):
        return run_many(jobs, mesh=make_mesh(1, 4), loop=way, watch=watched, **safety)

    parts, cuts = in_parts(tmp_path, start, (1, 2))
    assert len(cuts) == 2
    for part, whole in zip(parts, start(), strict=True):
        assert_same(part, whole)


@pytest.mark.parametrize(("before", "now"), [(4, 2), (2, 4)])
def test_models_side_by_side_go_on_with_another_number_of_devices(before, now, problem, tmp_path):
    jobs = [RunSpec(METHODS["retrain"], problem, jax.random.key(i)) for i in range(2)]

    def start(devices, **safety):
        return run_many(jobs, mesh=make_mesh(1, devices), **safety)

    with pytest.raises(Interrupted), Checkpoints(tmp_path, {}) as checkpoints:
        start(before, checkpoints=checkpoints, interrupted=after(3))
    with Checkpoints(tmp_path, {}) as checkpoints:
        parts = start(now, checkpoints=checkpoints)
        assert checkpoints.restored == 3
    for part, whole in zip(parts, start(now), strict=True):
        assert_same(part, whole)


def test_checkpoints_are_refused_for_runs_that_do_not_go_side_by_side(problem, tmp_path):
    jobs = [RunSpec(METHODS[name], problem, KEY) for name in ("finetune", "amnesiac")]
    with (
        pytest.raises(InputError, match=r"^checkpoints: the 2 runs are of 2 structures"),
        Checkpoints(tmp_path, {}) as checkpoints,
    ):
        run_many(jobs, checkpoints=checkpoints)


@pytest.mark.parametrize("ending", ["stop", "collapse"])
@pytest.mark.parametrize("pause", [1, 2, 3, 4], ids=lambda pause: f"{pause} of 2 a epoch")
@pytest.mark.filterwarnings("ignore:Scripted collapsed")
def test_how_a_run_ended_survives(ending, pause, problem, scripted, tmp_path):
    """Cut off before, in, and just after the epoch that decides."""
    script = scripted(batch_size=19, **{f"{ending}_after": 2})

    def start(**safety):
        return ju.run(script, problem, KEY, **safety)

    parts, cuts = in_parts(tmp_path, start, (pause,))
    whole = start()
    assert_same(parts, whole)
    assert cuts == [pause]
    kept = 4 if ending == "stop" else 2
    assert (parts.status, parts.steps) == ({"stop": "stopped"}.get(ending, "collapsed"), 4)
    np.testing.assert_array_equal(parts.variables["bias"], kept)


@pytest.mark.filterwarnings("ignore:Scripted collapsed")
def test_lanes_that_have_ended_stay_as_they_ended(problem, scripted, tmp_path):
    scripts = (
        scripted(batch_size=19, stop_after=1.0),
        scripted(batch_size=19, collapse_after=2.0),
        scripted(batch_size=19, move=2e38),
        scripted(batch_size=19),
    )
    jobs = [RunSpec(script, problem, jax.random.key(0)) for script in scripts]

    def start(**safety):
        return run_many(jobs, **safety)

    parts, cuts = in_parts(tmp_path, start, (1, 2, 2, 2))
    assert cuts == [1, 3, 5, 7]
    assert [part.status for part in parts] == ["stopped", "collapsed", "collapsed", "finished"]
    for part, whole in zip(parts, start(), strict=True):
        assert_same(part, whole)


def bank_of(path, problem, seeds):
    def member(seed):
        recipe = ju.retrain(batch_size=10, epochs=2, learning_rate=0.05)
        ingredients = {
            "kind": "original",
            "data": "f" * 32,
            "removed": None,
            "request": None,
            "network": {"name": "small"},
            "recipe": describe_method(recipe),
            "seed": seed,
            "version": RECIPE_VERSION,
            "method": None,
            "original": None,
        }
        return Member(ingredients, lambda: RunSpec(recipe, problem, jax.random.key(seed)))

    train, test = problem.retain, problem.forget
    data = DataDescription(
        "tiny", "f" * 32, 5, Labelled(train.id, train.label), Labelled(test.id, test.label)
    )
    return open_bank(path, data=data, create=True), [member(seed) for seed in seeds]


def test_a_bank_goes_on_where_it_was_cut_off(problem, tmp_path, monkeypatch):
    images = problem.retain.image, problem.forget.image
    stored, members = bank_of(tmp_path / "whole", problem, range(6))
    expected = fill(stored, members, problem.model, images)
    outputs = [stored.outputs(record) for record in expected]

    taken = []
    true = steps.step
    monkeypatch.setattr(steps, "step", lambda *a, **k: taken.append(1) or true(*a, **k))
    stored, members = bank_of(tmp_path / "parts", problem, range(6))
    # In the second epoch of the first four models, then in the first of the last two.
    for pause in (5, 4 + 2):
        with pytest.raises(Interrupted):
            fill(stored, members, problem.model, images, interrupted=after(pause))
    records = fill(stored, members, problem.model, images)
    # Two groups of eight steps: none is taken twice.
    assert len(taken) == 16
    for record, before, (train, test) in zip(records, expected, outputs, strict=True):
        assert record.outcome["history"] == before.outcome["history"]
        weights = stored.weights(record, problem.variables)
        whole = open_bank(tmp_path / "whole").weights(before, problem.variables)
        chex.assert_trees_all_equal(weights, whole)
        for mine, theirs in zip(stored.outputs(record), (train, test), strict=True):
            np.testing.assert_array_equal(mine.logits, theirs.logits)
    assert not list((tmp_path / "parts" / "unfinished").glob("*"))


FINETUNE = METHODS["finetune"]


@pytest.fixture
def cut_off(problem, tmp_path):
    """A folder in which fine-tuning was saved after every step, and broke off after the sixth."""
    with (
        pytest.raises(Interrupted),
        Checkpoints(tmp_path / "run", {}, every_seconds=0) as checkpoints,
    ):
        ju.run(FINETUNE, problem, KEY, checkpoints=checkpoints, interrupted=after(6))
    return tmp_path / "run"


def go_on(folder, method, problem, key=KEY):
    with Checkpoints(folder, {}) as checkpoints:
        return ju.run(method, problem, key, checkpoints=checkpoints)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (dataclasses.replace(FINETUNE, epochs=3), "epochs is 2 there and 3 here"),
        (
            dataclasses.replace(FINETUNE, learning_rate=0.5, momentum=0.0),
            f"learning_rate is {FINETUNE.learning_rate} there and 0.5 here, momentum is 0.9 there "
            "and 0.0 here",
        ),
        (METHODS["amnesiac"], "method is FineTune there and Amnesiac here"),
    ],
    ids=["epochs", "rates", "method"],
)
def test_a_checkpoint_of_other_settings_is_refused(method, message, cut_off, problem):
    with pytest.raises(InputError, match=rf"^checkpoints: .*another run: {message}; ") as caught:
        go_on(cut_off, method, problem)
    assert "\n" not in str(caught.value)
    assert newest(cut_off)[0] == 6
    assert go_on(cut_off, FINETUNE, problem).status == "finished"


def test_a_checkpoint_of_another_key_is_refused(cut_off, problem):
    with pytest.raises(
        InputError, match=r"^checkpoints: .*another run: key is \w+ there and \w+ here"
    ):
        go_on(cut_off, FINETUNE, problem, jax.random.key(8))


def test_a_checkpoint_of_another_network_is_refused(cut_off, problem):
    other = dataclasses.replace(problem, variables={**problem.variables, "new": jnp.zeros(2)})
    with pytest.raises(InputError, match=r"its checkpoints hold other arrays, .*'new'\]: none"):
        go_on(cut_off, FINETUNE, other)


def damage(folder, how):
    """Harm the largest file of a checkpoint, or all of it."""
    if how == "no files":
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    if how == "bit flip":
        content[len(content) // 2] ^= 16
    largest.write_bytes({"truncated": content[:-7], "empty": b""}.get(how, bytes(content)))


@pytest.mark.parametrize("how", ["truncated", "empty", "bit flip", "no files"])
def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(
    how, cut_off, problem, recwarn
):
    whole = ju.run(FINETUNE, problem, KEY)
    names = sorted(path.name for path in cut_off.glob("*.*") if path.is_dir())
    assert names == ["5.0", "6.0"]
    damage(cut_off / "6.0", how)
    assert_same(go_on(cut_off, FINETUNE, problem), whole)
    (warning,) = (str(w.message) for w in recwarn)
    assert re.match(r"folder='.*': checkpoint 6\.0 is damaged and skipped", warning)
    assert "\n" not in warning


def test_without_a_sound_checkpoint_nothing_starts(cut_off, problem):
    for path in pathlib.Path(cut_off).glob("?.0"):
        damage(path, "empty")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(InputError, match=r"none of its 2 checkpoints is sound; delete the folder"),
    ):
        go_on(cut_off, FINETUNE, problem)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"retain": lambda problem: problem.retain._replace(image=255 - problem.retain.image)},
            "retain is",
        ),
        (
            {"retain": lambda problem: problem.retain._replace(label=problem.retain.label[::-1])},
            "retain is",
        ),
        (
            {"validation": lambda problem: problem.retain._replace(id=problem.retain.id + 1000)},
            "validation is none there",
        ),
        (
            {"model": lambda problem: dataclasses.replace(problem.model, config="in bfloat16")},
            "config is .* there and in bfloat16 here",
        ),
        (
            {"variables": lambda problem: jax.tree.map(lambda x: 1.5 * x, problem.variables)},
            "it began from other weights",
        ),
    ],
)
def test_a_checkpoint_of_other_data_or_weights_is_refused(changed, says, problem, tmp_path):
    def start(of, **options):
        return ju.run(METHODS["finetune"], of, jax.random.key(0), loop="python", **options)

    with pytest.raises(Interrupted), Checkpoints(tmp_path, {}, every_seconds=1e9) as saved:
        start(problem, checkpoints=saved, interrupted=after(2))
    other = dataclasses.replace(problem, **{name: of(problem) for name, of in changed.items()})
    with (
        Checkpoints(tmp_path, {}) as saved,
        pytest.raises(InputError, match=f"of another run: {says}"),
    ):
        start(other, checkpoints=saved)
