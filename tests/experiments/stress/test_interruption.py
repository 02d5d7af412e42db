"""A command that was broken off goes on where it stopped, and ends as if it had not been."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest

from experiments.run import command as run_command
from experiments.shared.folder import open_folder
from experiments.stress import command as stress
from experiments.stress import position as positions

FLAGS = (
    *("--data.train-size", 200, "--data.test-size", 60, "--data.padding", 0, "--data.no-flip"),
    *("--network.width", 4, "--training.epochs", 3, "--training.batch-size", 50),
    *("--requests", "class:3", "--methods", "natmu", "--seeds", 0, "--oracles", 1),
    *("--set", "natmu.batch_size=50", "natmu.epochs=2", "--mesh", "data=4"),
)
LINE = "interrupted: start the same command again to go on\n"


class Cut(NamedTuple):
    """A signal that comes while a step is reported."""

    phase: str
    step: int
    signum: int


class Started(NamedTuple):
    """What a start gave: exit code, output, errors, and the steps reported of each phase."""

    code: int
    out: str
    err: str
    steps: dict[str, list[int]]


@pytest.fixture(scope="module")
def start(call):
    """Start the command in this process; with a cut, a signal reaches it."""

    def run(out, *flags, cut=None):
        steps = {}

        @contextlib.contextmanager
        def phases(console):
            del console

            @contextlib.contextmanager
            def phase(name):
                def on_step(done, planned):
                    del planned
                    steps.setdefault(name, []).append(done)
                    if cut and cut.phase in name and done == cut.step:
                        os.kill(os.getpid(), cut.signum)

                yield on_step

            yield phase

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_command, "phases", phases)
            result = call(run_command.main, *FLAGS, *flags, "--out", out)
        return Started(*result, steps)

    return run


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """A run that was left alone."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert start(out).code == 0
    return out


def check_end(out, whole):
    positions.check_end(out / "bank", whole / "bank")


CUTS = {
    "training, in its first epoch": (Cut("original", 3, signal.SIGTERM), 143),
    "training, at the end of an epoch": (Cut("original", 8, signal.SIGINT), 130),
    "the oracle": (Cut("class 3: oracle", 5, signal.SIGINT), 130),
    "NatMU": (Cut("NatMU", 2, signal.SIGTERM), 143),
    "NatMU, in its last epoch": (Cut("NatMU", 7, signal.SIGINT), 130),
}


@pytest.fixture(scope="module")
def course(start, tmp_path_factory):
    """One run, broken off at every cut in turn: its folder, and what each start gave."""
    out = tmp_path_factory.mktemp("course") / "run"
    return out, [start(out, cut=cut) for cut in [*(cut for cut, _ in CUTS.values()), None]]


@pytest.mark.parametrize("number", range(len(CUTS)), ids=list(CUTS))
def test_a_signal_ends_the_command_after_the_step_and_the_next_start_goes_on_there(number, course):
    cut, code = list(CUTS.values())[number]
    ended, following = course[1][number : number + 2]
    assert (ended.code, ended.err) == (code, LINE)
    (name,) = (phase for phase in ended.steps if cut.phase in phase)
    assert ended.steps[name][-1] == cut.step
    assert following.steps[name][0] == cut.step + 1
    assert re.search(rf"^{name}: goes on at step {cut.step} of \d+$", following.out, re.MULTILINE)


def test_a_run_broken_off_many_times_equals_one_left_alone_bit_for_bit(course, whole):
    out, starts = course
    assert (starts[-1].code, starts[-1].err) == (0, "")
    check_end(out, whole)
    assert [p.name for p in out.glob("bank/unfinished/*")] == []


def test_no_step_is_taken_twice(course):
    taken = {}
    for started in course[1]:
        for phase, steps in started.steps.items():
            if "audit" not in phase:
                taken.setdefault(phase, []).extend(steps)
    assert len(taken) == 3
    for steps in taken.values():
        assert steps == list(range(1, len(steps) + 1))


