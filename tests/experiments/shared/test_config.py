"""Settings: what they accept, what they become, and that presets say what the papers say."""

import dataclasses
import json

import pytest

import jax_unlearn as ju
from experiments.configs import describe_presets, preset, preset_names
from experiments.shared.config import Data, Experiment, Network, Training
from experiments.shared.config_json import from_json, to_json
from experiments.shared.hyperparameters import (
    build_method,
    check_used,
    failed_methods,
    method_arguments,
)
from experiments.shared.validation import validate
from jax_unlearn.core import InputError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid(name):
    validate(preset(name))


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_survives_json(name):
    stored = json.loads(json.dumps(to_json(preset(name))))
    assert from_json(stored, "file") == preset(name)


def test_every_preset_is_described_by_its_name_and_first_line():
    lines = describe_presets().splitlines()
    assert [line.split()[0] for line in lines] == list(preset_names())
    assert any(line.endswith("three seeds.") for line in lines)


def test_an_unknown_preset_is_refused_with_the_near_names():
    with pytest.raises(InputError, match="preset='quikstart': did you mean quickstart"):
        preset("quikstart")


NATMU = {
    "natmu_cifar10_vgg16": (1e-3, 2e-3, -0.19),
    "natmu_cifar100_resnet18": (1.1e-3, 5e-4, -0.03),
    "natmu_tiny_resnet34": (8.3e-4, 7e-5, 0.045),
    "natmu_cifar100_class": (2.8e-4, 0.0, -0.053),
    "natmu_cifar20_subclass": (9e-4, 3.7e-4, -0.053),
}
AMNESIAC = {
    "natmu_cifar10_vgg16": (1.8e-5, 4e-4),
    "natmu_cifar100_resnet18": (1.9e-5, 8e-4),
    "natmu_tiny_resnet34": (1.5e-5, 5.6e-4),
    "natmu_cifar100_class": (1.45e-4, 8e-5),
    "natmu_cifar20_subclass": (1.8e-5, 3.7e-4),
}
BAD_TEACHER = {
    "natmu_cifar10_vgg16": (5e-5, 9e-4, 7.2),
    "natmu_cifar100_resnet18": (2.8e-4, 9e-4, 2.4),
    "natmu_tiny_resnet34": (2.7e-4, 7.5e-4, 1.8),
    "natmu_cifar100_class": (3.4e-5, 0.0, 0.77),
    "natmu_cifar20_subclass": (7.4e-5, 0.0, 0.72),
}
SALUN = {
    "natmu_cifar10_vgg16": (5e-5, 3e-4, 0.05),
    "natmu_cifar100_resnet18": (5.7e-5, 1e-3, 0.21),
    "natmu_tiny_resnet34": (5.5e-5, 5.3e-4, 0.20),
    "natmu_cifar100_class": (1.3e-4, 0.0, 0.7),
    "natmu_cifar20_subclass": (1.7e-4, 0.0, 0.01),
}
PUBLISHED = {
    "natmu": (NATMU, "delta"),
    "amnesiac": (AMNESIAC, None),
    "bad_teacher": (BAD_TEACHER, "temperature"),
    "salun": (SALUN, "keep"),
}
REINITIALISED = {
    ("natmu_cifar100_class", "natmu"),
    ("natmu_cifar100_class", "bad_teacher"),
    ("natmu_cifar20_subclass", "amnesiac"),
}


@pytest.mark.parametrize("name", NATMU)
def test_natmu_presets_hold_the_published_hyperparameters(name):
    experiment = preset(name)
    for request in experiment.requests:
        arguments = method_arguments(experiment, request)
        for method, (rows, third) in PUBLISHED.items():
            built = build_method(method, arguments[method])
            values = [built.learning_rate, built.weight_decay]
            values += [getattr(built, third)] if third else []
            assert tuple(values) == rows[name], (method, request)
            assert built.reinit_linear == ((name, method) in REINITIALISED)


@pytest.mark.parametrize("name", NATMU)
def test_natmu_presets_run_every_method_in_the_papers_frame(name):
    experiment = preset(name)
    batch_size = 256 if "tiny" in name else 128
    for method, given in method_arguments(experiment, experiment.requests[0]).items():
        built = build_method(method, given)
        assert built.batch_size == batch_size
        if method == "finetune":
            continue
        assert (built.epochs, built.optimizer, built.schedule) == (5, "adamw", "cosine")
        assert built.augment == (method == "natmu")
    salun = build_method("salun", method_arguments(experiment, experiment.requests[0])["salun"])
    assert (salun.masking, salun.relabel, salun.stream) == ("gradient", "once", "shuffled")
    assert salun.labels == "wrong"


