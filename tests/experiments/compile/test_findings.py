"""A command that was cut off goes on from its folder, and from no other that is there."""

import json
import time

import jax
import pytest

from experiments.compile import command, compiling, measuring, restarting
from experiments.compile.findings import Findings
from jax_unlearn.core import InputError

FLAGS = ("--target", "tpu:v5e:2x2", "--network.width", 2, "--methods", "finetune")
FLAGS += ("--training.batch-size", 8, "--set", "finetune.batch_size=8")


@pytest.fixture
def as_target(monkeypatch):
    """The devices of this process stand for the target's."""
    monkeypatch.setattr(command, "check_compiler", lambda target: None)
    monkeypatch.setattr(compiling, "devices_of", lambda target: jax.devices())


@pytest.mark.usefixtures("as_target")
def test_a_command_that_was_cut_off_goes_on_and_other_settings_are_refused(
    call, refused, tmp_path, monkeypatch
):
    compiled = []

    def measure(job, chip, dtype, kernel, known):
        compiled.append(job.name)
        if len(compiled) == 2:
            return {"error": "cut off"}
        return measuring.measure(job, chip, dtype, kernel, known)

    monkeypatch.setattr(compiling, "measure", measure)
    flags = [*FLAGS, "--programs", "step", "evaluation", "--out", tmp_path]
    for expected in (3, 1):
        compiled.clear()
        if expected == 1:
            compiled += ["", ""]
        done = call(command.main, *flags)
        assert done.code == (expected == 3), done.err
        assert ("1 of 3 programs are not compiled" in done.out) == (expected == 3)
        assert len([name for name in compiled if name]) == expected
    found = json.loads((tmp_path / "compile.json").read_text())
    records = found["programs"]["tpu:v5e:2x2"]
    assert {record["error"] for record in records.values()} == {None}
    assert "training step b8" in (tmp_path / "compile.md").read_text()
    page = (tmp_path / "compile.md").read_text()
    assert page.startswith(
        "# Compiled, not run\n\nconvnet in float32 on digits, requests random:0.1"
    )
    assert found["command"] in page
    records["training step b8"]["memory"] = {}
    (tmp_path / "compile.json").write_text(json.dumps(found))
    assert "its compile.json is not of this" in refused(command.main, *flags)
    assert json.loads((tmp_path / "compile.json").read_text()) == found
    compiled[:] = ["", ""]
    call(command.main, *flags, "--overwrite")
    assert len(compiled) == 2 + 3
    compiled[:] = ["", ""]
    # Started again after a crash, the same command keeps what it has written, and nothing else.
    monkeypatch.setenv(restarting.INSIDE, "1")
    monkeypatch.setenv(restarting.BEGAN, "0")
    call(command.main, *flags, "--overwrite")
    assert compiled == ["", ""]
    monkeypatch.setenv(restarting.BEGAN, str(time.time() + 60))
    call(command.main, *flags, "--overwrite")
    assert len(compiled) == 2 + 3
    monkeypatch.delenv(restarting.INSIDE)
    # With --fit larger batches of what is there are compiled; the page names both commands.
    compiled[:] = ["", ""]
    assert call(command.main, *flags, "--fit").code == 0
    found = json.loads((tmp_path / "compile.json").read_text())
    assert all(r["confirmed"] for r in found["programs"]["tpu:v5e:2x2"].values())
    assert len(compiled) > 2
    page = (tmp_path / "compile.md").read_text()
    assert found["command"] in page
    assert all(one["command"] in page for one in found["before"])
    assert len(found["before"]) == 1
    compiled[:] = ["", ""]
    assert call(command.main, *flags, "--fit").code == 0
    assert compiled == ["", ""]
    line = refused(command.main, *flags, "--network.dtype", "bfloat16")
    assert "holds programs of other settings or versions" in line


