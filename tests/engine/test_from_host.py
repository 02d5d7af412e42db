"""Batches from the host are the batches from the device."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading

import chex
import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine import RunSpec, make_mesh, run_many
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
from jax_unlearn.engine.from_host import BATCHES_AHEAD, OnHost
from jax_unlearn.engine.signals import Interrupted
from jax_unlearn.engine.steps import OnDevice
from jax_unlearn.sharding import Layout

KEY = jax.random.key(3)
CROPS = ju.crop_and_flip(padding=1)
# One of each kind; the battery shows the same of every method.
KINDS = ("finetune", "neggrad_plus", "bad_teacher", "salun", "natmu", "mumis")
SHORT = {name: {"epochs": 2, "batch_size": 10} for name in KINDS}
SHORT["mumis"] = {"max_steps": 4, "check_every": 2, "batch_size": 10, "stop_ratio": 100.0}


@pytest.fixture(scope="module")
def digits():
    """Real digits, one linear layer, crops and flips."""
    from sklearn.datasets import load_digits

    everything = load_digits()
    image = np.rint(everything.images * (255 / 16)).astype(np.uint8)[..., None]
    label = everything.target.astype(np.int32)

    def part(rows):
        return ju.Examples(image[rows], label[rows], rows)

    def init(key):
        return {"weight": 0.1 * jax.random.normal(key, (64, 10))}

    def apply(variables, images, *, train):
        del train
        return images.reshape(-1, 64) @ variables["weight"], variables

    model = ju.Model(init, apply, "linear")
    forget, retain = part(np.arange(17)), part(np.arange(17, 130))
    variables = model.init(jax.random.key(0))
    return ju.Problem(
        model, variables, forget, retain, 10, variables, augment=ju.crop_and_flip(padding=1)
    )


def one_device(method, problem, **options):
    options = {"placement": "host", **options}
    return ju.run(method, problem, KEY, mesh=make_mesh(1), loop="python", **options)


def short(name, **options):
    return ju.METHODS[name](**{**SHORT[name], **options})


def assert_same(a, b):
    chex.assert_trees_all_equal(jax.device_get(a.variables), jax.device_get(b.variables))
    assert (a.history, a.status, a.steps) == (b.history, b.status, b.steps)


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("jax_unlearn-batches")]


@pytest.mark.parametrize("name", KINDS)
def test_a_method_gives_the_same_from_the_host_bit_for_bit(name, digits):
    device, host = (
        one_device(short(name), digits, placement=placement) for placement in ("device", "host")
    )
    assert_same(device, host)
    assert threads() == []


@pytest.mark.parametrize("devices", [3, 4])
def test_so_do_any_number_of_devices(devices, digits):
    device, host = (
        ju.run(short("natmu"), digits, KEY, mesh=make_mesh(devices), placement=placement)
        for placement in ("device", "host")
    )
    assert_same(device, host)


@pytest.mark.parametrize("mesh", [(1, 4), (2, 2)])
def test_so_do_models_side_by_side(mesh, digits):
    jobs = [
        RunSpec(short("finetune", learning_rate=rate), digits, jax.random.key(i))
        for i, rate in enumerate((1e-3, 1e-2, 1e-1))
    ]
    device, host = (
        run_many(jobs, mesh=make_mesh(*mesh), loop="python", placement=placement)
        for placement in ("device", "host")
    )
    for a, b in zip(device, host, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("name", ["neggrad_plus", "natmu", "mumis"])
def test_a_run_from_the_host_goes_on_in_the_middle_of_an_epoch(name, digits, tmp_path):
    method = short(name, batch_size=5)
    whole = one_device(method, digits, placement="device")
    asked = []

    def interrupted():
        asked.append(None)
        return 15 if len(asked) == (7 if name != "mumis" else 1) else None

    with pytest.raises(Interrupted), Checkpoints(tmp_path, {}) as checkpoints:
        one_device(method, digits, checkpoints=checkpoints, interrupted=interrupted)
    assert threads() == []
    with Checkpoints(tmp_path, {}) as checkpoints:
        assert_same(whole, one_device(method, digits, checkpoints=checkpoints))


class Watched:
    """Images that note which rows are asked for, and fail where they are told."""

    def __init__(self, images, error=None, row=None):
        self.images, self.error, self.row, self.asked = images, error, row, []
        self.shape, self.dtype, self.ndim = images.shape, images.dtype, images.ndim

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        self.asked.append(rows)
        if self.error is not None and self.row in np.atleast_1d(rows):
            raise self.error
        return self.images[rows]


def sources(digits, images=None, devices=1):
    pool = ju.pool_rows(digits.retain, ju.RETAIN, augment=True)
    layout = Layout(make_mesh(devices))
    host = OnHost(layout, [pool if images is None else pool._replace(image=images)], CROPS)
    return OnDevice(layout, [pool], CROPS), host, layout


def first_info(layout, offset=0):
    return layout.shard([ju.StepInfo(*map(np.int32, (offset, 6, 0, 1)), KEY)])


@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize("offset", [0, 4])
def test_batches_keys_and_clocks_agree_from_any_step_on(devices, offset, digits):
    rows = np.random.default_rng(0).integers(-1, 113, (6, 8)).astype(np.int32)
    device, host, layout = sources(digits, devices=devices)
    info = first_info(layout, offset)
    infos = [info, info]
    device.begin([rows], 0, offset)
    host.begin([rows], 0, offset)
    for step in range(offset, 6):
        (a, *a_rest, infos[0]), (b, *b_rest, infos[1]) = (
            source.draw(info) for source, info in zip((device, host), infos, strict=True)
        )
        chex.assert_trees_all_equal(jax.device_get(a), jax.device_get(b))
        chex.assert_trees_all_equal(a_rest, b_rest)
        np.testing.assert_array_equal(b.weight, rows[step] >= 0)
        assert b.image.sharding.is_equivalent_to(a.image.sharding, 4)
    assert threads() == []


def test_only_a_few_batches_are_gathered_ahead(digits):
    images = Watched(digits.retain.image)
    _, host, layout = sources(digits, images)
    info = first_info(layout)
    host.begin([np.arange(48, dtype=np.int32).reshape(6, 8)], 0, 0)
    for drawn in range(1, 4):
        *_, info = host.draw(info)
        for batch in host._pending:
            batch.exception()
        assert len(images.asked) == min(drawn + BATCHES_AHEAD, 6)
    host.close()
    np.testing.assert_array_equal(np.concatenate(images.asked), np.arange(48))


def test_the_thread_ends_when_the_source_is_closed_in_the_middle(digits):
    _, host, layout = sources(digits)
    info = first_info(layout)
    host.begin([np.zeros((6, 8), np.int32)], 0, 0)
    host.draw(info)
    assert len(threads()) == 1
    host.close()
    assert threads() == []


@pytest.mark.parametrize("error", [OSError("disk is gone"), InputError("damaged")])
def test_what_goes_wrong_in_the_thread_reaches_the_caller_as_it_is(error, digits):
    broken = digits.retain._replace(image=Watched(digits.retain.image, error, row=5))
    with pytest.raises(type(error)) as caught:
        ju.run(short("finetune"), dataclasses.replace(digits, retain=broken), KEY, placement="host")
    assert caught.value is error
    assert threads() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_thread_ends_when_the_run_does(error, digits):
    def on_step(done, planned):
        del planned
        if done == 3:
            raise error

    with pytest.raises(error):
        one_device(short("finetune"), digits, on_step=on_step)
    assert threads() == []


def test_images_may_be_mapped_from_a_file(digits, tmp_path):
    np.save(tmp_path / "images.npy", digits.retain.image)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    own = dataclasses.replace(digits, retain=digits.retain._replace(image=mapped))
    assert_same(
        one_device(short("finetune"), digits, placement="device"),
        one_device(short("finetune"), own),
    )


def test_a_compiled_loop_is_refused(digits):
    with pytest.raises(InputError, match=r"^loop='scan': .* placement='host'; take loop='python'"):
        ju.run(short("finetune"), digits, KEY, loop="scan", placement="host")


def test_another_place_is_refused(digits):
    with pytest.raises(
        InputError, match=r"^placement='disk': expected one of device, host, sharded$"
    ):
        ju.run(short("finetune"), digits, KEY, placement="disk")


WORKER = """
import sys, json
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", 2, int(sys.argv[2]))
from jax_unlearn.core import StepInfo, Pool
from jax_unlearn.engine import make_mesh
from jax_unlearn.sharding import Layout
from jax_unlearn.engine.from_host import OnHost
class Watched:
    shape, dtype, ndim, asked = (64, 2, 2, 1), np.dtype(np.uint8), 4, []
    def __getitem__(self, rows):
        self.asked.append(rows.tolist())
        return np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (len(rows), 2, 2, 1))
