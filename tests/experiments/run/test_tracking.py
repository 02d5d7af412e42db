"""A tracker is told everything that a run found; one that fails takes nothing with it."""

import json
import struct
import time
import types

import pytest
from PIL import Image

from experiments.run import command as run_command
from experiments.run import tracking
from experiments.run.trackers import TRACKERS
from tests.report.records import record

SETTINGS = {"experiment": {"seeds": [0, 1]}}


def model(seed, *accuracies):
    history = [{"epoch": i, "forget_accuracy": a, "note": "text"} for i, a in enumerate(accuracies)]
    made_of = {"seed": seed, "method": None}
    return types.SimpleNamespace(outcome={"history": history}, ingredients=made_of)


FILLED = types.SimpleNamespace(
    forgetting=types.SimpleNamespace(slug="class-3"),
    originals=[],
    oracles=[model(0, 80.0)],
    methods={"natmu": [model(0, 100.0, 90.0), model(1, 100.0, float("nan"))]},
)


@pytest.fixture
def folder(tmp_path):
    """A run's folder with the audit of one request."""
    request = tmp_path / "run" / "class-3"
    (request / "figures").mkdir(parents=True)
    (request / "audit.json").write_text(json.dumps(record()))
    Image.new("RGB", (4, 3), "red").save(request / "figures" / "distances.png")
    return tmp_path / "run"


def track(name, folder):
    told = tracking.start_tracking(name, folder, SETTINGS)
    told.request(FILLED, folder / "class-3")
    told.close()


class Heard:
    """A tracker that remembers what it is told, and fails when it is told to."""

    package = "json"

    def __init__(self, failing=""):
        self.said, self.failing = [], failing

    def start(self, folder, settings):
        self._hear("start", folder.name, settings)
        return self

    def _hear(self, kind, *given):
        if kind == self.failing:
            raise ConnectionError("no route\nto host")
        self.said.append((kind, *given))

    def __getattr__(self, kind):
        return lambda *given: self._hear(kind, *given)


@pytest.fixture
def heard(monkeypatch):
    def listen(failing=""):
        found = Heard(failing)
        monkeypatch.setattr(tracking, "TRACKERS", {"heard": found})
        return found

    return listen


def test_settings_epochs_table_final_values_and_figures_are_told(heard, folder):
    tracker = heard()
    track("heard", folder)
    kinds = [said[0] for said in tracker.said]
    assert kinds == ["start", *["metrics"] * 5, "table", "summary", "figure", "close"]
    assert tracker.said[0][1:] == ("run", SETTINGS)
    metrics = [said[1:] for said in tracker.said if said[0] == "metrics"]
    named = "class-3/natmu/0/forget_accuracy"
    assert [(v[named], step) for v, step in metrics if named in v] == [(100.0, 0), (90.0, 1)]
    # What is no finite number is left out.
    assert metrics[-1][0] == {"class-3/natmu/1/epoch": 1.0}
    _, name, head, lines = tracker.said[-4]
    assert (name, head[0], lines[2][0]) == ("class-3/table", "model", "NatMU")
    assert tracker.said[-3][1]["class-3/natmu/FA"] == pytest.approx(96.8)
    assert tracker.said[-2][1] == "class-3/distances"


def test_a_model_under_way_is_told_epoch_by_epoch_and_not_again(heard, folder):
    tracker = heard()
    told = tracking.start_tracking("heard", folder, SETTINGS)
    made_of = {"seed": 0, "method": {"name": "natmu"}}
    told.entry("class-3/natmu", made_of, 0, {"forget_accuracy": 100.0})
    assert tracker.said[-1] == ("metrics", {"class-3/natmu/0/forget_accuracy": 100.0}, 0)
    told.entry("class-3/natmu", {**made_of, "method": {"seed": 7}}, 0, {"loss": 1.0})
    assert tracker.said[-1] == ("metrics", {"class-3/natmu/0-7/loss": 1.0}, 0)
    told.request(FILLED, folder / "class-3")
    named = [name for said in tracker.said if said[0] == "metrics" for name in said[1]]
    assert named.count("class-3/natmu/0/forget_accuracy") == 1
    assert named.count("class-3/natmu/1/forget_accuracy") == 1