def test_checkpoints_are_made_in_between_too(start, whole, tmp_path):
    """And change nothing."""
    assert start(tmp_path / "run", "--checkpoint-seconds", 0).code == 0
    check_end(tmp_path / "run", whole)


@pytest.fixture(scope="module")
def cut_once(start, tmp_path_factory):
    """A run that was cut off at its sixth step, with checkpoints of the last two steps."""
    out = tmp_path_factory.mktemp("cut") / "run"
    ended = start(out, "--checkpoint-seconds", 0, cut=Cut("original", 6, signal.SIGTERM))
    assert ended.code == 143
    (folder,) = out.glob("bank/unfinished/*")
    assert {path.name for path in folder.glob("*.*") if path.is_dir()} == {"5.0", "6.0"}
    return out


@pytest.fixture
def cut_off(cut_once, tmp_path):
    return shutil.copytree(cut_once, tmp_path / "cut")


def test_the_command_names_each_other_setting_with_both_values(start, cut_off):
    refused = start(cut_off, "--resume", "--training.epochs", 5, "--seeds", 1)
    assert refused.code == 2
    assert re.fullmatch(
        r"error: out='.*': the folder holds a run with other settings: training.epochs is 3 there "
        r"and 5 here, seeds is \[0\] there and \[1\] here; .*\n",
        refused.err,
    )


def test_another_way_to_loop_goes_on_with_the_run(start, cut_off):
    started = start(cut_off, "--resume", "--loop", "python")
    assert (started.code, started.err) == (0, "")
    assert "original: goes on at step 6 of " in started.out


def test_a_damaged_checkpoint_costs_one_line_and_the_steps_since_the_one_before(
    start, cut_off, whole
):
    (newest,) = cut_off.glob("bank/unfinished/*/6.0")
    max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size).write_bytes(
        b""
    )
    with pytest.warns(UserWarning, match=r"checkpoint 6\.0 is damaged") as warned:
        started = start(cut_off)
    assert len([one for one in warned if "damaged" in str(one.message)]) == 1
    assert started.code == 0
    assert "original: goes on at step 5 of " in started.out
    check_end(cut_off, whole)