@pytest.mark.parametrize(
    ("name", "data", "network", "requests"),
    [
        ("natmu_cifar10_vgg16", "cifar10", "vgg16_bn", "random:0.01 random:0.1"),
        ("natmu_cifar100_resnet18", "cifar100", "resnet18", "random:0.01 random:0.1"),
        ("natmu_tiny_resnet34", "tiny_imagenet200", "resnet34", "hardest:0.01 hardest:0.1"),
        ("natmu_cifar100_class", "cifar100", "resnet18", "class:rocket class:cattle"),
        ("natmu_cifar20_subclass", "cifar20", "resnet18", "subclass:rocket"),
        ("mumis_cifar100_class", "cifar100", "resnet18", "class:rocket"),
        ("mumis_cifar20_subclass", "cifar20", "resnet18", "subclass:rocket subclass:sea"),
        ("mumis_cifar10_random", "cifar10", "resnet18", "random:0.1"),
        ("mumis_cifar10_random_vgg16", "cifar10", "vgg16_bn", "random:0.1"),
        ("mumis_tiny_class", "tiny_imagenet200", "resnet18", "class:0"),
    ],
)
def test_paper_presets_name_the_papers_data_network_and_forget_sets(name, data, network, requests):
    experiment = preset(name)
    tiny = data == "tiny_imagenet200"
    assert (experiment.data.name, experiment.network.name) == (data, network)
    assert experiment.data.padding == (8 if tiny else 4)
    assert set(requests.split()) <= set(experiment.requests)
    assert experiment.training == Training(
        epochs=100,
        batch_size=256 if tiny else 128,
        learning_rate=0.1,
        weight_decay=5e-4,
        momentum=0.9,
        optimizer="sgd",
        schedule="step",
        warmup_epochs=2.0,
    )


def test_set_entries_win_over_the_file_and_a_prefix_limits_them_to_a_kind(tmp_path):
    file = tmp_path / "found.json"
    entry = {"natmu": {"arguments": {"delta": 0.1, "epochs": 2}}}
    file.write_text(json.dumps({"requests": {"class:3": entry, "*": {}}}))
    experiment = Experiment(
        requests=("class:3", "random:0.1"),
        methods=("natmu", "finetune"),
        hyperparameters=str(file),
        set=("natmu.delta=-0.2", "class/finetune.epochs=3"),
    )
    assert method_arguments(experiment, "class:3") == {
        "natmu": {"delta": -0.2, "epochs": 2},
        "finetune": {"epochs": 3},
    }
    assert method_arguments(experiment, "random:0.1") == {"natmu": {"delta": -0.2}, "finetune": {}}


def test_a_file_without_the_request_is_refused_rather_than_replaced_by_defaults(tmp_path):
    file = tmp_path / "found.json"
    file.write_text(json.dumps({"requests": {"class:3": {}}}))
    experiment = Experiment(requests=("class:4",), hyperparameters=str(file))
    with pytest.raises(InputError, match=r"no entry for 'class:4', only for class:3; search"):
        validate(experiment)


def test_whole_numbers_may_be_written_as_json_floats():
    built = build_method("finetune", {"epochs": 2.0, "batch_size": 5e1, "learning_rate": 1})
    assert (built.epochs, built.batch_size, built.learning_rate) == (2, 50, 1)
    assert isinstance(built.epochs, int)
    assert isinstance(built.batch_size, int)


