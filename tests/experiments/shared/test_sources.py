"""Others' code in an experiment: found by file, module or entry point, and known by its digest."""

import hashlib
import sys

import pytest

from experiments.leaderboard.entries import make_entry
from experiments.shared.config import Data, Experiment, Network
from experiments.shared.config_file import why_not, write_config
from experiments.shared.loading import load_data, make_network
from experiments.shared.sources import digests, method_source, network_source, packages
from experiments.shared.validation import validate
from jax_unlearn.core import InputError
from jax_unlearn.data import open_stream
from jax_unlearn.registry import find_method

CODE = """
import numpy as np
import jax_unlearn as ju
from jax_unlearn.data import Dataset
from jax_unlearn.models import convnet

class Calm(type(ju.finetune())):
    title = "calm"

def network(num_classes, image_shape):
    return convnet(num_classes, image_shape, width=2)

def blobs():
    def split(count):
        images = np.zeros((count, 8, 8, 1), np.uint8)
        return ju.Examples(images, np.arange(count, dtype=np.int32) % 2, np.arange(count))
    return Dataset("blobs", split(8), split(4), 2, ("a", "b"))

def broken():
    raise RuntimeError("no disk")
"""
POINTS = """
[jax_unlearn.methods]
calm = tiny_unlearning.parts:Calm

[jax_unlearn.models]
calm_net = tiny_unlearning.parts:network

[jax_unlearn.datasets]
blobs = tiny_unlearning.parts:blobs
broken = tiny_unlearning.parts:broken
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package as pip leaves it, with an entry point in every group; gives its module's file."""
    info = tmp_path / "tiny_unlearning-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-unlearning\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(POINTS)
    file = tmp_path / "tiny_unlearning" / "parts.py"
    file.parent.mkdir()
    (file.parent / "__init__.py").touch()
    file.write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield file
    for name in [name for name in sys.modules if name.startswith("tiny_unlearning")]:
        del sys.modules[name]


OFFERED = Experiment(
    data=Data(name="blobs"), network=Network(name="calm_net"), methods=("calm", "finetune")
)


def test_a_package_offers_methods_networks_and_data_by_name(package):
    validate(OFFERED)
    assert find_method("calm")().title == "calm"
    dataset = load_data(OFFERED)
    assert (dataset.name, dataset.class_names) == ("blobs", ("a", "b"))
    assert make_network(OFFERED, dataset).init is not None
    with pytest.raises(InputError, match=r"dataset='blobs': its images are in memory"):
        open_stream("blobs")
    with pytest.raises(InputError, match=r"^data.name='broken': the function fails \(RuntimeError"):
        load_data(Experiment(data=Data(name="broken")))


def test_a_run_knows_what_its_names_stood_for(package):
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    assert digests(OFFERED) == dict.fromkeys(("blobs", "calm_net", "calm"), digest)
    assert (method_source("calm"), network_source("calm_net")) == (digest, digest)
    place = "tiny_unlearning.parts:{} of tiny-unlearning 1.2"
    assert packages(OFFERED) == {
        "blobs": place.format("blobs"),
        "calm_net": place.format("network"),
        "calm": place.format("Calm"),
    }


def test_the_librarys_own_names_have_no_source():
    built_in = Experiment(methods=("finetune", "natmu"))
    assert (digests(built_in), packages(built_in)) == ({}, {})


def settings(experiment, **changed):
    return {"sources": digests(experiment), "packages": packages(experiment), **changed}


def begin(config, given, monkeypatch):
    monkeypatch.setattr(
        "experiments.shared.config_file.provenance", lambda: {"versions": {}, "hardware": {}}
    )
    write_config(config, given)


def test_a_run_does_not_go_on_when_a_packages_source_has_changed(package, tmp_path, monkeypatch):
    config = tmp_path / "config.json"
    begin(config, settings(OFFERED), monkeypatch)
    assert why_not(config, settings(OFFERED)) == ""
    package.write_text(CODE + "# changed\n")
    assert why_not(config, settings(OFFERED)) == (
        "of blobs, calm_net, calm before its source was changed"
    )


def test_a_run_does_not_go_on_when_a_packages_version_has_changed(package, tmp_path, monkeypatch):
    config = tmp_path / "config.json"
    begin(config, settings(OFFERED), monkeypatch)
    newer = {name: text.replace("1.2", "1.3") for name, text in packages(OFFERED).items()}
    assert "tiny-unlearning 1.3" in why_not(config, settings(OFFERED, packages=newer))


def test_a_run_does_not_go_on_when_images_have_changed(tmp_path, monkeypatch):
    config = tmp_path / "config.json"
    data = {"experiment": {"data": {"name": "photos"}, "seeds": [0]}}
    begin(config, {**data, "data_fingerprint": "one"}, monkeypatch)
    again = {**data, "data_fingerprint": "two"}
    assert why_not(config, again) == "on photos before its images were changed"
    other = {"experiment": {"data": {"name": "pets"}, "seeds": [0]}, "data_fingerprint": "two"}
    assert "photos" in why_not(config, other)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("natmu", {"sources": {}}, "built-in"),
        ("my.py:Mine", {"sources": {"my.py:Mine": "0123456789"}}, "my.py (01234567)"),
        (
            "calm",
            {"sources": {"calm": "0123456789"}, "packages": {"calm": "a.b:Calm of tiny 1.2"}},
            "tiny 1.2 (01234567)",
        ),
    ],
)
def test_a_leaderboard_says_whose_a_method_is(name, given, expected):
    unknown = {"value": None, "low": None, "high": None}
    row = {
        "name": name,
        "results": dict.fromkeys(("gap", "FA", "KL_forget"), unknown),
        "verdict": {"outcome": "fails", "judged": 0},
        "seconds": unknown,
        "flags": [],
    }
    assert make_entry("run", name, row, given, "").submitted == expected


def test_an_entry_point_without_its_module_is_refused_in_one_line(package):
    package.unlink()
    with pytest.raises(InputError, match=r"^methods='calm': importing tiny_unlearning.parts:Calm"):
        find_method("calm", argument="methods")