@contextlib.contextmanager
def largest_file(size):
    """A disk that is full: no file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("seconds", [0, 1e9], ids=["at a checkpoint", "at the results"])
def test_a_full_disk_is_one_line_and_what_was_there_stays(seconds, start, cut_off, whole):
    before = positions.position(cut_off / "bank")
    # Below the 5,176 bytes of the arrays' description: how Orbax divides the arrays themselves
    # into files varies, and weights of 7 kB may lie in several small ones.
    with largest_file(4_500):
        full = start(cut_off, "--checkpoint-seconds", seconds)
    assert full.code == 2
    assert re.fullmatch(r"error: .*File too large\); .*\n", full.err)
    now = positions.position(cut_off / "bank")
    assert now == before
    assert start(cut_off).code == 0
    check_end(cut_off, whole)


def test_resume_needs_a_run_in_the_folder(start, cut_off, tmp_path):
    missing = start(tmp_path / "nowhere", "--resume")
    assert missing.code == 2
    assert re.fullmatch(r"error: resume: there is no run in out='.*nowhere'; .*\n", missing.err)
    assert not (tmp_path / "nowhere").exists()
    assert start(cut_off, "--resume").code == 0


def test_a_second_run_in_a_folder_is_refused(start, cut_off):
    settings = json.loads((cut_off / "config.json").read_text())["settings"]
    with open_folder(cut_off, settings, overwrite=False):
        refused = start(cut_off)
    assert refused.code == 2
    assert re.fullmatch(r"error: out='.*': another process is writing there; .*\n", refused.err)


def test_processes_killed_at_random_moments_lose_nothing(tmp_path):
    out = tmp_path / "stress"
    flags = ("--kills", 3, "--signal", "any", "--longest", 2, "--epochs", 5, "--out", out)
    flags += ("--methods", "natmu")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.stress", *map(str, flags)],
        capture_output=True,
        text=True,
        # For what hangs: on a busy machine the command takes many minutes.
        timeout=3600,
        # Every start reads what the first one compiled, so it pays to make the steps fast.
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sum(bool(re.match(r" *\d+\. (kill|term|int) after", line)) for line in lines) == 3
    assert "has ended as the one left alone, bit for bit" in lines[-1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--kills", 0), "kills=0: expected a whole number >= 1"),
        (("--signal", "hup"), "signal='hup': expected one of any, int, kill, term"),
        (("--methods", "retrain"), "methods='retrain': expected one of mumis, natmu, salun"),
        (("--epochs", 0), "epochs=0: expected a whole number >= 1"),
        (
            ("--requests", "class:3-then-class:3"),
            "requests='class:3-then-class:3': sequence: step 2 (class) names 41 of the images that "
            "an earlier step (class) removes, id 23 the first: expected steps that do not overlap; "
            "take those images out of one of them",
        ),
    ],
)
def test_wrong_flags_are_refused(call, flags, message, tmp_path):
    result = call(stress.main, *flags, "--out", tmp_path / "out")
    assert (result.code, result.err) == (2, f"error: {message}\n")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_emptied(call, tmp_path):
    (tmp_path / "mine").write_text("")
    result = call(stress.main, "--out", tmp_path)
    assert (result.code, result.err[:11]) == (2, "error: out=")
    assert (tmp_path / "mine").exists()


@pytest.fixture
def two_banks(tmp_path):
    """Folders of two equal banks, as far as the comparison looks."""
    for name in ("one", "other"):
        folder = tmp_path / name / "models" / "0a"
        folder.mkdir(parents=True)
        outcome = {"status": "finished", "steps": 3, "run_seconds": len(name)}
        (folder / "record.json").write_text(json.dumps({"outcome": outcome}))
        (folder / "outputs.npz").write_bytes(b"same")
    return tmp_path / "one", tmp_path / "other"


def test_equal_banks_pass_whatever_their_times(two_banks):
    positions.check_end(*two_banks)


def test_the_comparison_sees_a_bit_that_differs(two_banks):
    (two_banks[0] / "models" / "0a" / "outputs.npz").write_bytes(b"samf")
    with pytest.raises(positions.LostError, match=r"0a: outputs.npz differs"):
        positions.check_end(*two_banks)


def test_the_comparison_sees_another_history(two_banks):
    path = two_banks[0] / "models" / "0a" / "record.json"
    path.write_text(path.read_text().replace("3", "4"))
    with pytest.raises(positions.LostError, match="0a: its history differs"):
        positions.check_end(*two_banks)


def test_the_comparison_sees_a_missing_model(two_banks):
    shutil.rmtree(two_banks[0] / "models" / "0a")
    with pytest.raises(positions.LostError, match="there are other models"):
        positions.check_end(*two_banks)


A = {"a": "1"}


@pytest.mark.parametrize(
    ("before", "now", "printed", "message"),
    [
        ((A, ("", 0)), ({}, ("", 0)), "", "a model that was finished is gone"),
        ((A, ("", 0)), ({"a": "2"}, ("", 0)), "", "a model that was finished is gone or has ch"),
        (({}, ("p", 9)), ({}, ("p", 12)), "p: goes on at step 7 of 20", "went on at .*7"),
        (({}, ("p", 9)), ({}, ("p", 12)), "", "p was begun anew, though step 9 was saved"),
        (({}, ("p", 9)), (A, ("", 0)), "", "p was begun anew, though step 9 was saved"),
        (({}, ("p", 9)), ({}, ("p", 3)), "", "checkpoint of p at step 9 is gone"),
    ],
)
def test_work_that_is_lost_is_noticed(before, now, printed, message):
    with pytest.raises(positions.LostError, match=message):
        positions.check_start(positions.Position(*before), positions.Position(*now), printed)
