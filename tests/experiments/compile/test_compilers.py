"""A small network's programs, compiled for each target; skipped where its compiler is missing."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from experiments.compile.compiling import prepare
from experiments.compile.hlo import parse
from experiments.compile.jobs import Job
from experiments.compile.measuring import measure
from experiments.compile.settings import settle
from experiments.compile.target import check_compiler, devices_of, parse_target
from experiments.compile.traffic import collectives
from experiments.shared.config import Experiment
from experiments.shared.execution import Execution
from experiments.shared.original import Data, Network, Training
from jax_unlearn.core import InputError

# What the suite switches off to compile fast on a CPU, accelerators' programs are judged by.
pytestmark = pytest.mark.runs_long

TARGETS = ("gpu:h100:2", "tpu:v5e:2x2", "tpu:v4:2x2x2", "tpu:v6e:2x4")
BATCHES = {"tpu:v6e:2x4": 1024}
"""Where not `BATCH`: libtpu 0.0.42.1 ends the process on steps and loops of 16 images a device."""

SUMS = 2 * 3 + 2
"""Sums over devices of a training step: two of each of three normalisations, forward and back, and
all gradients and the loss together, for which compilers take one or two."""

SPLIT = PartitionSpec("data")

BATCH = 128
"""Sixteen images on each of eight devices: of fewer a TPU cuts each image into several."""


@functools.cache
def settings(method="finetune", dtype="float32", batch=None):
    # Convolutions of a size that a CPU would slice, see jax_unlearn.models.convolution.
    return settle(
        Experiment(
            data=Data(name="cifar10", train_size=2000, test_size=100),
            network=Network(name="convnet", width=8, dtype=dtype),
            training=Training(epochs=1),
            methods=(method,),
        ),
        batch=batch or BATCH,
    )


def known(text):
    target = parse_target(text)
    try:
        check_compiler(target)
    except InputError as error:
        pytest.skip(str(error))
    return target


@pytest.fixture(scope="module", params=TARGETS)
def target(request):
    return known(request.param)


@pytest.fixture(scope="module")
def records(target):
    """What is found of the loops of a run and of a bank, by the program's kind."""
    own = settings(batch=BATCHES.get(target.text))
    compiling = prepare(own, target, Execution(), ("scan", "bank"))
    jobs = {job.program: job for job in compiling.jobs if job.row == "training"}
    return {kind: compiling.compile(job) for kind, job in jobs.items()}


def test_it_compiles_and_is_bounded(records):
    for record in records.values():
        assert record["error"] is None
        assert record["bound_seconds"] > 0
        assert 0 < record["memory"]["total"] < record["room"]
        # On a TPU so small a program keeps nothing outside of the chip's own memory.
        assert record["largest_batch"] is None or record["largest_batch"] >= record["batch"]


def test_devices_exchange_sums_alone_and_models_of_a_bank_nothing(records):
    assert set(records["scan"]["collectives"]) == {"all-reduce"}
    assert records["scan"]["collectives"]["all-reduce"]["count"] <= SUMS
    assert records["bank"]["collectives"] == {}


def test_what_weights_that_are_split_cost_is_seen_wherever_a_compiler_puts_it(target):
    """The weights are gathered, and each device gets its part of their gradient's sum."""
    devices = devices_of(target)
    mesh = jax.make_mesh((len(devices),), ("data",), devices=devices)
    size = 128 * len(devices)
    images, weights = (
        jax.ShapeDtypeStruct((rows, size), jnp.float32, sharding=NamedSharding(mesh, SPLIT))
        for rows in (4 * size, size)
    )

    def gradient(images, weights):
        whole = jax.lax.all_gather(weights, "data", tiled=True)
        return jax.lax.psum_scatter(images.T @ (images @ whole), "data", tiled=True)

    split = jax.shard_map(gradient, mesh=mesh, in_specs=SPLIT, out_specs=SPLIT)
    found = collectives(parse(jax.jit(split).lower(images, weights).compile().as_text()))
    gathered = found.pop("all-gather")
    # A TPU multiplies in bfloat16, and rounds first.
    of_device = (2 if target.chip.platform == "tpu" else 4) * 128 * size
    assert gathered == {"count": 1, "bytes": of_device}
    # That of v4 sums all and takes a part.
    kind = "all-reduce" if "v4" in target.text else "reduce-scatter"
    assert found == {kind: {"count": 1, "bytes": 4 * size * size}}


def test_of_data_that_is_split_over_devices_they_exchange_no_more(target):
    split = Execution(placement="sharded")
    compiling = prepare(settings(batch=BATCHES.get(target.text)), target, split, ("scan",))
    (job,) = [job for job in compiling.jobs if job.row == "training"]
    record = compiling.compile(job)
    assert record["error"] is None
    assert set(record["collectives"]) == {"all-reduce"}


WEIGHTS = 9 * (3 * 8 + 8 * 16 + 16 * 32) + 32 * 10
"""Of the convolutions and the linear layer; the rest of what is summed is float32 anyhow."""


@pytest.mark.parametrize("text", ["gpu:h100:2", "tpu:v5e:2x2"])
@pytest.mark.parametrize(
    ("method", "program", "name"),
    [
        ("finetune", "step", "training step b128"),
        ("influence", "pass", "influence add_gradient pass b128"),
        ("influence", "pass", "influence add_product pass b128"),
    ],
)
def test_a_bfloat16_networks_gradients_are_summed_in_float32_unless_told_otherwise(
    text, method, program, name
):
    sizes = {}
    for dtype in ("float32", "bfloat16", "bfloat16_sums"):
        compiling = prepare(settings(method, dtype), known(text), Execution(), (program,))
        (job,) = [job for job in compiling.jobs if job.name == name]
        record = compiling.compile(job)
        assert record["error"] is None
        sizes[dtype] = record["collectives"]["all-reduce"]["bytes"]
    assert sizes["bfloat16"] == pytest.approx(sizes["float32"], rel=0.01)
    assert sizes["float32"] - sizes["bfloat16_sums"] == pytest.approx(2 * WEIGHTS, rel=0.2)