seen = {}
for name, layout in (
    ("alone", Layout(make_mesh())), ("beside", Layout(make_mesh(2, 2), stacked=True))
):
    models = 1 if name == "alone" else 2
    images = [Watched() for _ in range(models)]
    for image in images:
        image.asked = []
    label = np.arange(64, dtype=np.int32)
    pools = [Pool(image, label, 0 * label, label < 0) for image in images]
    host = OnHost(layout, pools, None)
    rows = np.arange(64, dtype=np.int32).reshape(8, 8)
    host.begin([rows for _ in range(models)], 0, 0)
    where = list(map(np.int32, (0, 8, 0, 1)))
    info = layout.shard([StepInfo(*where, jax.random.key(m)) for m in range(models)])
    good = True
    for step in range(8):
        batch, _, info = host.draw(info)
        for shard in batch.image.addressable_shards:
            expected = np.broadcast_to(rows[step], (models, 8)) if models > 1 else rows[step]
            got = np.asarray(shard.data)[..., 0, 0, 0] * 255
            good &= bool(np.allclose(got, expected[shard.index[: expected.ndim]]))
    seen[name] = {"asked": [image.asked for image in images], "good": good}
print(json.dumps(seen))
"""


def test_each_of_several_processes_gathers_only_the_rows_of_its_own_devices():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(port), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        for number in range(2)
    ]
    try:
        results = [process.communicate(timeout=3600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], results
    rows = np.arange(64).reshape(8, 8)
    for number, (out, _) in enumerate(results):
        seen = json.loads(out.splitlines()[-1])
        assert seen["alone"]["good"]
        assert seen["beside"]["good"]
        # Four devices share a batch: a process gathers its half. Two models: its own, whole.
        half = rows[:, 4 * number : 4 * number + 4].tolist()
        assert seen["alone"]["asked"] == [half]
        assert seen["beside"]["asked"][number] == rows.tolist()
        assert seen["beside"]["asked"][1 - number] == []
