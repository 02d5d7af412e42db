"""An error names the flag that was typed, for every setting that the library calls otherwise."""

import dataclasses
import warnings

import pytest
from PIL import Image

import jax_unlearn as ju
from experiments.shared.checks import check_fit
from experiments.shared.config import Data, Experiment, Network
from experiments.shared.execution import Execution
from experiments.shared.loading import load_data, make_network
from experiments.shared.naming import as_typed, naming
from experiments.shared.original import Training
from experiments.shared.planning import open_bank_of
from experiments.shared.setting_up import set_up
from experiments.shared.validation import validate
from jax_unlearn.core import InputError


def plain(**changes):
    """An experiment on digits with one method, with some settings changed."""
    return Experiment(**{"methods": ("finetune",), **changes})


def set_up_with(execution=None, **changes):
    set_up(plain(**changes), Execution(**(execution or {})))


def load(**changes):
    load_data(plain(data=Data(**changes)))


@pytest.fixture(scope="module")
def digits():
    return load_data(plain())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load(name="cifar1O"), "data.name='cifar1O': did you mean cifar10"),
        (lambda: load(name="none.npz"), "data.name='none.npz': no such file"),
        (lambda: load(name="none.py:x"), "data.name='none.py:x': no such file"),
        (lambda: load(name="cifar10", dir="none"), "data.dir='none': no such folder"),
        (lambda: load(train_size=9999), "data.train_size=9999: expected"),
        (lambda: load(test_size=9999), "data.test_size=9999: expected"),
        (
            lambda: validate(plain(network=Network(name="resnet9"))),
            "network.name='resnet9': did you mean",
        ),
        (
            lambda: validate(plain(network=Network(name="none.py:net"))),
            "network.name='none.py:net': no such file",
        ),
        (lambda: validate(plain(methods=("natmuu",))), "methods='natmuu': did you mean natmu"),
        (lambda: validate(plain(methods=("none.py:m",))), "methods='none.py:m': no such file"),
        (lambda: validate(plain(methods=("retrain",))), "methods='retrain': every run has it"),
        (lambda: validate(plain(requests=("clas:3",))), "requests='clas': did you mean class"),
        (lambda: validate(plain(requests=("class:",))), "requests='class:': expected"),
        (lambda: validate(plain(requests=("random:2.0",))), "requests='random:2.0': fraction=2"),
        (
            lambda: validate(plain(requests=("random:0.1:models=0",))),
            "requests='random:0.1:models=0': ",
        ),
        (
            lambda: set_up_with({"mesh": "model=0"}),
            "mesh='model=0': expected axes",
        ),
        (lambda: set_up_with({"placement": "moon"}), "placement='moon': expected one of"),
        (
            lambda: set_up_with({"profile": f"{__file__}/x"}, requests=("random:0.5",)),
            f"profile='{__file__}/x': Not a directory: expected a folder that can be written to",
        ),
        (lambda: set_up_with({"checkpoint_seconds": -1}), "checkpoint_seconds=-1: expected"),
    ],
)
def test_the_flag_is_named(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"name": "vgg16_bn"}, "network.name='vgg16_bn': image_shape=(8, 8, 1): vgg16_bn needs"),
        ({"width": -1}, "network.width=-1: expected"),
        ({"dtype": "float8"}, "network.dtype='float8': "),
        ({"name": "FILE:fails"}, "network.name='FILE:fails': fails (ValueError: by intent)"),
        ({"name": "FILE:odd"}, "network.name='FILE:odd': gives an object of type int"),
        ({"name": "FILE:bare", "width": 3}, "network.width=3: FILE:bare has no argument width"),
        ({"name": "FILE:bare", "dtype": "bfloat16"}, "network.dtype='bfloat16': FILE:bare has no"),
    ],
)
def test_the_flag_of_a_network_is_named(digits, tmp_path, network, message):
    file = tmp_path / "net.py"
    file.write_text(
        "def fails(num_classes, image_shape):\n    raise ValueError('by intent')\n"
        "def odd(num_classes, image_shape):\n    return 3\n"
        "def bare(num_classes, image_shape):\n    return 3\n"
    )
    network = {k: v.replace("FILE", str(file)) if k == "name" else v for k, v in network.items()}
    with pytest.raises(InputError) as caught:
        make_network(plain(network=Network(**network)), digits)
    assert str(caught.value).startswith(message.replace("FILE", str(file)))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("class:10", "requests='class:10': class 10: expected"),
        ("class:cat", "requests='class:cat': class 'cat': expected"),
        ("subclass:1", "requests='subclass:1': dataset='digits': has no fine labels"),
        ("random:9999", "requests='random:9999': count=9999: expected"),
        ("random:0.00001", "requests='random:0.00001': fraction=1e-05: is 0 of"),
        ("class:0,1,2,3,4,5,6,7,8,9", "requests='class:0,1,2,3,4,5,6,7,8,9': "),
        ("ids:none.npy", "requests='ids:none.npy': ids='none.npy': no such file"),
    ],
)
def test_the_flag_of_a_request_is_named(digits, request_, message):
    experiment = plain(requests=(request_,))
    model = ju.Model(lambda key: {}, lambda variables, images, *, train: (images, {}), "none")
    with pytest.raises(InputError) as caught:
        check_fit(experiment, model, digits, {request_: {}})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("request_", "warned"),
    [
        ("random:0.1-then-hardest:0.1", True),
        ("class:3-then-class:5", False),
        ("hardest:0.1,group=1/2-then-hardest:0.1,group=2/2", False),
        ("hardest:0.1,group=1/2-then-hardest:0.1,group=2/3", True),
        ("random:0.1,group=1/2-then-random:0.1,seed=1,group=2/2", True),
        ("memorization:low,0.1-then-memorization:high,0.1", False),
    ],
)
def test_steps_that_may_overlap_are_told_before_models_are_trained(digits, request_, warned):
    model = ju.Model(lambda key: {}, lambda variables, images, *, train: (images, {}), "none")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        check_fit(plain(requests=(request_,)), model, digits, {request_: {}})
    assert any("known only after the models" in str(one.message) for one in found) == warned