def test_nothing_of_the_cpus_is_in_it(records):
    # Three convolutions, their weight gradients and two gradients of images; where a compiler takes
    # the linear layer for a convolution, three products. Slices would be many more.
    for record in records.values():
        assert record["convolutions"]["3x3"] == 8
        assert record["oversized"] == {}


def forward_flops():
    """Of each convolution, for one image."""

    def taps(side, stride):
        # A window at either edge loses a column; at stride 2 only the first one does.
        return 3 * (side // stride) - (2 if stride == 1 else 1)

    layers = ((32, 1, 3, 8), (32, 2, 8, 16), (16, 2, 16, 32))
    return [2 * taps(side, stride) ** 2 * a * b for side, stride, a, b in layers]


def test_operations_are_those_of_the_convolutions_and_the_linear_layer(records):
    forward = forward_flops()
    linear = 2 * 32 * 10
    of_an_image = 3 * sum(forward) - forward[0] + 3 * linear
    for record in records.values():
        found = record["counted"]["flops"] * record["shards"]
        assert found == pytest.approx(record["batch"] * of_an_image, rel=1e-3)


@pytest.mark.parametrize("text", ["gpu:h100:1", "tpu:v5e:1x1"])
def test_products_that_enlarge_images_compile_and_count(text):
    small, large, images = 32, 224, 64
    shape = jax.ShapeDtypeStruct((images, small, small, 3), jnp.float32)

    def enlarge(batch):
        device = SingleDeviceSharding(devices_of(known(text))[0])
        program = jax.jit(lambda x: jax.image.resize(x, (batch, large, large, 3), "bilinear"))
        return program.lower(jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=device))

    job = Job("training", "step", images, 1, 1, enlarge)
    record = measure(job, known(text).chip, "float32", (1, 1))
    assert record["error"] is None
    # Of two products the first makes one side large; either may come first.
    first, second = small * large * small, large * large * small
    assert record["counted"]["flops"] == 2 * images * 3 * (first + second)


@pytest.mark.parametrize("text", ["gpu:h100:2", "tpu:v5e:2x2"])
def test_mumis_goes_seven_times_through_the_network_and_has_its_windows_alone(text):
    compiling = prepare(settings("mumis"), known(text), Execution(), ("step",))
    (record,) = (compiling.compile(j) for j in compiling.jobs if j.row == "mumis")
    assert record["error"] is None
    assert record["oversized"] == {}
    # Forwards once; for each of two classes back, forwards along the gradient, and to the weights.
    assert record["convolutions"]["3x3"] == 7 * 3
    found = record["counted"]["flops"] * record["shards"]
    assert found == pytest.approx(BATCH * 7 * sum(forward_flops()), rel=1e-3)


@pytest.mark.parametrize(
    ("text", "dtype", "most"),
    [
        ("gpu:h100:1", "float32", 1.85),
        ("gpu:h100:1", "bfloat16", 1.85),
        ("tpu:v5e:1x1", "bfloat16", 1.1),
    ],
)
def test_a_step_on_one_device_moves_no_more_than_plain_layers_and_mumis_less_than_twice(
    text, dtype, most
):
    compiling = prepare(settings("mumis", dtype), known(text), Execution(), ("step", "plain"))
    found = {job.name: compiling.compile(job) for job in compiling.jobs}
    ours, plain, mumis = (
        found[f"{name} b{BATCH}"] for name in ("training step", "training plain", "mumis step")
    )
    assert ours["bytes"] <= plain["bytes"]
    # Gradient of gradient and forward over reverse take more.
    assert mumis["bytes"] <= most * ours["bytes"]


@pytest.mark.parametrize("text", ["gpu:h100:2", "tpu:v5e:2x2"])
def test_an_edits_pass_exchanges_sums_alone_and_has_no_oversized_window(text):
    compiling = prepare(settings("ssd"), known(text), Execution(), ("pass",))
    (job,) = compiling.jobs
    record = compiling.compile(job)
    assert record["error"] is None
    assert set(record["collectives"]) == {"all-reduce"}
    assert record["collectives"]["all-reduce"]["count"] <= 2
    assert record["oversized"] == {}


@pytest.mark.parametrize("text", ["gpu:h100:2", "tpu:v5e:2x2"])
def test_a_step_picks_images_that_a_method_made_without_moving_all_of_them(text):
    compiling = prepare(settings("amun"), known(text), Execution(), ("step",))
    found = {job.row: compiling.compile(job) for job in compiling.jobs}
    forgotten = 200 * 32 * 32 * 3 * 4
    assert found["amun"]["error"] is None
    assert found["amun"]["bytes"] < found["training"]["bytes"] + forgotten / 2


@pytest.mark.parametrize("text", ["gpu:h100:2", "tpu:v5e:2x2"])
def test_a_loop_picks_images_of_the_pool_without_moving_all_of_them(text):
    compiling = prepare(settings(), known(text), Execution(), ("step", "scan"))
    jobs = {job.program: job for job in compiling.jobs if job.row == "training"}
    found = {program: compiling.compile(job) for program, job in jobs.items()}
    pool = 2000 * 32 * 32 * 3
    assert found["scan"]["bytes"] < found["step"]["bytes"] + pool / 2