def test_a_tracker_that_fails_under_way_does_not_end_the_run(heard, folder):
    heard("metrics")
    told = tracking.start_tracking("heard", folder, SETTINGS)
    with pytest.warns(UserWarning, match="goes on without it"):
        told.entry("original", {"seed": 0, "method": None}, 0, {"loss": 1.0})
    told.entry("original", {"seed": 0, "method": None}, 1, {"loss": 1.0})


@pytest.mark.parametrize("failing", ["start", "metrics", "table", "figure", "close"])
def test_a_tracker_that_fails_is_said_once_and_told_no_more(heard, folder, failing):
    tracker = heard(failing)
    with pytest.warns(UserWarning, match="goes on without it") as warned:
        track("heard", folder)
    (warning,) = warned
    assert str(warning.message) == (
        "track='heard': ConnectionError: no route to host; the run goes on without it, everything "
        "is in its folder"
    )
    assert all(said[0] != "summary" for said in tracker.said) or failing in ("figure", "close")


def test_an_unknown_tracker_and_one_that_is_not_installed_are_refused(refused, monkeypatch):
    assert "track='excel': expected one of" in refused(run_command.main, "--track", "excel")
    find = tracking.importlib.util.find_spec
    monkeypatch.setattr(
        tracking.importlib.util, "find_spec", lambda n: None if n == "wandb" else find(n)
    )
    said = refused(run_command.main, "--track", "wandb")
    assert "track='wandb': expected the package wandb, which is not installed; pip install" in said
    assert tracking.start_tracking("", None, {}) is None


def events(folder):
    """Events of a TensorBoard folder: records with their length before and checksums around."""
    from tensorboardX.proto.event_pb2 import Event

    (file,) = folder.glob("events.out.tfevents*")
    data, at = file.read_bytes(), 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        yield Event.FromString(data[at + 12 : at + 12 + size])
        at += 12 + size + 4


def test_tensorboard_gets_scalars_text_and_images(folder):
    pytest.importorskip("tensorboardX")
    track("tensorboard", folder)
    values = [(v, e.step) for e in events(folder / "tensorboard") for v in e.summary.value]
    scalars = {(v.tag, step): v.simple_value for v, step in values if v.HasField("simple_value")}
    assert scalars["class-3/natmu/0/forget_accuracy", 1] == 90.0
    assert scalars["final/class-3/natmu/FA", 0] == pytest.approx(96.8, rel=1e-6)
    images = {v.tag: v.image for v, _ in values if v.HasField("image")}
    assert (images["class-3/distances"].width, images["class-3/distances"].height) == (4, 3)
    texts = {v.tag: v.tensor.string_val[0].decode() for v, _ in values if v.HasField("tensor")}
    assert '"seeds"' in texts["config/text_summary"]
    assert "| NatMU |" in texts["class-3/table/text_summary"]


def test_wandb_keeps_an_offline_run_in_the_folder(folder, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    track("wandb", folder)
    (kept,) = (folder / "wandb").glob("offline-run-*")
    (written,) = kept.glob("*.wandb")
    # A process of its own writes it, shortly after the run has ended.
    until = time.monotonic() + 20.0
    while b"final/class-3/natmu/FA" not in written.read_bytes() and time.monotonic() < until:
        time.sleep(0.1)
    content = written.read_bytes()
    assert b"class-3/natmu/0/forget_accuracy" in content
    assert b"final/class-3/natmu/FA" in content


def test_trackio_keeps_a_run_in_its_cache(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    track("trackio", folder)
    kept = [path for path in (tmp_path / "trackio").rglob("*") if path.is_file()]
    assert any(b"class-3/natmu/0/forget_accuracy" in path.read_bytes() for path in kept)


@pytest.mark.parametrize("name", TRACKERS)
def test_every_tracker_is_an_extra_of_its_name(name, pytestconfig):
    text = (pytestconfig.rootpath / "pyproject.toml").read_text()
    assert f'\n{name} = ["{TRACKERS[name].package}>=' in text
