"""What is compiled is what a run of the same settings would execute, from sizes alone."""

import dataclasses

import jax
import numpy as np
import pytest

import jax_unlearn as ju
from experiments.compile import compiling
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
        *("training step b40", "training scan b40", "training plain b40"),
        *("finetune step b40", "finetune scan b40"),
        *("training step b32", "training scan b32", "training plain b32"),
        *("mumis step b32", "mumis scan b32"),
        *("ssd add_examples pass b1024", "predictions evaluation b256", "training bank b40"),
    ]
    assert jobs["training bank b40"].models == 4
    assert jobs["training step b40"].shards == 4
    # MU-Mis' batches are of 30, and what fills one up for four devices is no image.
    assert (jobs["mumis scan b32"].padding, jobs["training scan b40"].padding) == (2, 0)
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

    records = {
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
    }
    found = totals(settings, planner(settings), records)
    # A program that was compiled anew stands last.
    turned = dict(reversed(records.items()))
    assert totals(settings, planner(settings), turned) == found
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


def test_what_fills_a_batch_up_is_no_image(settings):
    record = {"error": None, "fits": True, "shards": 4, "models": 1, "bound_seconds": 0.5}
    own = settle(SMALL, batch=38)
    records = {"training step b40": record | {"batch": 40, "padding": 2}}
    assert totals(own, planner(own), records)["images_per_second"] == 2 * 38


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
