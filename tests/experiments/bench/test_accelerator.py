"""A session on an accelerator: what fits is measured, each part is kept, what fails is said."""

import json
import pathlib
import signal
import sys
import time

import pytest

from experiments.bench import command as bench_command
from experiments.bench.accelerator import (
    beside_torch,
    dispatch,
    paper,
    parts,
    running,
    speed,
    suite,
)
from experiments.bench.accelerator.session import Part, Session, UnfinishedError
from experiments.bench.benchmarks.cases import Row
from experiments.bench.benchmarks.workloads import Workload

TINY = Workload("convnet", 8, side=4, channels=1, width=2)


def machine(platform, kind, count=1):
    return {"platform": platform, "devices": [kind] * count, "cpu": "some", "cores": 2}


def session(out=pathlib.Path("out"), **changes):
    given = {"quick": False, "platforms": "cuda", "machine": machine("gpu", "NVIDIA H200", 8)}
    return Session(**given | {"torch_python": "python", "data_dir": "", "out": out} | changes)


@pytest.fixture
def begin(monkeypatch, call, tmp_path):
    """Run the command on a machine, with the parts given."""

    def run(found, listed, *flags):
        looked = {"machine": found, "platforms": "cuda"}
        monkeypatch.setattr(running, "run_apart", lambda *_, **__: looked)
        monkeypatch.setattr(running, "parts", lambda _: listed)
        return call(bench_command.main, "--accelerator", "--out", tmp_path / "out", *flags)

    return run


def figures(tmp_path):
    return json.loads((tmp_path / "out" / "bench.json").read_text())


GPU = machine("gpu", "NVIDIA H200")


def test_the_flag_names_every_part():
    names = [f"'{part.name}'" if " " in part.name else part.name for part in parts(session())]
    assert f"its parts: {', '.join(names)}." in " ".join(bench_command.Command.__doc__.split())


def test_a_machine_without_accelerator_is_refused_in_one_line(begin, tmp_path):
    ended = begin(machine("cpu", "cpu"), [])
    assert ended.code == 2
    assert ended.err.startswith("error: accelerator: JAX finds no GPU or TPU, only cpu: expected")
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--minutes", 0], "minutes=0.0: expected a number"),
        (["--minutes", "abc"], "abc"),
        (["--data-dir", "/nowhere"], "data_dir='/nowhere': no such folder"),
        (["--only", "tast"], "only='tast': did you mean test?"),
    ],
)
def test_bad_flags_end_in_one_line(flags, message, begin, tmp_path):
    ended = begin(GPU, [Part("test", 0, 1, lambda limit: [])], *flags)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_parts_that_fail_or_do_not_fit_are_a_line_each_and_are_made_up_for(begin, tmp_path):
    begun = []

    def part(name, needs, outcome):
        def measure(limit):
            begun.append((name, limit))
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return Part(name, needs, 30, measure)

    row = Row("speed", 12.0, "images/s")
    cut_off = UnfinishedError([Row("half", 3.0, "models", "cut off")])
    listed = [
        part("fails", 1, RuntimeError("no room\nfor it")),
        part("long", 100, [row]),
        part("half", 1, cut_off),
        part("works", 1, [row]),
    ]
    assert begin(GPU, listed, "--minutes", 1).code == 0
    assert [name for name, _ in begun] == ["fails", "half", "works"]
    # No longer than it may take by itself, nor than is left.
    assert all(0 < limit <= 30 for _, limit in begun)
    found = figures(tmp_path)
    assert found["hardware"]["devices"] == ["NVIDIA H200"]
    assert {"command", "date", "versions"} < set(found)
    notes = {name: case["rows"][0]["note"] for name, case in found["cases"].items()}
    assert notes["accelerator/fails"] == "failed: no room"
    assert notes["accelerator/long"].startswith("not begun: it needs 100 s, and ")
    assert "| speed | 12 | images/s |" in (tmp_path / "out" / "bench.md").read_text()

    # Where nothing at all is measured, the exit code says it.
    assert begin(GPU, listed[:2], "--minutes", 1, "--only", "fails", "long").code == 1

    del begun[:]
    listed[0] = part("fails", 1, [row])
    assert begin(GPU, listed, "--minutes", 2).code == 0
    assert [name for name, _ in begun] == ["fails", "long", "half"]
    # What was cut off keeps its place while it waits.
    del begun[:]
    assert begin(GPU, listed, "--minutes", 0.18).code == 0
    assert not begun
    assert figures(tmp_path)["cases"]["accelerator/half"]["rows"][0]["value"] == 3


def test_figures_of_another_machine_are_not_mixed_in(begin):
    listed = [Part("one", 0, 30, lambda limit: [Row("a", 1.0, "s")])]
    assert begin(GPU, listed).code == 0
    ended = begin(machine("tpu", "TPU v5 lite"), listed)
    assert ended.code == 2
    assert "it holds figures of other hardware" in ended.err


def test_the_most_telling_parts_come_first_and_the_paper_last():
    names = [part.name for part in parts(session())]
    assert names[0] == "tests"
    assert names[-1] == "natmu_cifar10_vgg16"
    assert names[1:3] == ["training", "NatMU"]
    assert names[3:5] == ["MU-Mis forward", "MU-Mis reverse"]
    assert names[5] == "PyTorch"
    assert "PyTorch" not in [part.name for part in parts(session(torch_python=None))]