@pytest.mark.usefixtures("as_target")
def test_what_the_code_or_a_chips_file_no_longer_says_is_not_gone_on_from(call, refused, tmp_path):
    flags = [*FLAGS, "--programs", "step", "evaluation", "--out", tmp_path]
    assert call(command.main, *flags).code == 0
    found = json.loads((tmp_path / "compile.json").read_text())
    records = found["programs"]["tpu:v5e:2x2"]
    once = {name: record["seconds"] for name, record in records.items()}
    assert "changed" not in call(command.main, *flags).out
    # As if it were of a version with other predictions.
    records["predictions evaluation b256"] |= {"module": "other", "flops": 1.0}
    (tmp_path / "compile.json").write_text(json.dumps(found))
    said = call(command.main, *flags).out
    assert "predictions evaluation b256: has changed since it was compiled" in said
    again = json.loads((tmp_path / "compile.json").read_text())["programs"]["tpu:v5e:2x2"]
    assert again["predictions evaluation b256"]["flops"] > 1
    assert again["training step b8"]["seconds"] == once["training step b8"]
    found["chips"]["tpu:v5e:2x2"]["bandwidth"] /= 2
    (tmp_path / "compile.json").write_text(json.dumps(found))
    assert "a chip whose description has changed" in refused(command.main, *flags)


@pytest.mark.usefixtures("as_target")
def test_what_does_not_fit_with_one_image_is_refused_and_leaves_nothing(
    refused, tmp_path, monkeypatch
):

    def measure(job, chip, dtype, kernel, known):
        # Gradients, which are as large whatever the batch, fill the device.
        found = measuring.measure(job, chip, dtype, kernel, known)
        found["memory"] = {"temporaries": 2e10, "total": 2e10 + job.batch}
        return found

    monkeypatch.setattr(compiling, "measure", measure)
    flags = [*FLAGS, "--programs", "step", "--out", tmp_path / "out"]
    line = refused(command.main, *flags)
    assert (
        "network.name='convnet': with one image on each device a step takes 18.6 GiB of it" in line
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("as_target")
@pytest.mark.parametrize("refuses", [False, True])
def test_the_largest_batch_of_one_that_is_too_large_is_found_as_of_any(
    call, tmp_path, monkeypatch, refuses
):
    """A compiler for TPUs refuses what does not fit, one for GPUs leaves it to who runs it."""

    def measure(job, chip, dtype, kernel, known):
        found = measuring.measure(job, chip, dtype, kernel, known)
        found["memory"] = {"temporaries": 1e8 * job.batch, "total": 3e8 + 1e8 * job.batch}
        found["room"], found["largest_batch"] = 2e9, 18
        if refuses and job.batch > 17:
            found = {key: found[key] for key in ("batch", "models", "shards", "module")}
            return {"error": "RESOURCE_EXHAUSTED: no room", **found}
        return found

    monkeypatch.setattr(compiling, "measure", measure)
    monkeypatch.setattr(compiling.Compiling, "room", 2e9)
    flags = ["--target", "tpu:v5e:2x2", "--network.width", 2, "--batch", 64, "--mesh", "model=4"]
    flags += ["--methods", "finetune", "--programs", "step", "--fit", "--out", tmp_path]
    for seconds in range(2):
        done = call(command.main, *flags)
        assert done.code == 1
        assert "2 of 2 programs do not fit: take smaller batches" in done.out
        # What is known is not compiled again.
        assert ("largest batch 17, not 18" in done.out.split("tpu:v5e:2x2:")[0]) == (seconds == 0)
        page = (tmp_path / "compile.md").read_text()
        assert page.count("| 17, not 18 |") == 2


def test_a_program_that_ends_the_process_is_tried_twice_and_then_left(tmp_path):
    under_way = []
    for attempts in (1, 2):
        findings = Findings(tmp_path, {}, {}, overwrite=False)
        assert findings.lacks("t", "p step b1")
        under_way.append(findings.attempt("t", "p step b1"))
        under_way[-1].__enter__()  # and the process ends
        record = json.loads((tmp_path / "compile.json").read_text())["programs"]["t"]["p step b1"]
        assert record["attempts"] == attempts
    findings = Findings(tmp_path, {}, {}, overwrite=False)
    assert not findings.lacks("t", "p step b1")
    findings.of("t")["q step b1"] = {"error": "refused"}
    for words in ("F1130 one", "F1130 other"):
        findings.explain(words)
    assert findings.of("t")["p step b1"]["words"] == "F1130 one"
    assert "words" not in findings.of("t")["q step b1"]


def test_programs_stand_in_the_order_of_the_command(tmp_path):
    findings = Findings(tmp_path, {}, {}, overwrite=False)
    findings.of("t").update({key: {} for key in "cab"})
    assert list(findings.arrange("t", ["b", "x", "a"])) == ["b", "a", "c"]
    assert list(findings.of("t")) == ["b", "a", "c"]


GOOD = {
    "error": None,
    "seconds": 1.0,
    "module": "m",
    "batch": 8,
    "models": 1,
    "shards": 1,
    "flops": 2.0,
    "bytes": 3.0,
    "counted_by": "program",
    "memory": {"temporaries": 4, "total": 5},
    "collectives": {"all-reduce": {"count": 1, "bytes": 8}},
    "convolutions": {"3x3": 2},
    "oversized": {},
    "copies": 0,
    "transposes": 0,
    "loops": 0,
    "room": 10.0,
    "largest_batch": 16,
    "bound_seconds": 0.5,
    "bound_by": "memory",
}


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("p step b8", {"bound_seconds": 0}),
        ("p step b8", {"bound_seconds": float("nan")}),
        ("p step b8", {"batch": 0}),
        ("p step b8", {"flops": -1}),
        ("p step b8", {"seconds": "long"}),
        ("p step b8", {"largest_batch": "many"}),
        ("p step b8", {"collectives": {"all-reduce": 3}}),
        ("p step b8", {"memory": 5}),
        *(("p step b8", {key: ...}) for key in GOOD if key not in ("error", "loops", "module")),
        ("p", {}),
        ("p step b8", {"error": 3}),
        ("p step b8", {"error": "the process ended while this was compiled"}),
    ],
)
def test_a_file_that_cannot_be_shown_is_not_gone_on_from(tmp_path, name, record):
    def begin(records):
        found = Findings(tmp_path, {}, {}, overwrite=True)
        found.of("t").update(records)
        found.write()
        return Findings(tmp_path, {}, {}, overwrite=False)

    assert begin({"p step b8": dict(GOOD)}).of("t") == {"p step b8": GOOD}
    wrong = {key: value for key, value in (GOOD | record).items() if value is not ...}
    with pytest.raises(InputError, match=r"its compile\.json is not of this command"):
        begin({name: wrong})


