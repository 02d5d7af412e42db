"""Every figure of a finished run, from what its folder holds; nothing is trained."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

from experiments.figures import command as figures
from experiments.figures.catalogue import FIGURES
from experiments.run import command as run_command
from jax_unlearn.bank import filling
from jax_unlearn.bank.record import digest
from jax_unlearn.bank.store import OUTPUTS, WEIGHTS

SETTINGS = (
    *("--data.train-size", 200, "--data.test-size", 60, "--data.padding", 0, "--data.no-flip"),
    *("--network.width", 4, "--training.epochs", 12, "--training.batch-size", 50, "--oracles", 2),
    *("--requests", "class:3", "--methods", "natmu", "mumis", "--seeds", 0),
    *("--set", "natmu.batch_size=50", "natmu.epochs=1", "mumis.batch_size=10"),
    "mumis.max_steps=4",
)


@pytest.fixture(scope="module")
def run(call, tmp_path_factory):
    """A finished run of very small networks."""
    out = tmp_path_factory.mktemp("runs") / "small"
    done = call(run_command.main, *SETTINGS, "--out", out)
    assert done.code == 0, done.err
    return out


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the finished run, to be changed."""
    return shutil.copytree(run, tmp_path / "copy")


@pytest.fixture
def untrained(monkeypatch):
    """Fail where anything is trained."""

    def train(*_, **__):
        raise AssertionError("a model was trained")

    monkeypatch.setattr(filling, "_train", train)


def names_in(folder):
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def drawn(run, call, tmp_path_factory):
    """All figures: their folder and what was printed."""
    out = tmp_path_factory.mktemp("figures") / "all"
    done = call(figures.main, run, "--out", out)
    assert done.code == 0, done.err
    return out, done.out


