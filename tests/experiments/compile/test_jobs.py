"""What is compiled is what a run of the same settings would execute, from sizes alone."""

import dataclasses
import json
import time

import jax
import numpy as np
import pytest

import jax_unlearn as ju
from experiments.compile import command, compiling, measuring, restarting
from experiments.compile.findings import Findings
from experiments.compile.jobs import PROGRAMS, Job, edits, list_jobs
from experiments.compile.kernels import largest_kernel
from experiments.compile.plain_networks import PLAIN, plain_model
from experiments.compile.settings import settle
from experiments.compile.stand_in import SIZES, stand_in
from experiments.compile.target import parse_target
from experiments.compile.totals import planned_steps, planner, totals
from experiments.configs import preset, preset_names
from experiments.shared.chip import chips
from experiments.shared.config import Experiment
from experiments.shared.execution import Execution
from experiments.shared.original import Data, Network, Training
from jax_unlearn.core import InputError
from jax_unlearn.sharding import Layout

SMALL = Experiment(
    data=Data(name="cifar10", train_size=500, test_size=100),
    network=Network(name="convnet", width=2),
    training=Training(epochs=3, batch_size=40),
    requests=("class:3", "random:0.1"),
    methods=("finetune", "mumis", "ssd"),
    seeds=(0, 1),
    oracles=4,
    set=("finetune.batch_size=40", "finetune.epochs=2", "mumis.batch_size=30", "ssd.batch_size=40"),
)


@pytest.fixture(scope="module")
def settings():
    return settle(SMALL)


def jobs_of(settings, programs=PROGRAMS, *, scans=True):
    together, beside = Layout(ju.make_mesh(4)), Layout(ju.make_mesh(1, 4), stacked=True)
    return list_jobs(settings, together, beside, programs, scans=scans)


def test_every_program_of_a_run_is_listed_once_with_what_it_is_compared_to(settings):
    jobs = {job.name: job for job in jobs_of(settings)}
    assert list(jobs) == [
        *("training step b40", "training plain b40", "training scan b40"),
        *("finetune step b40", "finetune scan b40"),
        *("training step b32", "training plain b32", "mumis step b32", "mumis scan b32"),
        *("ssd add_examples pass b1024", "predictions evaluation b256", "training bank b40"),
    ]
    assert jobs["training bank b40"].models == 4
    assert jobs["training step b40"].shards == 4
    assert [row for row, *_ in edits(settings)] == ["ssd"]


def test_an_edit_that_does_not_bear_made_up_numbers_says_so(settings, monkeypatch):
    def refuse(*_):
        raise ValueError("not positive")

    monkeypatch.setattr(ju.METHODS["ssd"].method_class, "edit", refuse)
    (job,) = jobs_of(settings, ("pass",))
    assert job.name == "ssd edit pass b40"
    with pytest.raises(ValueError, match="not positive"):
        job.lower(40)


def test_data_that_is_sent_from_the_host_has_no_compiled_loop(settings):
    found = {job.program for job in jobs_of(settings, scans=False)}
    assert found == {"step", "plain", "pass", "evaluation"}


@pytest.mark.parametrize(("mesh", "models", "shards"), [("", 1, 4), ("model=2,data=2", 2, 2)])
def test_a_mesh_with_models_side_by_side_is_that_of_all_steps(
    settings, monkeypatch, mesh, models, shards
):
    monkeypatch.setattr(compiling, "devices_of", lambda target: jax.devices())
    target = parse_target("tpu:v5e:2x2")
    programs = ("step", "scan", "plain", "evaluation", "pass")
    jobs = compiling.prepare(settings, target, Execution(mesh=mesh), programs).jobs
    found = {(job.models, job.shards) for job in jobs if job.program in ("step", "scan", "plain")}
    assert found == {(models, shards)}
    # What comes before and after its steps each model does by itself.
    others = {job.program: (job.models, job.shards) for job in jobs}
    one = 1 if models > 1 else shards
    assert others["evaluation"] == others["pass"] == (1, one)
    (step,) = (job for job in jobs if job.name == "finetune step b40")
    of_batch = step.lower(step.batch).in_avals[0][2]
    assert of_batch.image.shape == (*[models] * (models > 1), 40, 32, 32, 3)


def test_a_batch_of_ones_own_is_every_methods(settings):
    assert {job.batch for job in jobs_of(settle(SMALL, batch=20), ("step", "bank"))} == {20}


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_settled_without_its_data(name):
    found = settle(preset(name))
    assert found.arguments.keys() >= set(preset(name).requests)
    assert found.experiment.network.weights == ""


def test_planned_steps_are_those_that_a_run_takes(settings):
    assert planned_steps(settings.recipe, settings.training()) == 3 * 13
    methods = settings.methods("class:3")
    steps = {
        row: planned_steps(method, settings.unlearning("class:3", method))
        for row, method in methods.items()
        if method.num_epochs
    }
    assert steps == {"finetune": 2 * 12, "mumis": 200}


