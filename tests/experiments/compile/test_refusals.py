"""What cannot be compiled is refused in one line, before anything is written."""

import functools
import importlib.util

import jax
import pytest

from experiments.compile import command, compiling, target
from experiments.compile.fitting import check_data, check_one_image, check_state
from experiments.compile.settings import settle
from experiments.shared.chip import chips
from experiments.shared.config import Experiment
from experiments.shared.original import Data, Network
from jax_unlearn.core import InputError


@pytest.fixture
def refuse(refused, tmp_path, monkeypatch):
    """Refuse a command line; the four devices of this process stand for the target's."""
    monkeypatch.setattr(target, "check_compiler", lambda target: None)
    monkeypatch.setattr(command, "check_compiler", lambda target: None)
    monkeypatch.setattr(compiling, "devices_of", lambda target: jax.devices())

    def run(*flags):
        out = tmp_path / "out"
        line = refused(command.main, *flags, "--out", out)
        assert not out.exists()
        return line

    return run


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "target='': expected one or more, such as gpu:h100:8"),
        (["--target", "h100"], "target='h100': expected PLATFORM:CHIP:TOPOLOGY"),
        (["--target", "cpu:h100:1"], "target='cpu:h100:1': expected PLATFORM:CHIP:TOPOLOGY"),
        (["--target", "gpu:h1000:1"], "chip='h1000': did you mean h100? expected one of h100, v4"),
        (["--target", "tpu:h100:8"], "h100 is a gpu: expected gpu:h100:8"),
        (["--target", "gpu:h100:3"], "topology='3': expected one of 1, 2, 4, 8"),
        (["--target", "tpu:v5e:2x3"], "topology='2x3': expected one of 1x1, 2x2"),
        (["--target", "gpu:a100:1"], "nothing is known of a100 that XLA's compiler must be told"),
        (["--programs", "stpe"], "programs='stpe': did you mean step"),
        (
            ["--programs", "pass"],
            "programs='pass': these settings have none: edits alone have a pass",
        ),
        (
            ["--programs", "plain", "--network.name", "vit_tiny", "--network.patch", 2],
            "plain networks are convnet, resnet8",
        ),
        (["--placement", "host", "--programs", "scan"], "these settings have none"),
        (
            ["--loop", "python", "--programs", "scan"],
            "edits alone have a pass, there is no loop with --loop python or data on the host, and",
        ),
        (
            ["--batch", 10**6, "--methods", "natmu"],
            "batch=1000000: not every program draws from so",
        ),
        (
            ["--data.name", "imagenet"],
            "data.name='imagenet': did you mean imagenet64 or imagenet2012",
        ),
        (
            ["--data.name", "data.py:imagenet64"],
            "data.name='data.py:imagenet64': no such file: expected a Python",
        ),
        (["--profile", "p"], "profile='p': has no effect, nothing runs; leave it out"),
        (["--no-keep-weights"], "keep_weights=False: has no effect, nothing runs; leave it out"),
        (["--num-processes", 2], "num_processes=2: has no effect, nothing runs"),
        (
            ["--target", "tpu:v5e:2x2", "gpu:h100:8", "--mesh", "data=3"],
            "target='tpu:v5e:2x2': mesh='data=3': model=1 times data=3 is 3",
        ),
        (["--batch", "-1"], "batch=-1: expected a whole number >= 0"),
        (["--mesh", "data=3"], "mesh='data=3': model=1 times data=3 is 3, and there are 4"),
        (["--methods", "natmuu"], "methods='natmuu': did you mean natmu"),
        (["--data.name", "cifar10", "--requests", "class:10"], "class 10: expected"),
        (
            ["--data.name", "cifar10", "--data.image-size", 64],
            "data.image_size=64: cifar10 comes with its own",
        ),
        (
            ["--data.name", "imagenet2012", "--data.channels", 1],
            "data.channels=1: imagenet2012 comes with its own",
        ),
        (
            ["--data.name", "imagenet2012", "--network.name", "resnet8", "--requests", "class:3"],
            "placement='device': 1281167 images of 224x224x3 take 179.6 GiB of every device",
        ),
        (
            ["--placement", "sharded", "--batch", "10"],
            "batch_size=10: placement='sharded' gives each of 4 devices its share",
        ),
        (
            ["--network.width", "20000"],
            "network.name='convnet': with one image on each device a step takes 268.2 GiB of it",
        ),
    ],
)
def test_wrong_input_is_refused_in_one_line(refuse, flags, message):
    given = [] if flags[:1] in ([], ["--target"]) else ["--target", "tpu:v5e:2x2"]
    methods = [] if "--methods" in flags else ["--methods", "finetune"]
    assert message in refuse(*given, *flags, *methods)


@pytest.mark.parametrize(
    ("text", "packages", "extra"),
    [
        ("gpu:h100:1", "jax_plugins.xla_cuda13, jax_plugins.xla_cuda12", "jax_unlearn[gpu]"),
        ("tpu:v5e:2x2", "libtpu", "jax_unlearn[tpu]"),
    ],
)
def test_without_a_compiler_one_line_says_what_to_install(
    refused, tmp_path, monkeypatch, text, packages, extra
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = refused(command.main, "--target", text, "--out", tmp_path / "out")
    assert f"expected one of the packages {packages}; pip install '{extra}'" in line
    assert not (tmp_path / "out").exists()


def test_a_topology_that_xla_refuses_is_an_input_error(monkeypatch):
    from jax.experimental import topologies

    def fail(**given):
        raise RuntimeError("no such\n  topology")

    monkeypatch.setattr(topologies, "get_topology_desc", fail)
    with pytest.raises(InputError, match=r"^target='tpu:v5e:2x2': no such$"):
        target.devices_of(target.parse_target("tpu:v5e:2x2"))


def settled(**given):
    return settle(Experiment(methods=("finetune",), **given))


def test_data_and_weights_must_fit_every_device_by_themselves():
    settings = settled(data=Data(name="cifar10"), network=Network(name="convnet", width=4))
    size = 50_000 * 32 * 32 * 3
    check = functools.partial(check_data, settings.training(), where="it", others="host")
    check(size, placement="device")
    with pytest.raises(InputError, match=r"^placement='device': 50000 images of 32x32x3 take 0\.1"):
        check(size - 1, placement="device")
    check(size / 4, placement="sharded", shares=4)
    with pytest.raises(InputError, match=r"^placement='sharded': .* GiB of each of 4 devices, and"):
        check(size / 4 - 1, placement="sharded", shares=4)
    with pytest.raises(
        InputError, match=r"^placement='sharded': .*every device.*--placement host$"
    ):
        check(size - 1, placement="sharded")
    # Kernels, of BatchNorm two and two, of the linear layer; and but for statistics moments.
    weights = 9 * (3 * 4 + 4 * 8 + 8 * 16) + 2 * 28 + 16 * 10 + 10
    needed = 4 * (2 * weights + 2 * 28)
    check_state(settings, needed, where="it")
    with pytest.raises(
        InputError, match=r"^network\.name='convnet': with one image .* takes 0\.0 GiB"
    ):
        check_state(settings, needed - 1, where="it")


def test_what_the_compiler_refuses_with_one_image_is_refused_by_name():
    with pytest.raises(InputError, match=r"a step takes more than there is of it"):
        check_one_image("vgg", float("inf"), 2**30, where=chips()["v5e"].name)
