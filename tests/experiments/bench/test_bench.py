"""The bench: what it measures is what it says, what is measured is kept, what fails is said."""

import dataclasses
import gzip
import json
import signal
import time

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import experiments.bench.benchmarks
import jax_unlearn as ju
from experiments.bench import command as bench_command
from experiments.bench.benchmarks.apart import run_apart
from experiments.bench.benchmarks.by_hand import ByHand
from experiments.bench.benchmarks.cases import Bench, Case, Row
from experiments.bench.benchmarks.overhead import compare
from experiments.bench.benchmarks.stepping import SCANNED, Stepper, per_step
from experiments.bench.benchmarks.workloads import STEPS, Workload, training
from experiments.shared.execution import profiled
from jax_unlearn.engine.signals import Interrupted

TINY = Workload("convnet", 8, side=4, channels=1, width=2)
CPU = Bench(quick=True, torch_python=None, accelerator=False, kind="cpu")
GPU = Bench(quick=False, torch_python=None, accelerator=True, kind="NVIDIA H200")


def linear(problem):
    """The problem with a linear network, which compiles in no time."""

    def init(key):
        return {"weight": 0.1 * jax.random.normal(key, (TINY.side**2, 10))}

    def apply(variables, images, *, train):
        return images.reshape(len(images), -1) @ variables["weight"], variables

    model = ju.Model(init, apply, "linear")
    weights = model.init(jax.random.key(0))
    return dataclasses.replace(problem, model=model, variables=weights, initial=weights)


@pytest.fixture
def fake(monkeypatch, call, tmp_path):
    """Run the command with one benchmark whose cases are given; returns how it ended."""

    def run(cases, *flags):
        listed = [Case(name, measure) for name, measure in cases.items()]
        benchmarks = {"fake": lambda plan: listed}
        monkeypatch.setattr(experiments.bench.benchmarks, "BENCHMARKS", benchmarks)
        return call(bench_command.main, "--out", tmp_path, *flags)

    return run


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--only", "throughputt"], "only='throughputt': did you mean throughput? expected one of"),
        (["--torch-python", "nowhere"], "torch_python='nowhere': expected a Python"),
        (["--quik"], "--quik"),
        (["--minutes", 3], "minutes=3.0: expected with --accelerator alone"),
        (["--data-dir", "data"], "data_dir='data': expected with --accelerator alone"),
    ],
)
def test_bad_flags_end_in_one_line_and_leave_nothing(flags, message, call, tmp_path):
    result = call(bench_command.main, "--out", tmp_path / "out", *flags)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_figures_are_written_with_what_they_must_be_read_with(fake, tmp_path):
    result = fake({"one": lambda: [Row("speed", 12.5, "m/s", "tail wind"), Row("lift", None, "N")]})
    assert result.code == 0
    assert "speed" in result.out
    found = json.loads((tmp_path / "bench.json").read_text())
    assert {"command", "date", "versions", "hardware", "quick"} < set(found)
    assert found["cases"]["fake/one"]["rows"][0] == {
        "name": "speed",
        "value": 12.5,
        "unit": "m/s",
        "note": "tail wind",
    }
    measured = {name: found[name] for name in ("command", "date")}
    assert found["cases"]["fake/one"]["measured"] == measured
    text = (tmp_path / "bench.md").read_text()
    assert f"## fake\n\n`{found['command']}`, {found['date']}\n" in text
    assert "| speed | 12.5 | m/s | tail wind |" in text
    assert "| lift | - | N |  |" in text


def test_what_is_measured_is_kept_and_what_failed_is_tried_again(fake, tmp_path):
    calls = []

    def works():
        calls.append("works")
        return [Row("a", 1.0, "s")]

    def fails():
        calls.append("fails")
        raise MemoryError("no room\nfor it")

    first = fake({"fails": fails, "works": works})
    assert first.code == 0
    assert "failed: MemoryError: no room" in (tmp_path / "bench.md").read_text()
    fake({"fails": fails, "works": works})
    assert calls == ["fails", "works", "fails"]
    fake({"fails": fails, "works": works}, "--overwrite")
    assert calls[3:] == ["fails", "works"]


def test_an_interrupt_ends_the_bench(fake, tmp_path):
    def stopped():
        raise Interrupted(signal.SIGTERM)

    assert fake({"stopped": stopped}).code == 143
    assert not (tmp_path / "bench.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "its bench.json is not that of a benchmark"),
        (None, "it holds figures of other hardware, versions or another --quick"),
    ],
)
def test_figures_of_another_kind_are_not_mixed_in(content, message, fake, tmp_path):
    fake({"one": lambda: [Row("a", 1.0, "s")]}, "--quick")
    if content is not None:
        (tmp_path / "bench.json").write_text(content)
    before = (tmp_path / "bench.json").read_text()
    result = fake({"one": lambda: [Row("a", 2.0, "s")]})
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert (tmp_path / "bench.json").read_text() == before