def test_the_recipe_is_the_training_settings():
    recipe = Training(epochs=3, batch_size=7, learning_rate=0.2, augment=False).recipe()
    assert recipe == ju.retrain(epochs=3, batch_size=7, learning_rate=0.2, augment=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": Network(name="resnet81")}, "network.name='resnet81': did you mean resnet8"),
        ({"network": Network(dtype="float16")}, "network.dtype='float16': did you mean"),
        ({"network": Network(width=-1)}, "network.width=-1: expected a whole number >= 0"),
        ({"data": Data(train_size=-5)}, "data.train_size=-5: expected"),
        ({"data": Data(padding=-1)}, "data.padding=-1: expected"),
        ({"methods": ("natmuu",)}, "methods='natmuu': did you mean natmu"),
        ({"methods": ("retrain",)}, "methods='retrain': every run has it, as the oracle"),
        ({"methods": ()}, "methods=(): expected one or more"),
        ({"seeds": ()}, "seeds=(): expected one or more"),
        ({"seeds": (1, 1)}, "seeds=(1, 1): expected one or more values, none of them twice"),
        ({"seeds": (-1,)}, "seeds=-1: expected a whole number >= 0 and <= 9999"),
        ({"seeds": (10_000,)}, "seeds=10000: expected"),
        ({"requests": ("clas:3",)}, "requests='clas': did you mean class"),
        ({"requests": ("random:nan",)}, "fraction=nan: expected a number > 0 and <= 1"),
        ({"requests": ("random:1.5",)}, "fraction=1.5: expected"),
        ({"requests": ("ids:a/s.npy", "ids:b/s.npy")}, "same short name ids-s"),
        ({"training": Training(epochs=0)}, "training.epochs=0: expected"),
        ({"training": Training(learning_rate=float("nan"))}, "training.learning_rate=nan"),
        ({"training": Training(schedule="cosinus")}, "did you mean cosine"),
        ({"loop": "while"}, "loop='while': expected one of auto, python, scan"),
        ({"cpu_devices": -3}, "cpu_devices=-3: expected"),
        ({"set": ("finetune",)}, "set='finetune': expected METHOD.NAME=VALUE"),
        ({"set": ("finetun.epochs=1",)}, "method='finetun': did you mean finetune"),
        ({"set": ("natmu.detla=0",)}, "hyperparameter of natmu='detla': did you mean delta"),
        ({"set": ("natmu.delta=1.5",)}, "natmu.delta=1.5: expected a number >= -1 and <= 1"),
        ({"set": ("natmu.delta=NaN",)}, "natmu.delta=nan: expected"),
        ({"set": ("natmu.num=0",)}, "natmu.num=0: expected"),
        ({"set": ("finetune.epochs=1.5",)}, "finetune.epochs=1.5: expected a whole number"),
        ({"set": ("finetune.epochs=ten",)}, "finetune.epochs='ten': expected"),
        ({"set": ("finetune.augment=maybe",)}, "augment='maybe': expected true or false"),
        ({"set": ("cls/natmu.delta=0",)}, "kind of request='cls': did you mean class"),
        ({"hyperparameters": "quickstrt"}, "hyperparameters='quickstrt': cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(change, message):
    with pytest.raises(InputError) as caught:
        validate(dataclasses.replace(Experiment(), **change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("natmu.delta=0", ""),
        ("class/salun.keep=0.5", ""),
        ("finetune.epochs=1", "finetune is not among the methods natmu-then-salun: it changes no"),
        ("random/natmu.delta=0", "none of the requests is of the kind random: it changes nothing"),
    ],
)
def test_a_setting_that_changes_nothing_is_told(recwarn, text, says):
    experiment = Experiment(requests=("class:3-then-class:5",), methods=("natmu-then-salun",))
    check_used([text], experiment)
    assert [says in str(one.message) for one in recwarn] == [True] * bool(says)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": [1]}, "file: key='seed': did you mean seeds"),
        ({"seeds": "abc"}, "file: seeds='abc': expected a list of whole numbers"),
        ({"seeds": [True]}, "seeds=[True]: expected a list of whole numbers"),
        ({"data": 3}, "file: data is 3; expected an object"),
        ({"data": {"train_size": "x"}}, "file: train_size='x': expected a whole number"),
        ({"data": {"flip": 1}}, "file: flip=1: expected true or false"),
        ({"network": {"layers": 1}}, "file: key='layers'"),
        ({"training": {"learning_rate": True}}, "learning_rate=True: expected a number"),
    ],
)
def test_malformed_stored_settings_are_refused_by_name(change, message):
    with pytest.raises(InputError) as caught:
        from_json({**to_json(Experiment()), **change}, "file")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"requests": 3}', '{"requests": {"class:3": 3}}'])
def test_a_malformed_file_of_hyperparameters_is_refused(tmp_path, text):
    file = tmp_path / "found.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"not a file that `python -m experiments.search` wrote"):
        validate(Experiment(hyperparameters=str(file)))