@pytest.mark.parametrize("flag", ["bank", "out"])
def test_the_flag_of_a_bank_is_named(digits, tmp_path, flag):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"^{flag}='.*': the folder holds files of another kind"):
        open_bank_of(tmp_path, digits, flag=flag)


def test_names_are_translated_at_the_front_and_in_the_remedy_alone():
    message = "data_dir='a': not there; pass data_dir='b', or write tfds.load(data_dir='c')"
    with pytest.raises(InputError) as caught, as_typed(data_dir="data.dir"):
        raise InputError(message)
    expected = "data.dir='a': not there; pass data.dir='b', or write tfds.load(data_dir='c')"
    assert str(caught.value) == expected


def test_an_error_that_names_the_flag_already_is_left_as_it_is():
    with pytest.raises(InputError) as caught, as_typed("mesh='x'"):
        raise InputError("mesh='x': expected axes")
    assert str(caught.value) == "mesh='x': expected axes"


def test_a_prefix_says_whose_argument_it_is():
    with pytest.raises(InputError, match=r"^training\.epochs=0: "), naming("training."):
        dataclasses.replace(Experiment().training, epochs=0).recipe()


def test_options_of_a_folder_are_called_as_they_are_typed(tmp_path):
    for name in ("cat", "dog"):
        for k in range(2):
            path = tmp_path / "pets" / name / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4 + k, 5)).save(path)
    name = str(tmp_path / "pets")
    for options, message in (
        ({}, "data.name='.*': images have 2 .*pass --data.image-size N to"),
        ({"channels": 9}, "data.channels='9': expected one of 0, 1, 2"),
        ({"dir": "/"}, "data.dir='/': .*pets is a path of its own"),
    ):
        with pytest.raises(InputError, match=f"^{message}"):
            load(name=name, **options)
    loaded = load_data(plain(data=Data(name=name, image_size=4, test_share=0.5)))
    assert loaded.train.image.shape == (2, 4, 4, 3)


def test_all_that_does_not_fit_is_said_at_once_with_flags_that_do(digits, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from jax_unlearn.core import FORGET, RETAIN\n"
        "from jax_unlearn.methods import Descent\n"
        "class Mine(Descent):\n"
        "    epochs: int = 1\n"
        "    roles = (RETAIN, FORGET)\n"
    )
    mine = f"{path}:Mine"
    training = Training(batch_size=4000)
    experiment = plain(requests=("class:3",), methods=(mine, "natmu"), training=training)
    given = {"class:3": {mine: {"batch_size": 5000}, "natmu": {"num": 10, "batch_size": 9000}}}
    model = ju.Model(lambda key: {}, lambda variables, images, *, train: (images, {}), "none")
    with pytest.raises(InputError) as caught:
        check_fit(experiment, model, digits, given)
    size = len(digits.train.label)
    forget = int((digits.train.label == 3).sum())
    # No retain image serves twice; NatMU's pool is counted with as many hybrids as fit.
    num = (size - forget) // forget
    hybrids = size - forget + num * forget
    said = str(caught.value)
    assert "natmu.num=10: expected at most 9, the number of other classes" in said
    assert said.endswith(
        f"; what fits: --training.batch-size {size - forget} --set {mine}.batch_size={size} "
        f"natmu.num={num} natmu.batch_size={hybrids}"
    )


def test_a_default_batch_that_is_too_large_is_all_there_is_and_one_asked_for_is_refused(digits):
    experiment = plain(requests=("class:3",), methods=("gradient_ascent",))
    model = ju.Model(lambda key: {}, lambda variables, images, *, train: (images, {}), "none")
    forget = int((digits.train.label == 3).sum())
    with pytest.warns(UserWarning, match=f"gradient_ascent.batch_size={forget} for class:3: all"):
        fit = check_fit(experiment, model, digits, {"class:3": {"gradient_ascent": {}}})
    completed = fit.completed({"class:3": {"gradient_ascent": {"epochs": 2}}})
    assert completed == {"class:3": {"gradient_ascent": {"epochs": 2, "batch_size": forget}}}
    given = {"class:3": {"gradient_ascent": {"batch_size": 256}}}
    flags = f"what fits: --set gradient_ascent.batch_size={forget}$"
    with pytest.raises(InputError, match=flags):
        check_fit(experiment, model, digits, given)
