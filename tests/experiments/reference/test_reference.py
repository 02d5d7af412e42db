"""Reference predictions: a method of one's own gets its verdict, and nothing is retrained."""

import contextlib
import json
import shutil

import numpy as np
import pytest

from experiments.configs import preset
from experiments.reference import command as reference_command
from experiments.run import command as run_command
from experiments.run import own_method
from experiments.shared import references
from experiments.shared.network import describe_network
from jax_unlearn.bank import RECIPE_VERSION, describe_method, open_bank
from jax_unlearn.bank.reference import read_reference
from jax_unlearn.core import InputError

HARDEST = "hardest:0.1,models=1"

SETTINGS = (
    *("--data.train-size", 200, "--data.validation-size", 0, "--data.test-size", 100),
    *("--data.padding", 0, "--data.no-flip"),
    *("--network.width", 4, "--training.epochs", 4, "--training.batch-size", 50),
    *("--training.weight-decay", 5e-3, "--training.no-augment"),
    *("--requests", "class:3", HARDEST, "--seeds", 0, 1),
)
SLUGS = "class-3", "hardest-0.1-models1"

OWN = """
import jax_unlearn as ju
from jax_unlearn.core import InputError


class Gentle(ju.Descent):
    epochs: int = 1
    learning_rate: float = 0.05


class WholeClass(Gentle):
    title = "whole class"

    def check(self, problem, *, exact=True):
        forgotten = set(problem.forget.label.tolist())
        if forgotten & set(problem.retain.label.tolist()):
            raise InputError("forget: expected a whole class; ask for class:3")


class NatMU(Gentle):
    pass
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    file = tmp_path_factory.mktemp("own") / "my_file.py"
    file.write_text(OWN)
    return file


@pytest.fixture(scope="module")
def hyperparameters(tmp_path_factory):
    """A search in which fine-tuning collapsed at its defaults."""
    file = tmp_path_factory.mktemp("search") / "found.json"
    published = {"gap": 100.0, "eligible": False, "collapsed": True}
    entry = {"arguments": {"learning_rate": 0.02, "epochs": 1}, "published": published}
    file.write_text(json.dumps({"requests": {"*": {"finetune": entry}}}))
    return file


@pytest.fixture(scope="module")
def zoo(call, own, hyperparameters, tmp_path_factory):
    """A run of two methods, one of which cannot take samples; what it printed, and its folder."""
    out = tmp_path_factory.mktemp("zoo") / "zoo"
    flags = (*SETTINGS, "--methods", "finetune", f"{own}:WholeClass", "--skip-unfit")
    flags += ("--show-defaults", "--hyperparameters", hyperparameters, "--out", out)
    flags += ("--set", "finetune.batch_size=50", f"{own}:WholeClass.batch_size=50")
    done = call(run_command.main, *flags)
    assert done.code == 0, done.err
    return done.out, out


@pytest.fixture(scope="module")
def written(call, zoo, tmp_path_factory):
    """The reference of that run's bank."""
    out = tmp_path_factory.mktemp("reference") / "tiny.npz"
    flags = (*SETTINGS, "--methods", "finetune", "--set", "finetune.batch_size=50")
    done = call(reference_command.main, *flags, "--bank", zoo[1] / "bank", "--out", out)
    assert done.code == 0, done.err
    # Two originals, one that scores examples, four oracles of each request.
    assert "11 models, " in done.out
    return out


def audit(folder, slug):
    return json.loads((folder / slug / "audit.json").read_text())


def rows(folder, slug):
    return {row["name"]: row["results"] for row in audit(folder, slug)["rows"]}


# A run of every method


def test_a_method_that_cannot_take_a_request_has_a_row_that_says_why(zoo):
    printed, out = zoo
    whole, hardest = SLUGS
    assert audit(out, whole)["unfit"] == []
    (absent,) = audit(out, hardest)["unfit"]
    assert absent["title"] == "whole class"
    assert absent["why"] == "forget: expected a whole class; ask for class:3"
    assert len(rows(out, whole)) == len(rows(out, hardest)) + 1
    assert "| whole class | Not run: " in (out / hardest / "report.md").read_text()
    assert "not run" in printed


def test_without_the_flag_that_method_refuses_the_run(refused, own, tmp_path):
    flags = (*SETTINGS, "--methods", f"{own}:WholeClass", "--out", tmp_path / "out")
    flags += ("--set", f"{own}:WholeClass.batch_size=30")
    assert ":WholeClass: forget: expected a whole class" in refused(run_command.main, *flags)
    assert not (tmp_path / "out").exists()