def test_a_search_that_found_nothing_is_told_of_its_method(tmp_path):
    why = "no setting found that forgets"
    file = tmp_path / "found.json"
    entry = {"natmu": {"arguments": {"delta": -0.2}, "failed": why}, "finetune": {"arguments": {}}}
    file.write_text(json.dumps({"requests": {"*": entry}}))
    given = {"hyperparameters": str(file), "methods": ("natmu", "finetune")}
    experiment = Experiment(**given)
    # The best setting still runs.
    assert method_arguments(experiment, "class:3")["natmu"] == {"delta": -0.2}
    assert failed_methods(experiment, "class:3") == {"natmu": why}
    # A setting of one's own is not the search's.
    own = Experiment(**given, set=("class/natmu.delta=0.1",))
    assert failed_methods(own, "class:3") == {}
    assert failed_methods(own, "random:0.1") == {"natmu": why}


def searched(tmp_path, **entry):
    """Settings of a search that found something for NatMU; fine-tuning was not searched."""
    file = tmp_path / "found.json"
    arguments = {"delta": -0.2, "batch_size": 50}
    file.write_text(json.dumps({"requests": {"*": {"natmu": {"arguments": arguments, **entry}}}}))
    methods = ("natmu", "finetune")
    return Experiment(hyperparameters=str(file), methods=methods, set=("natmu.batch_size=50",))


def test_what_a_search_began_with_may_be_set_again_and_its_failure_is_still_told(tmp_path):
    why = "no setting found that forgets"
    experiment = searched(tmp_path, failed=why)
    assert failed_methods(experiment, "class:3") == {"natmu": why}


def test_a_method_that_collapsed_at_its_defaults_has_a_row_of_them_where_that_is_asked_for(
    tmp_path,
):
    published = {"gap": 100.0, "eligible": False, "collapsed": True}
    experiment = searched(tmp_path, published=published)
    assert list(method_arguments(experiment, "class:3")) == ["natmu", "finetune"]
    shown = dataclasses.replace(experiment, show_defaults=True)
    assert method_arguments(shown, "class:3") == {
        "natmu": {"delta": -0.2, "batch_size": 50},
        "natmu, defaults": {"batch_size": 50},
        "finetune": {},
    }
    assert build_method("natmu, defaults", {"batch_size": 50}) == ju.natmu(batch_size=50)
    # One that did not forget at them, but did not collapse either, has none.
    other = searched(tmp_path, published={**published, "collapsed": False})
    assert list(method_arguments(dataclasses.replace(other, show_defaults=True), "class:3")) == [
        "natmu",
        "finetune",
    ]


@pytest.mark.parametrize(
    ("name", "of"), [("zoo_digits", "quickstart"), ("zoo_cifar10_cpu", "cifar10_cpu")]
)
def test_a_zoo_holds_every_method_in_the_frame_of_a_smaller_run(name, of):
    zoo, smaller = preset(name), preset(of)
    assert set(zoo.methods) == set(ju.METHODS) - {"retrain"}
    learnt = zoo.data.train_size - zoo.data.validation_size
    assert dataclasses.replace(zoo.data, train_size=learnt, validation_size=0) == smaller.data
    assert (zoo.network, zoo.training) == (smaller.network, smaller.training)
    for request in zoo.requests:
        for method, given in method_arguments(zoo, request).items():
            assert build_method(method, given).batch_size == zoo.training.batch_size


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ("random:0.1,group=1/3", 1),
        ("random:0.1,group=2/3", 2),
        ("random:0.1,seed=4,group=2/3", 2),
        ("random:0.1,seed=5,group=1/3", 1),
        ("class:3-then-random:0.1,group=3/3", 2),
        ("random:0.1,group=1/3-then-random:0.1,group=3/3", 2),
        ("hardest:0.1,group=1/3", 3),
    ],
)
def test_a_group_has_its_own_hyperparameters_or_those_of_all_that_is_refined(
    tmp_path, request_, found
):
    file = tmp_path / "found.json"
    entries = {"random:0.1,group=1/3": 1, "random:0.1": 2, "*": 3}
    asked = {key: {"finetune": {"arguments": {"epochs": n}}} for key, n in entries.items()}
    file.write_text(json.dumps({"requests": asked}))
    experiment = Experiment(requests=(request_,), methods=("finetune",), hyperparameters=str(file))
    assert method_arguments(experiment, request_) == {"finetune": {"epochs": found}}
