"""Rows of a run: at their defaults, of several methods, left out, and all of these at once."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.configs import preset
from experiments.shared.auditing import title_of
from experiments.shared.config import Data, Experiment, Network, Training
from experiments.shared.execution import ORDINARY
from experiments.shared.hyperparameters import failed_methods, method_arguments
from experiments.shared.loading import load_data
from experiments.shared.setting_up import set_up
from experiments.shared.validation import validate
from jax_unlearn.core import InputError

TEXT = "class:3-then-class:5"
RUM = "finetune-then-natmu"
COLLAPSED = {"published": {"gap": 100.0, "eligible": False, "collapsed": True}}


def searched(tmp_path, **requests):
    """Settings of a search of single methods, for a sequence in which RUM has one for each step."""
    file = tmp_path / "found.json"
    file.write_text(json.dumps({"requests": {"*": {}, **requests}}))
    return Experiment(
        hyperparameters=str(file),
        requests=("class:3", TEXT),
        methods=("natmu", RUM),
        set=("natmu.batch_size=50",),
        show_defaults=True,
    )


def test_a_row_of_defaults_is_there_from_a_sequence_s_first_step_on(tmp_path):
    found = {"natmu": {"arguments": {"delta": -0.2}, **COLLAPSED}}
    experiment = searched(tmp_path, **{"class:5": found})
    assert method_arguments(experiment, "class:3") == {
        "natmu": {"batch_size": 50},
        "natmu, defaults": {"batch_size": 50},
        RUM: {},
        f"{RUM}, defaults": {},
    }
    assert method_arguments(experiment, TEXT) == {
        "natmu": {"delta": -0.2, "batch_size": 50},
        "natmu, defaults": {"batch_size": 50},
        RUM: {"delta": -0.2, "batch_size": 50},
        f"{RUM}, defaults": {"batch_size": 50},
    }
    # By itself the first step knows nothing of what comes after.
    alone = dataclasses.replace(experiment, requests=("class:3",), methods=("natmu",))
    assert list(method_arguments(alone, "class:3")) == ["natmu"]


def test_a_failed_search_is_told_of_the_step_s_method_unless_its_setting_is_another(tmp_path):
    why = "no setting found that forgets"
    found = {"natmu": {"arguments": {"delta": -0.2, "batch_size": 50}, "failed": why}}
    experiment = searched(tmp_path, **{"class:5": found})
    assert failed_methods(experiment, "class:3") == {}
    assert failed_methods(experiment, TEXT) == {"natmu": why, RUM: why}
    other = dataclasses.replace(experiment, set=("natmu.batch_size=10",))
    assert failed_methods(other, TEXT) == {}


def test_settings_that_a_run_has_kept_are_found_by_the_name_of_the_row(tmp_path):
    """A run's config.json lists a name of several methods by itself."""
    rows = {RUM: {"arguments": {"delta": -0.1}}, f"{RUM}, defaults": {"arguments": {"delta": 0.1}}}
    experiment = dataclasses.replace(searched(tmp_path, **{TEXT: rows}), set=())
    given = method_arguments(experiment, TEXT)
    assert (given[RUM], given[f"{RUM}, defaults"]) == ({"delta": -0.1}, {"delta": 0.1})


def test_a_run_s_own_list_of_requests_holds_the_steps_and_is_taken_again():
    """Each step stands there by itself, where a name of two methods would be one too many."""
    whole = Experiment(requests=("class:3", TEXT), methods=(RUM,))
    validate(whole)
    with pytest.raises(InputError, match="is 2 methods, and 'class:3' has one step"):
        validate(dataclasses.replace(whole, requests=("class:3", "class:5")))


SMALL = Experiment(
    data=Data(train_size=200, test_size=60, padding=0, flip=False),
    network=Network(width=4),
    training=Training(epochs=1, batch_size=20),
    requests=("class:5",),
    methods=("finetune",),
    set=("finetune.batch_size=20", "unsir.batch_size=20"),
    skip_unfit=True,
)


def test_what_cannot_take_a_step_is_left_out_of_all_that_come_after(tmp_path):
    train = load_data(SMALL).train
    np.save(tmp_path / "some.npy", train.id[train.label != 5][:20])
    first = f"ids:{tmp_path / 'some.npy'}"
    second = f"{first}-then-class:5"
    methods = ("finetune", "unsir", "unsir-then-finetune", "finetune-then-unsir")
    asked = dataclasses.replace(SMALL, requests=(second,), methods=methods)
    setup = set_up(asked, ORDINARY)
    assert set(setup.unfit[first]) == {"unsir", "unsir-then-finetune"}
    # Both could take the second step, and have nothing to go on from.
    for row in ("unsir", "unsir-then-finetune"):
        assert setup.unfit[second][row].startswith(f"{first}: forget: class 0 is in both")
    assert [named.name for named in setup.methods(second)] == ["finetune", "finetune-then-unsir"]
    whole = r"^requests='ids:.*': unsir: forget: class 0 is in both sets: .*; --skip-unfit leaves"
    with pytest.raises(InputError, match=whole):
        set_up(dataclasses.replace(asked, skip_unfit=False), ORDINARY)


def test_batches_that_are_too_large_are_said_once_of_both_rows(tmp_path):
    found = {"gradient_ascent": {"arguments": {}, **COLLAPSED}}
    experiment = dataclasses.replace(
        SMALL,
        hyperparameters=searched(tmp_path, **{"class:5": found}).hyperparameters,
        requests=("class:5",),
        methods=("gradient_ascent",),
        set=("gradient_ascent.batch_size=50",),
        show_defaults=True,
    )
    with pytest.raises(InputError) as refused:
        set_up(experiment, ORDINARY)
    assert str(refused.value).count("gradient_ascent.batch_size=50") == 1


def test_a_row_that_is_left_out_is_called_as_others_are():
    assert title_of("unsir") == "UNSIR"
    assert title_of("natmu, defaults") == "NatMU, defaults"
    assert title_of(f"{RUM}, defaults") == "fine-tune, then NatMU, defaults"


def test_every_method_of_the_zoo_can_take_one_of_its_requests():
    zoo = preset("zoo_digits")
    setup = set_up(zoo, ORDINARY)
    unfit = [set(rows) for rows in setup.unfit.values()]
    assert not set.intersection(*unfit)