def test_a_program_that_is_refused_is_compiled_again_by_hand_alone(tmp_path):
    findings = Findings(tmp_path, {}, {}, overwrite=False)
    with findings.attempt("t", "p step b1"):
        findings.of("t")["p step b1"] = {"error": "too large"}
    findings.write()
    once_more = Findings(tmp_path, {}, {}, overwrite=False)
    assert once_more.lacks("t", "p step b1")
    assert not once_more.lacks("t", "p step b1", again=True)
    assert once_more.lacks("t", "q step b1", again=True)


def test_a_search_for_the_largest_batch_loses_nothing_of_what_is_compiled(tmp_path):
    findings = Findings(tmp_path, {}, {}, overwrite=False)
    sound = {"error": None, "largest_batch": 8}
    findings.of("t")["o"] = {"error": "too large"}
    findings.of("t")["p"] = dict(sound)
    findings.of("t")["q"] = dict(sound)
    assert findings.lacks_fit("t", "p")
    assert not findings.lacks_fit("t", "o")
    with pytest.raises(KeyboardInterrupt), findings.attempt("t", "p"):
        raise KeyboardInterrupt
    assert findings.of("t")["p"] == sound
    under_way = []
    for _ in range(2):
        assert findings.lacks_fit("t", "p")
        under_way.append(findings.attempt("t", "p"))
        under_way[-1].__enter__()  # and the process ends
        kept = json.loads((tmp_path / "compile.json").read_text())["programs"]["t"]
        assert list(kept) == ["o", "p", "q"]
        assert kept["p"].items() >= sound.items()
        findings.of("t")["p"] = kept["p"]
    assert not findings.lacks_fit("t", "p")
    findings.of("t")["q"]["refused_batch"] = None
    assert not findings.lacks_fit("t", "q")


def test_an_interrupted_compilation_is_no_attempt(tmp_path):
    findings = Findings(tmp_path, {}, {}, overwrite=False)
    with pytest.raises(KeyboardInterrupt), findings.attempt("t", "p"):
        raise KeyboardInterrupt
    assert findings.lacks("t", "p")
    # Nothing is compiled yet, and nothing is left.
    assert not (tmp_path / "compile.json").exists()