def test_every_figure_is_drawn_as_png_and_svg_and_shown_on_a_page_with_its_caption(drawn):
    out, _ = drawn
    expected = {f"class-3-{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    assert names_in(out) == expected | {"figures.html", "figures.md"}
    page, text = (out / "figures.html").read_text(), (out / "figures.md").read_text()
    assert page.count("<figure") == len(FIGURES)
    for name, entry in FIGURES.items():
        assert f"(figures/class-3-{name}.png)" in text
        assert str(escape(entry.caption)) in page
    assert "relevance: input x gradient" in text


def test_every_figure_is_narrow_enough_for_a_phone(drawn):
    for path in (drawn[0] / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.size[0] == 690


def test_what_a_figure_lacks_is_said_with_a_command_that_adds_it(drawn, run):
    (line,) = [line for line in drawn[1].splitlines() if line.startswith("masked-forget: ")]
    assert "without injection" in line
    assert f"--bank {run / 'bank'} --methods natmu --set natmu.inject=false" in line
    assert "without injection" in (drawn[0] / "figures.md").read_text()


def test_that_command_adds_it_to_the_figure(copy, call, tmp_path):
    added = ("--config", copy / "config.json", "--bank", copy / "bank", "--methods", "natmu")
    done = call(
        run_command.main,
        *added,
        "--set",
        "natmu.inject=false",
        "--out",
        tmp_path / "other",
    )
    assert done.code == 0, done.err
    done = call(figures.main, copy, "--only", "masked-forget", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "without injection" not in done.out
    assert "no injection" in (tmp_path / "out/figures/class-3-masked-forget.svg").read_text()


def test_by_default_figures_go_into_the_runs_folder_and_train_nothing(copy, call, untrained):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    done = call(figures.main, copy, "--only", "time", "entropy")
    assert done.code == 0, done.err
    assert done.out == f"figures: {copy / 'figures.html'}\n"
    added = {f"class-3-{name}.{kind}" for name in ("time", "entropy") for kind in ("png", "svg")}
    new = {path for path in copy.rglob("*") if path.is_file()} - set(before)
    assert {path.name for path in new} == added | {"figures.html", "figures.md"}
    assert all(path.read_bytes() == content for path, content in before.items())


def without_weights(folder):
    """Make a run one that kept no weights but the originals'."""
    for path in folder.glob("bank/models/*/record.json"):
        record = json.loads(path.read_text())
        if record["ingredients"]["kind"] != "original":
            del record["digests"][WEIGHTS]
            path.write_text(json.dumps(record))
            (path.parent / WEIGHTS).unlink()


def test_without_weights_figures_that_need_them_are_skipped_with_one_line_each(copy, call):
    without_weights(copy)
    done = call(figures.main, copy)
    assert done.code == 0, done.err
    lines = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert set(lines) == {"attention", "gap-kl", "masked-forget", "sensitivity-change", "figures"}
    assert lines["attention"].startswith("needs weights; run again with --keep-weights")
    assert lines["gap-kl"].startswith("its second reading needs weights")
    text = (copy / "figures.md").read_text()
    assert "attention: needs weights" in text
    assert not (copy / "figures/class-3-attention.png").exists()
    assert (copy / "figures/class-3-gap-kl.png").exists()


def test_without_its_data_what_needs_images_is_skipped_and_the_rest_drawn(copy, call):
    config = json.loads((copy / "config.json").read_text())
    config["settings"]["experiment"]["data"]["name"] = "gone.npz"
    (copy / "config.json").write_text(json.dumps(config))
    done = call(figures.main, copy)
    assert done.code == 0, done.err
    assert "hybrids: needs the run's data; " in done.out
    assert (copy / "figures/class-3-entropy.png").exists()
    assert not (copy / "figures/class-3-hybrids.png").exists()


def test_a_method_that_is_not_in_the_run_leaves_its_figures_out(copy, call):
    listed = json.loads((copy / "models.json").read_text())
    del listed["requests"][0]["methods"]["mumis"]
    (copy / "models.json").write_text(json.dumps(listed))
    done = call(figures.main, copy, "--only", "mumis-course")
    assert (done.code, done.out) == (2, "")
    assert "mumis-course: needs MU-Mis; run again with --methods mumis" in done.err


def test_models_that_collapsed_are_left_out_and_counted_but_for_their_course(copy, call):
    listed = json.loads((copy / "models.json").read_text())["requests"][0]
    for addresses in listed["methods"].values():
        path = copy / "bank/models" / addresses[0] / "record.json"
        record = json.loads(path.read_text())
        record["outcome"]["status"] = "collapsed"
        body = {name: record[name] for name in ("ingredients", "outcome")}
        record["digests"]["record"] = digest(body)
        path.write_text(json.dumps(record))
    done = call(figures.main, copy)
    assert done.code == 0, done.err
    assert "natmu: 1 of 1 models collapsed and are left out\n" in done.out
    assert "mumis: 1 of 1 models collapsed and are left out\n" in done.out
    drawn = {path.stem for path in (copy / "figures").glob("*.png")}
    left = {"forget-accuracy", "gap-kl", "masked-forget", "time"}
    assert drawn == {f"class-3-{name}" for name in set(FIGURES) - left}
    assert all(f"{name}: " in done.out for name in left)


def test_models_that_answer_by_chance_are_left_out_and_counted_too(copy, call):
    listed = json.loads((copy / "models.json").read_text())["requests"][0]
    (address,) = listed["methods"]["natmu"]
    path = copy / "bank/models" / address / "record.json"
    with np.load(path.parent / OUTPUTS) as stored:
        arrays = dict(stored)
    for name in ("train_logits", "test_logits"):
        arrays[name] = np.zeros_like(arrays[name])
    np.savez(path.parent / OUTPUTS, **arrays)
    record = json.loads(path.read_text())
    record["digests"][OUTPUTS] = hashlib.sha256((path.parent / OUTPUTS).read_bytes()).hexdigest()
    path.write_text(json.dumps(record))
    done = call(figures.main, copy, "--only", "time", "entropy")
    assert done.code == 0, done.err
    assert "natmu: 1 of 1 models collapsed and are left out\n" in done.out
    for name in ("time", "entropy"):
        drawn = (copy / f"figures/class-3-{name}.svg").read_text()
        assert "MU-Mis" in drawn
        assert "NatMU" not in drawn


def test_a_figure_asked_for_that_cannot_be_drawn_ends_with_its_line_and_writes_nothing(
    copy, refused
):
    without_weights(copy)
    before = names_in(copy)
    line = refused(figures.main, copy, "--only", "time", "attention")
    assert "attention: needs weights; run again with --keep-weights" in line
    assert names_in(copy) == before


def test_an_unknown_figure_is_refused_with_the_near_name(run, refused):
    before = names_in(run)
    assert "attention" in refused(figures.main, run, "--only", "atention")
    assert names_in(run) == before


def test_what_is_no_run_is_refused(tmp_path, refused):
    assert "no finished run with its models there" in refused(figures.main, tmp_path / "none")
    assert "no finished run with its models there" in refused(figures.main, tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "table.csv").touch()
    assert "a run of an earlier version" in refused(figures.main, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("damage", ["record.json", OUTPUTS, "models.json", "models", "config.json"])
def test_a_damaged_run_is_refused_and_nothing_is_written(copy, refused, damage):
    listed = json.loads((copy / "models.json").read_text())
    model = copy / "bank/models" / listed["requests"][0]["methods"]["natmu"][0]
    if damage in ("record.json", OUTPUTS):
        content = bytearray((model / damage).read_bytes())
        content[len(content) // 2] ^= 1
        (model / damage).write_bytes(content)
    elif damage == "models":
        (copy / "models.json").write_text('{"bank": "x", "requests": [{"text": "class:3"}]}')
    else:
        (copy / damage).write_text("{]")
    before = names_in(copy)
    refused(figures.main, copy)
    assert names_in(copy) == before


def test_a_file_where_the_figures_are_to_go_is_refused(run, refused, tmp_path):
    (tmp_path / "file").write_text("")
    line = refused(figures.main, run, "--only", "time", "--out", tmp_path / "file")
    assert "expected a folder that can be written to" in line


def test_the_same_run_gives_the_same_figures(run, call, drawn, tmp_path):
    done = call(figures.main, run, "--only", "time", "hybrids", "--out", tmp_path)
    assert done.code == 0, done.err
    for path in (tmp_path / "figures").glob("*.png"):
        one, other = (np.asarray(Image.open(p)) for p in (path, drawn[0] / "figures" / path.name))
        np.testing.assert_array_equal(one, other)