@pytest.mark.parametrize("plan", [CPU, GPU])
def test_every_benchmark_lists_cases_with_names_of_their_own(plan):
    for listed in experiments.bench.benchmarks.BENCHMARKS.values():
        names = [case.name for case in listed(plan)]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", STEPS)
def test_steps_in_a_compiled_loop_are_the_steps_one_by_one(kind):
    method, problem = STEPS[kind](TINY)
    python, scan = (Stepper(method, linear(problem), scanned=scanned) for scanned in (False, True))
    assert python(SCANNED) == scan(1) == SCANNED
    chex.assert_trees_all_close(
        jax.device_get(python.state.variables),
        jax.device_get(scan.state.variables),
        rtol=1e-3,
        atol=1e-4,
    )


def test_operations_grow_with_the_batch():
    small, large = (
        Stepper(*training(Workload("convnet", batch, side=8, channels=1)), scanned=scanned).flops()
        for batch, scanned in ((64, False), (128, True))
    )
    assert large == pytest.approx(2 * small, rel=0.05)
    # Forward pass, gradient of the input and of the weights; the first layer has no need of the
    # second. Each multiplication comes with an addition.
    of_device = 64 / jax.device_count()
    macs = of_device * 9 * (64 * 1 * 16 * 2 / 3 + 16 * 16 * 32 + 4 * 32 * 64)
    assert 0.6 * 6 * macs < small < 1.3 * 6 * macs


def test_costs_of_a_step_are_those_of_the_loop_however_steps_are_taken():
    one_by_one, scanned = (
        Stepper(*training(TINY), scanned=scanned).costs() for scanned in (False, True)
    )
    assert one_by_one["flops"] == scanned["flops"] > 0
    assert one_by_one["bytes"] == scanned["bytes"] > 0


def test_the_time_of_a_step_is_that_of_the_steps_taken():
    def whole_tens(count):
        count = -(-count // 10) * 10
        time.sleep(0.001 * count)
        return count

    assert per_step({"a": whole_tens}, 0.1)["a"] == pytest.approx(0.001, rel=0.2)


def test_the_loop_written_by_hand_is_the_same_step_by_step_or_compiled():
    recipe, problem = training(TINY, epochs=2)
    python, scan = (ByHand(recipe, linear(problem), scanned=scanned) for scanned in (False, True))
    for number in range(2):
        assert python.epoch(number) == pytest.approx(scan.epoch(number), rel=1e-3)


@pytest.mark.parametrize("scanned", [False, True])
def test_engine_and_hand_are_timed_over_the_same_steps(scanned):
    problem = linear(training(TINY)[1])
    engine, bare = compare(problem, TINY.batch, steps=5, epochs=4, scanned=scanned)
    # One epoch of each compiles, and is left out.
    assert engine.shape == bare.shape == (4,)
    assert (bare > 0).all()
    assert (engine > 0).all()


def test_virtual_devices_give_the_weights_of_one(call, tmp_path):
    result = call(bench_command.main, "--only", "sharding", "--quick", "--out", tmp_path)
    assert result.code == 0
    (case,) = json.loads((tmp_path / "bench.json").read_text())["cases"].values()
    assert not case["failed"]
    assert [row["name"].rpartition(", ")[2] for row in case["rows"]] == ["2 virtual CPU devices"]
    assert case["rows"][0]["value"] < 1e-4


def test_a_process_that_fails_gives_the_line_that_it_wrote_last():
    with pytest.raises(RuntimeError, match=r"^AttributeError: .*no attribute 'nothing'"):
        run_apart("cases.nothing", cpu_devices=1)


def test_a_profile_holds_programs_and_not_every_python_call(tmp_path):
    def fresh(x):
        return jnp.sin(x) @ x

    with profiled(str(tmp_path)):
        jax.jit(fresh)(np.ones((64, 64), np.float32)).block_until_ready()
    (trace,) = tmp_path.rglob("perfetto_trace.json.gz")
    assert list(tmp_path.rglob("*.xplane.pb"))
    with gzip.open(trace) as file:
        events = json.load(file)["traceEvents"]
    names = [event.get("name", "") for event in events]
    assert any("PjitFunction(fresh)" in name for name in names)
    # What the Python tracer records is named $FILE:LINE FUNCTION.
    assert not any(name.startswith("$") for name in names)