def test_pytorch_takes_steps_of_training_and_of_mumis_compiled_where_it_can(monkeypatch):
    asked = []

    def run_json(command, message, environment, *, limit):
        asked.append((message["method"], message["compiled"], message["batch"], message["device"]))
        return {"seconds": 0.5 * len(asked), "version": "2"}

    monkeypatch.setattr(beside_torch, "run_json", run_json)
    # Of their own, so that one is kept whatever becomes of the other.
    (training,), (suppression,) = (part.measure(100) for part in beside_torch.parts(session()))
    assert asked == [("training", True, 512, "cuda"), ("MU-Mis", False, 512, "cuda")]
    assert (training.value, suppression.value) == (1024, 512)
    assert "compiled" in training.note
    assert "compiled" not in suppression.note
    # PyTorch has no TPU.
    assert beside_torch.parts(session(platforms="tpu")) == []


def test_who_gives_no_data_is_told_before_the_time_runs(begin, tmp_path):
    listed = [Part(paper.PRESET, 0, 30, lambda limit: [Row("a", 1.0, "models")])]
    said = "natmu_cifar10_vgg16 will be missing: pass --data-dir"
    assert begin(GPU, listed).out.startswith(said)
    assert said not in begin(GPU, listed, "--data-dir", tmp_path).out


def test_every_device_has_its_share_of_a_batch():
    assert session().load.batch == 8 * 512
    assert session(machine=machine("tpu", "TPU v5 lite", 4), quick=True).load.batch == 4 * 128


def test_the_shares_of_the_roofline_are_those_of_the_time_that_was_taken():
    found = {"seconds": 0.01, "bound": 0.004, "by": "memory", "flops": 2e9, "bytes": 3e9}
    rate, share = speed.rows("net training", 64, 4, {**found, "chip": "a chip"})
    assert (rate.value, rate.unit, rate.note) == (6400, "images/s", "10 ms a step, 1600 a device")
    assert (share.value, share.unit) == (pytest.approx(40), "%")
    assert share.note == "bound 4 ms by memory: 2 GFLOP and 3 GB of a device, a chip"
    assert len(speed.rows("net training", 64, 1, {"seconds": 0.01})) == 1


def test_steps_are_timed_and_their_loop_is_bounded_by_the_chip_that_runs_them():
    given = {"load": TINY.to_json(), "kind": "training", "way": None, "seconds": 0.01}
    found = speed.take(**given, device="TPU v5 lite", scanned=False)
    assert found["chip"] == "Google TPU v5e"
    assert found["bound"] == max(found["flops"] / 197e12, found["bytes"] / 819e9)
    assert 0 < found["bound"] < found["seconds"]


def test_what_dispatch_costs_is_the_step_alone_over_the_step_in_a_loop():
    rows = dispatch.rows(TINY, {"python": 3e-4, "scan": 1e-4}, compiled_by_default=True)
    assert [row.value for row in rows] == pytest.approx([300, 100, 200])
    assert [row.note for row in rows] == [
        "loop='python'",
        "what loop='auto' takes here",
        "what dispatch costs",
    ]


def test_the_tests_that_passed_are_counted_and_those_that_failed_named():
    ended = "==== 1 failed, 5 passed in 40.1s ===="
    with pytest.raises(UnfinishedError) as unfinished:
        suite.read(f".....F\nFAILED tests/a.py::test_b - assert 0\n{ended}\n", "", 1)
    rows = unfinished.value.rows
    assert (rows[0].value, rows[0].note) == (5, "1 failed, 5 passed in 40.1s")
    assert [row.note for row in rows[1:]] == ["tests/a.py::test_b - assert 0"]
    (passed,) = suite.read("......\n==== 6 passed in 40.1s ====\n", "", 0)
    assert passed.value == 6
    with pytest.raises(RuntimeError, match=r"^no module named jax$"):
        suite.read("", "Traceback\nno module named jax\n", 4)


def test_tests_of_which_none_ran_are_to_be_run_again():
    with pytest.raises(UnfinishedError, match=r"^6 skipped in 2\.0s$"):
        suite.read("ssssss\n==== 6 skipped in 2.0s ====\n", "", 0)


def test_the_paper_needs_its_data():
    with pytest.raises(RuntimeError, match=r"^CIFAR-10 is needed: pass --data-dir"):
        parts(session())[-1].measure(60)


def test_how_far_a_run_has_come_is_read_off_its_bank(tmp_path):
    assert paper.progress(tmp_path) == (0, 0)
    for place in ("models/a", "models/b", "unfinished/c/128.1", "unfinished/c/1024.0"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "models" / "a" / "record.json").touch()
    assert paper.progress(tmp_path) == (1, 1024)


@pytest.mark.parametrize(
    ("script", "limit", "expected"),
    [
        ("print('one'); print('two')", 60, (0, "two")),
        ("raise SystemExit('error: no')", 60, (1, "error: no")),
        ("import time; print('on', flush=True); time.sleep(60)", 0.5, (-signal.SIGTERM, None)),
    ],
)
def test_a_run_is_told_to_save_itself_when_its_time_is_over(script, limit, expected, tmp_path):
    start = time.perf_counter()
    code, said = paper.run([sys.executable, "-c", script], {}, tmp_path / "log", limit)
    assert time.perf_counter() - start < 50
    assert code == expected[0]
    assert expected[1] in (None, said)