def test_totals_add_up_bounds_times_steps(settings):
    def record(seconds, batch, models=1):
        given = {"error": None, "fits": True, "shards": 4}
        return {**given, "bound_seconds": seconds, "batch": batch, "models": models}

    found = totals(
        settings,
        planner(settings),
        {
            "training step b40": record(9.0, 40),
            "training scan b40": record(1.0, 40),
            "finetune scan b40": record(2.0, 40),
            # MU-Mis' batches are others, and so is what they are compared with.
            "training step b32": record(77.0, 32),
            "mumis step b32": record(0.5, 32),
            "predictions evaluation b200": record(0.25, 200),
            "training bank b40": record(2.0, 40, 4),
            "training plain b40": record(100.0, 40),
            "finetune step b40": {"error": "refused"},
        },
    )
    assert found["models_per_hour"] == pytest.approx(4 * 3600 / (39 * 2.0))
    assert found["images_per_second"] == 40
    assert found["input_bytes_per_second"] == 40 * 32 * 32 * 3
    # Two originals and four oracles of two requests; of both methods a model for each. SSD edits.
    # Oracles of both requests train on nine tenths: 450 images, of which the last batch is short.
    originals, oracles, models = 2 * 39, 2 * 4 * 3 * 12, 2 + 2 * 4 + 2 * 2 * 2
    assert found["without"] == ["ssd"]
    finetune = 24 + 2 * 12  # a tenth is forgotten by either request
    mumis = 2 * 200
    seconds = (originals + oracles) * 1.0 + 2 * (finetune * 2.0 + mumis * 0.5) + models * 3 * 0.25
    assert found["models"] == models
    assert found["minutes"] == pytest.approx(seconds / 60)


def test_totals_of_models_side_by_side_take_as_many_turns_as_it_needs(settings):
    def record(seconds, batch):
        given = {"error": None, "fits": True, "shards": 1, "models": 4}
        return {**given, "bound_seconds": seconds, "batch": batch}

    records = {"training scan b40": record(1.0, 40), "finetune scan b40": record(2.0, 40)}
    found = totals(settings, planner(settings), records)
    assert found["images_per_second"] == 4 * 40
    # Two originals in one turn and eight oracles in two, and two models of a method on each
    # request, in one.
    assert found["minutes"] == pytest.approx(((39 + 2 * 3 * 12) * 1.0 + (24 + 2 * 12) * 2.0) / 60)
    assert found["at_once"] == 4


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_network_has_the_weights_of_ours(name):
    of_ours, of_plain = (
        jax.eval_shape(make(name, 10, (32, 32, 3), width=4).init, jax.random.key(0))
        for make in (ju.make_model, plain_model)
    )
    shapes = [sorted(leaf.shape for leaf in jax.tree.leaves(v)) for v in (of_ours, of_plain)]
    assert shapes[0] == shapes[1]


def test_a_plain_network_gives_the_logits_of_ours_for_the_same_weights():
    ours, plain = (make("convnet", 3, (8, 8, 1), width=2) for make in (ju.make_model, plain_model))
    variables = ours.init(jax.random.key(0))
    other = jax.eval_shape(plain.init, jax.random.key(0))
    names = {"Conv_0": "conv1", "Conv_1": "conv2", "Conv_2": "conv3", "Dense_0": "fc"}
    names |= {f"BatchNorm_{k}": f"bn{k + 1}" for k in range(3)}
    renamed = {
        part: {layer: variables[part][names[layer]] for layer in layers}
        for part, layers in other.items()
    }
    images = jax.random.uniform(jax.random.key(1), (5, 8, 8, 1))
    np.testing.assert_allclose(
        plain.logits(renamed, images), ours.logits(variables, images), atol=1e-5
    )


def test_the_networks_own_kernels_are_read_off_its_computation():
    assert largest_kernel(ju.make_model("resnet8", 10, (32, 32, 3), width=2), (32, 32, 3)) == (3, 3)
    assert largest_kernel(ju.testing.small_model(), (4, 4, 1)) == ()


@pytest.mark.parametrize("name", SIZES)
def test_stand_ins_have_the_sizes_of_the_data_and_no_images(name):
    found, sizes = stand_in(Experiment(data=Data(name=name))), SIZES[name]
    assert found.train.image.shape == (sizes.train, *sizes.shape)
    assert len(found.test.label) == sizes.test
    counts = np.bincount(found.train.label)
    assert len(counts) == sizes.classes
    assert counts.max() - counts.min() <= 1
    if sizes.fine:
        # A finer class lies within one class.
        assert len(np.unique(found.train_fine + 1000 * found.train.label)) == sizes.fine