def test_no_method_for_any_request_refuses_the_run(refused, own, tmp_path):
    flags = (*SETTINGS, "--requests", HARDEST, "--methods", f"{own}:WholeClass")
    flags += ("--skip-unfit", "--out", tmp_path / "out")
    assert "WholeClass: forget: expected a whole class" in refused(run_command.main, *flags)
    assert not (tmp_path / "out").exists()


def test_a_method_that_collapses_at_its_defaults_is_shown_at_them_too(zoo):
    methods = audit(zoo[1], "class-3")["models"]["methods"]
    assert list(methods)[:2] == ["finetune", "finetune, defaults"]
    found, published = methods["finetune"], methods["finetune, defaults"]
    assert (found["title"], published["title"]) == ("fine-tune", "fine-tune, defaults")
    assert found["arguments"]["learning_rate"] == 0.02
    assert published["arguments"]["learning_rate"] != 0.02
    # What is set by hand, as the search's own start, holds for both.
    assert found["arguments"]["batch_size"] == published["arguments"]["batch_size"] == 50
    bank = open_bank(zoo[1] / "bank")
    names = {r.ingredients["method"]["name"] for r in bank.records("unlearned")}
    assert "finetune" in names
    assert "finetune, defaults" not in names


# The file


def test_the_file_holds_oracles_rounded_and_originals_as_they_are(zoo, written):
    bank = open_bank(zoo[1] / "bank")
    held = read_reference(written)
    kinds = [record.ingredients["kind"] for record in held.records]
    assert (kinds.count("original"), kinds.count("oracle")) == (3, 8)
    for record in held.records:
        arrays, outputs = held.arrays[record.address], bank.outputs(record.address)
        for name, part in zip(("train_logits", "test_logits"), outputs, strict=True):
            if record.ingredients["kind"] == "oracle":
                assert arrays[name].dtype == np.float16
                np.testing.assert_allclose(arrays[name], part.logits, rtol=2**-11, atol=2**-24)
            else:
                np.testing.assert_array_equal(arrays[name], part.logits)
    starts = [record for record in held.records if "weights" in held.arrays[record.address]]
    assert [record.ingredients["seed"] for record in starts] == [0, 1]
    for record in starts:
        kept = held.arrays[record.address]["weights"].tobytes()
        assert kept == bank.weights_file(record)


def test_a_bank_that_lacks_a_model_gives_no_file(refused, zoo, tmp_path):
    flags = ("--methods", "finetune", "--set", "finetune.batch_size=50")
    flags += ("--bank", zoo[1] / "bank", "--out", tmp_path / "x.npz")
    message = refused(reference_command.main, *SETTINGS, *flags, "--oracles", 5)
    assert "lacks the oracle of seed 4" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.npy", "x"])
def test_a_file_of_another_kind_is_not_written(refused, tmp_path, name):
    flags = ("--bank", tmp_path / "bank", "--out", tmp_path / name)
    assert "ends in .npz" in refused(reference_command.main, *SETTINGS, *flags)


def test_a_changed_byte_is_found_wherever_it_lies(written, tmp_path):
    whole = written.read_bytes()
    arrays = next(iter(read_reference(written).arrays.values()))
    sample = arrays["train_logits"][:4].tobytes()
    assert sample in whole
    path = tmp_path / "damaged.npz"
    for place in np.linspace(60, len(whole) - 60, 25).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            # Names and dates in the archive's own records hold no data.
            found, sound = read_reference(path), read_reference(written)
            assert [r.ingredients for r in found.records] == [r.ingredients for r in sound.records]
    path.write_bytes(whole.replace(sample, sample[::-1]))
    with pytest.raises(InputError, match="damaged"):
        read_reference(path)


@pytest.mark.parametrize("name", references.shipped_references())
def test_a_shipped_file_serves_its_preset_and_is_small(name):
    """Where it does not, the recipe has changed: experiments.reference writes it again."""
    path = references.shipped_references()[name]
    held, experiment = read_reference(path), preset(name)
    made = held.records[0].ingredients
    recipe = describe_method(experiment.training.recipe())
    augmented = {"padding": experiment.data.padding, "flip": experiment.data.flip}
    assert made["recipe"] == json.loads(json.dumps({**recipe, **augmented}))
    assert made["network"] == describe_network(experiment.network)
    assert made["version"] == RECIPE_VERSION
    assert path.stat().st_size < 7e6


# A run with it