def test_a_command_that_was_cut_off_goes_on_and_other_settings_are_refused(
    call, refused, tmp_path, monkeypatch
):
    monkeypatch.setattr(command, "check_compiler", lambda target: None)
    monkeypatch.setattr(compiling, "devices_of", lambda target: jax.devices())
    compiled = []

    def measure(job, chip, dtype, kernel, known):
        compiled.append(job.name)
        if len(compiled) == 2:
            return {"error": "cut off"}
        return measuring.measure(job, chip, dtype, kernel, known)

    monkeypatch.setattr(compiling, "measure", measure)
    flags = ["--target", "tpu:v5e:2x2", "--network.width", 2, "--methods", "finetune"]
    flags += ["--programs", "step", "evaluation", "--out", tmp_path, "--training.batch-size", 8]
    flags += ["--set", "finetune.batch_size=8"]
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


def test_what_the_code_or_a_chips_file_no_longer_says_is_not_gone_on_from(
    call, refused, tmp_path, monkeypatch
):
    monkeypatch.setattr(command, "check_compiler", lambda target: None)
    monkeypatch.setattr(compiling, "devices_of", lambda target: jax.devices())
    flags = ["--target", "tpu:v5e:2x2", "--network.width", 2, "--methods", "finetune"]
    flags += ["--programs", "step", "evaluation", "--out", tmp_path, "--training.batch-size", 8]
    flags += ["--set", "finetune.batch_size=8"]
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


def test_what_does_not_fit_with_one_image_is_refused_and_leaves_nothing(
    refused, tmp_path, monkeypatch
):
    monkeypatch.setattr(command, "check_compiler", lambda target: None)
    monkeypatch.setattr(compiling, "devices_of", lambda target: jax.devices())

    def measure(job, chip, dtype, kernel, known):
        # Gradients, which are as large whatever the batch, fill the device.
        found = measuring.measure(job, chip, dtype, kernel, known)
        found["memory"] = {"temporaries": 2e10, "total": 2e10 + job.batch}
        return found

    monkeypatch.setattr(compiling, "measure", measure)
    flags = ["--target", "tpu:v5e:2x2", "--network.width", 2, "--methods", "finetune"]
    flags += ["--programs", "step", "--out", tmp_path / "out", "--training.batch-size", 8]
    line = refused(command.main, *flags, "--set", "finetune.batch_size=8")
    assert (
        "network.name='convnet': a step takes 18.6 GiB of a device with one image on each" in line
    )
    assert not (tmp_path / "out").exists()


def test_a_program_that_ends_the_process_is_tried_twice_and_then_left(tmp_path):
    under_way = []
    for attempts in (1, 2):
        findings = Findings(tmp_path, {}, {}, overwrite=False)
        assert findings.lacks("t", "p step b1")
        under_way.append(findings.attempt("t", "p step b1"))
        under_way[-1].__enter__()  # and the process ends
        record = json.loads((tmp_path / "compile.json").read_text())["programs"]["t"]["p step b1"]
        assert record["attempts"] == attempts
    assert not Findings(tmp_path, {}, {}, overwrite=False).lacks("t", "p step b1")


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


@pytest.mark.parametrize("error", ["RESOURCE_EXHAUSTED: 1", "INTERNAL: 2"])
def test_a_search_that_ends_in_another_error_than_of_memory_says_so(monkeypatch, error):
    def measure(job, chip, dtype, kernel, known):
        found = {"error": error if job.batch > 100 else None, "batch": job.batch}
        return found | {"memory": {"total": 1e9 + 1e7 * job.batch}}

    monkeypatch.setattr(compiling, "measure", measure)
    job = Job("a", "step", 64, 1, 1, lambda batch: None)
    chip = chips()["h100"]
    made = compiling.Compiling(settle(SMALL), chip, [job])
    record = measure(job, None, None, None, None) | {"largest_batch": 128}
    found = made.fit(job, record, {job.name: record})
    assert found["largest_batch"] <= 100 < found["refused_batch"]
    assert found.get("refused_for") == (error if "INTERNAL" in error else None)
    # What is the same program has the same batches, for nothing.
    monkeypatch.setattr(compiling, "measure", None)
    twin = dataclasses.replace(job, row="b")
    same = record | {"same_as": job.name}
    assert made.fit(twin, same, {job.name: found, twin.name: same}) == same | {
        key: found[key] for key in found.keys() - record.keys() | {"largest_batch"}
    }


def test_an_interrupted_compilation_is_no_attempt(tmp_path):
    findings = Findings(tmp_path, {}, {}, overwrite=False)
    with pytest.raises(KeyboardInterrupt), findings.attempt("t", "p"):
        raise KeyboardInterrupt
    assert findings.lacks("t", "p")
    # Nothing is compiled yet, and nothing is left.
    assert not (tmp_path / "compile.json").exists()