@pytest.fixture(scope="module")
def shipped(written):
    """The reference as that of a preset called tiny, which the run is said to begin with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(references, "shipped_references", lambda: {"zoo_digits": written})
        yield


def test_a_method_of_one_s_own_trains_nothing_but_itself(
    call, own, zoo, shipped, tmp_path, trained, monkeypatch
):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "zoo_digits").symlink_to(zoo[1])
    monkeypatch.setattr(own_method, "RESULTS", tmp_path / "results")
    flags = ("--preset", "zoo_digits", *SETTINGS, "--hyperparameters", "")
    name, mine = f"{own}:WholeClass", tmp_path / "mine"
    done = call(run_command.main, *flags, "--method", name, "--out", mine)
    assert done.code == 0, done.err
    assert trained == [("unlearned", 0), ("unlearned", 1)]
    assert "reference tiny.npz: 11 models taken" in done.out
    # Of the same name as one of that run's: a board would have it twice.
    assert "no leaderboard: run='mine': whole class is on the board already" in done.out
    ours, theirs = (rows(folder, SLUGS[0]) for folder in (mine, zoo[1]))
    assert list(ours) == ["original", "oracle", name]
    for measure, result in ours[name].items():
        expected = theirs[name][measure]
        assert result["verdict"] == expected["verdict"]
        assert result["value"] == pytest.approx(expected["value"], rel=2e-3, abs=2e-3)
    oracle, method = (audit(mine, SLUGS[0])["rows"][place] for place in (1, 2))
    assert method["seconds"]["value"] > 0
    # Of another machine: no time of this one may stand beside it.
    assert oracle["seconds"]["value"] is None
    # In batches of the preset's size, and left out where it cannot work.
    (record, _) = open_bank(mine / "bank").records("unlearned")
    assert record.ingredients["method"]["arguments"]["batch_size"] == 50
    assert list(rows(mine, SLUGS[1])) == ["original", "oracle"]


def test_it_stands_on_the_leaderboard_of_the_preset_s_results(zoo, own, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "zoo_digits").symlink_to(zoo[1])
    monkeypatch.setattr(own_method, "RESULTS", tmp_path / "results")
    mine = shutil.copytree(zoo[1], tmp_path / "mine", ignore=shutil.ignore_patterns("bank"))
    for audited in mine.rglob("audit.json"):
        text = audited.read_text().replace("whole class", "mine").replace("fine-tune", "yours")
        audited.write_text(text)
    told = []
    own_method.rank_among_all(mine, f"{own}:WholeClass", "zoo_digits", told.append)
    assert told == [f"leaderboard: {mine / 'leaderboard.md'}"]
    lines = (mine / "leaderboard.md").read_text().splitlines()
    assert any("| mine | my\\_file.py (" in line for line in lines)
    assert any("| fine-tune | built-in | " in line for line in lines)
    own_method.rank_among_all(mine, "natmu", "zoo_digits", told.append)
    own_method.rank_among_all(mine, f"{own}:WholeClass", "", told.append)
    assert len(told) == 1


def test_of_other_settings_the_preset_s_file_is_not_used_and_the_run_says_so(
    call, own, shipped, tmp_path, trained
):
    flags = ("--preset", "zoo_digits", *SETTINGS, "--requests", "class:3", "--hyperparameters", "")
    flags += ("--training.epochs", 1, "--seeds", 0, "--oracles", 1)
    done = call(run_command.main, *flags, "--method", f"{own}:Gentle", "--out", tmp_path / "mine")
    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if "not used" in line]
    assert line.startswith("reference tiny.npz: not used, its models were made otherwise: ")
    assert "recipe.arguments.epochs is 4 there and 1 here" in line
    assert ("original", 0) in trained


@pytest.mark.parametrize(
    "text", ["backdoor:0,0.1", "memorization:high,0.1", "class:3-then-entangled:low,0.1"]
)
def test_a_request_that_takes_other_models_than_a_file_holds_is_refused(
    refused, zoo, tmp_path, text
):
    flags = (*SETTINGS, "--requests", text, "--methods", "finetune", "--bank", zoo[1] / "bank")
    flags += ("--set", "finetune.batch_size=20", "--out", tmp_path / "file.npz")
    message = refused(reference_command.main, *flags)
    assert f"requests={text!r}: expected requests on the data as it is" in message
    assert not (tmp_path / "file.npz").exists()


def test_a_file_that_was_named_must_fit(refused, own, written, tmp_path):
    flags = (*SETTINGS, "--method", f"{own}:Gentle", "--out", tmp_path / "mine")
    message = refused(run_command.main, *flags, "--reference", written, "--data.train-size", 290)
    assert "its models were made otherwise: data is " in message
    message = refused(run_command.main, *flags, "--reference", tmp_path / "none.npz")
    assert "missing, damaged or not an .npz" in message
    assert not (tmp_path / "mine").exists()


def test_a_name_of_the_library_s_is_refused(refused, own, tmp_path):
    flags = (*SETTINGS, "--method", f"{own}:NatMU", "--out", tmp_path / "mine")
    message = refused(run_command.main, *flags)
    assert "shown as NatMU, the name of the library's natmu" in message
    assert not (tmp_path / "mine").exists()
