"""Commands: wrong input ends in one line and leaves nothing behind; right input does as told."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import experiments.quickstart
from experiments.configs import preset, preset_names
from experiments.run import command as run_command
from experiments.search import command as search
from experiments.shared.config_json import to_json
from experiments.shared.hyperparameters import method_arguments

FLAGS = (
    *("--training.epochs", 1, "--training.batch-size", 20, "--requests", "class:3"),
    *("--methods", "finetune", "natmu", "mumis", "--seeds", 0),
    *("--set", "finetune.batch_size=20", "natmu.batch_size=20", "natmu.num=2"),
    "mumis.batch_size=20",
)


@pytest.fixture
def refuse(call, tmp_path, images_npz):
    """Run a command that must be refused; return its message."""

    def run(*changes, main=run_command.main, flags=(*FLAGS, "--data.name", images_npz)):
        out = tmp_path / "out"
        result = call(main, *flags, *changes, "--out", out)
        assert result.code == 2, result
        assert result.err.startswith("error: ")
        assert result.err.count("\n") == 1
        assert result.out == ""
        assert not out.exists()
        return result.err

    return run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--data.name", "cifar1O"], "data.name='cifar1O': did you mean cifar10"),
        (["--data.name", "none.npz"], "data.name='none.npz': no such file"),
        (["--data.name", "cifar10", "--data.dir", "nowhere"], "data.dir='nowhere': no such folder"),
        (
            ["--data.train-size", 999],
            "data.train_size=999: expected a whole number >= 1 and",
        ),
        (["--data.test-size", 999], "data.test_size=999: expected"),
        (["--network.name", "resnet81"], "network.name='resnet81': did you mean resnet8"),
        (
            ["--network.name", "vgg16_bn"],
            "network.name='vgg16_bn': image_shape=(8, 8, 1): vgg16_bn needs images of at least",
        ),
        (["--network.dtype", "float16"], "network.dtype='float16': did you mean bfloat16"),
        (["--methods", "natmuu"], "methods='natmuu': did you mean natmu"),
        (["--methods"], "methods=(): expected one or more values"),
        (
            ["--requests", "class:10"],
            "requests='class:10': class 10: expected a whole number >= 0 and <= 3",
        ),
        (["--requests", "class:rocket"], "class 'rocket': expected one of 0, 1, 2, 3"),
        (["--requests", "class:0,1,2,3"], "forgets 200 of 200 training images"),
        (["--requests", "subclass:1"], "no fine labels"),
        (["--requests", "random:0.0001"], "fraction=0.0001: is 0 of 200 training images"),
        (["--requests", "random:200"], "count=200: expected a whole number >= 1 and <= 199"),
        (["--requests", "hardest:200"], "count=200: expected"),
        (["--requests", "hardest:0.1", "class:77"], "class 77: expected"),
        (["--requests", "class:1,0", "class:0,1"], "another one has the same short name class-0-1"),
        (["--requests", "ids:none.npy"], "requests='ids:none.npy': ids='none.npy': no such file"),
        (
            ["--training.batch-size", 201],
            "training.batch_size=201: there are only 150 examples to draw from for class:3's",
        ),
        (
            [
                *("--training.batch-size", 201, "--requests", "class:3", "random:80"),
                *("--set", "finetune.batch_size=256", "natmu.num=4", "mumis.batch_size=64"),
            ],
            "; what fits: --training.batch-size 120 --set finetune.batch_size=120 natmu.num=1 "
            "mumis.batch_size=50\n",
        ),
        (["--training.batch-size", 160], "only 150 examples to draw from for class:3's oracle"),
        (
            ["--placement", "sharded", "--training.batch-size", 30],
            "training.batch_size=30: placement='sharded' gives each of 4 devices its share",
        ),
        (["--set", "finetune.batch_size=160"], "finetune.batch_size=160: there are only 150"),
        (
            ["--set", "mumis.batch_size=64"],
            "only 50 examples to draw from for class:3; use at",
        ),
        (["--set", "natmu.num=4"], "natmu.num=4: expected at most 3, the number of other classes"),
        (["--requests", "random:80"], "natmu.num=2: 80 forget images need 160 retain images"),
        (["--requests", "hardest:80"], "natmu.num=2: 80 forget images need 160 retain images"),
        (["--set", "retrain.epochs=3"], "set='retrain.epochs=3': the oracle's settings"),
        (["--set", "salum.keep=0.5"], "set='salum.keep=0.5': method='salum': did you mean salun"),
        (
            ["--request-seeds", 1, 2],
            "request_seeds=(1, 2): none of the requests class:3 draws images at random; leave",
        ),
        (["--set", "finetune.epochs=3e9"], "epochs=3000000000: expected a whole number of at most"),
        (["--set", "finetune.epochs=1e18"], "expected a whole number of at most 2147483647"),
        (
            ["--set", "finetune.epochs=2e9"],
            "finetune on class:3: 1.6e+10 steps: expected at most 2147483647; take fewer epochs",
        ),
        (["--set", "natmu.learning_rate=1e39"], "natmu.learning_rate=1e+39: expected a number of"),
        (["--training.epochs", 10**12], "training.epochs=1000000000000: expected a whole number"),
        (["--training.epochs", 2 * 10**9], "training: 1.6e+10 steps: expected at most"),
        (["--network.width", 10**9], "network.width=1000000000: the weights take "),
        (["--network.width", 10**6], "network.width=1000000: the weights take "),
        (["--seeds", "a"], "seeds='a': expected whole numbers; see --help"),
        (
            ["--train-size", 3],
            "--train-size: no such flag; did you mean --data.train-size? see --help",
        ),
        (["--preset", "quickstrt"], "preset='quickstrt': did you mean quickstart"),
        (["--preset", "quickstart", "--config", "x"], "give a preset or a config, not both"),
        (["--preset"], "--preset has no value after it: expected a text"),
        (
            ["--config", "none.json"],
            "config='none.json': cannot be read (No such file",
        ),
        (["--hyperparameters", "none"], "hyperparameters='none': cannot be read"),
    ],
)
def test_wrong_input_is_refused_in_one_line_before_anything_is_written(refuse, changes, message):
    if changes[0] == "--set":
        changes = ["--set", *FLAGS[FLAGS.index("--set") + 1 :], *changes[1:]]
    assert message in refuse(*changes)


def damaged(arrays):
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (40, 8, 8, 1), np.uint8),
        "train_labels": np.arange(40) % 4,
        "test_images": rng.integers(0, 256, (8, 8, 8, 1), np.uint8),
        "test_labels": np.arange(8) % 4,
        **arrays,
    }


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_images": np.zeros((40, 8, 8, 1))}, "train images are float64 [40, 8, 8, 1]"),
        ({"train_images": np.zeros((40, 8, 8), np.uint8)}, "expected uint8 [N, H, W, C]"),
        ({"test_images": np.zeros((8, 9, 8, 1), np.uint8)}, "expected [8, 8, 1] as the train"),
        ({"train_labels": np.arange(39)}, "train labels are int32 [39]: expected int32 [40]"),
        ({"train_labels": np.arange(40) % 4 - 1}, "train labels reach from -1 to 2"),
        ({"train_ids": np.zeros(40, int)}, "train id 0 occurs 40 times"),
        ({"test_labels": np.full(8, 3)}, "all test images are of forgotten classes"),
        ({"train_labels": np.array([{}] * 40)}, "cannot be read (Object arrays"),
        (
            {
                "train_images": np.zeros((40, 1, 1, 1), np.uint8),
                "test_images": np.zeros((8, 1, 1, 1), np.uint8),
            },
            "image_shape=(1, 1, 1): convnet needs images of at least 4x4",
        ),
    ],
)
def test_a_wrong_npz_is_refused(refuse, tmp_path, arrays, message):
    path = tmp_path / "wrong.npz"
    np.savez(path, **damaged(arrays))
    assert message in refuse("--data.name", path)


def test_a_corrupt_npz_is_refused(refuse, images_npz, tmp_path):
    path = tmp_path / "torn.npz"
    path.write_bytes(images_npz.read_bytes()[:2000])
    assert "expected an .npz of plain arrays" in refuse("--data.name", path)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2, 9999], "1 of 3 are not training ids of four, 9999 the first"),
        ([1, 2, 2], "2 occurs 2 times: expected each id once"),
        ([], "forgets 0 of 200"),
        (list(range(200)), "forgets 200 of 200"),
        ([1.5], "expected a list of whole numbers"),
        ({"ids": 1}, "expected a list of whole numbers"),
    ],
)
def test_wrong_ids_are_refused(refuse, tmp_path, ids, message):
    path = tmp_path / "ids.json"
    path.write_text(json.dumps(ids))
    assert message in refuse("--requests", f"ids:{path}")


def test_one_request_in_two_texts_is_refused(refuse, tmp_path):
    texts = []
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text(json.dumps(list(range(30))))
        texts.append(f"ids:{tmp_path / name}")
    message = refuse("--requests", *texts)
    assert f"requests='{texts[1]}': forgets the same as '{texts[0]}'" in message


def test_a_dataset_of_the_user_s_own_is_refused_in_one_line_too(refuse, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import nothing_of_this_name\n")
    assert "importing mine.py fails in line 1" in refuse("--data.name", f"{path}:blobs")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--search-seeds", 0, 100], "the table uses (0, 1, 2, 3, 4, 5); search on other seeds"),
        (["--search-seeds", 5], "the table uses (0, 1, 2, 3, 4, 5); search on other seeds"),
        (["--preset", "quickstrt"], "preset='quickstrt': did you mean quickstart"),
        (["--trials", 0], "trials=0: expected a whole number >= 1"),
        (["--trails", 3], "--trails: no such flag; did you mean --trials?"),
        (["--result", "."], "result='.': a folder stands there; expected a file"),
    ],
)
def test_the_search_refuses_wrong_input(refuse, changes, message):
    assert message in refuse(*changes, main=search.main, flags=())


def test_the_quickstart_refuses_unknown_flags(refuse):
    assert "--seeds" in refuse("--seeds", 1, main=experiments.quickstart.main, flags=())


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (
            run_command.main,
            [*preset_names(), "--data.train-size INT", "--training.epochs"],
        ),
        (experiments.quickstart.main, ["three minutes", "--out", "--overwrite"]),
        (search.main, ["--trials INT", "--seeds", "goes on"]),
    ],
)
def test_help_explains_the_flags_and_ends_well(call, main, words):
    result = call(main, "--help")
    assert result.code == 0
    assert result.out.startswith("usage: python -m experiments.")
    assert [word for word in words if word not in result.out] == []


@pytest.fixture
def settled(call, monkeypatch):
    """The experiment that a command line stands for, without running it."""

    def read(*arguments):
        caught = []
        with monkeypatch.context() as patch:
            patch.setattr(run_command, "execute", lambda given, _: caught.append(given.experiment))
            assert call(run_command.main, *arguments).code == 0
        return caught[0]

    return read


def test_flags_beside_a_preset_change_it_and_set_entries_come_on_top(settled):
    begun = preset("quickstart")
    given = settled("--preset", "quickstart", "--seeds", 7, "--set", "natmu.delta=0.5")
    assert given == dataclasses.replace(begun, seeds=(7,), set=(*begun.set, "natmu.delta=0.5"))


def config_of(experiment, arguments):
    requests = {
        text: {name: {"arguments": given} for name, given in arguments.items()}
        for text in experiment.requests
    }
    return json.dumps({"settings": {"experiment": to_json(experiment), "requests": requests}})


def test_an_earlier_runs_config_gives_its_settings(settled, tmp_path):
    experiment = dataclasses.replace(
        preset("quickstart"), hyperparameters="", methods=("natmu",), set=("natmu.delta=0.5",)
    )
    path = tmp_path / "config.json"
    path.write_text(config_of(experiment, {"natmu": {"delta": 0.5}}))
    assert settled("--config", path) == experiment


def test_an_earlier_runs_own_hyperparameters_count_where_their_file_has_changed(settled, tmp_path):
    experiment = dataclasses.replace(
        preset("quickstart"), methods=("natmu",), hyperparameters="gone.json", set=()
    )
    path = tmp_path / "config.json"
    path.write_text(config_of(experiment, {"natmu": {"delta": 0.125}}))
    given = settled("--config", path)
    assert given.hyperparameters == str(path)
    assert method_arguments(given, "class:3") == {"natmu": {"delta": 0.125}}


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tmp_path, images_npz):
    out = tmp_path / "run"
    flags = [*FLAGS, "--training.epochs", 10_000, "--data.name", images_npz, "--out", out]
    # A shell's background jobs ignore the signal, and their children with them.
    restore = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = "import runpy; runpy.run_module('experiments.run', run_name='__main__', alter_sys=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{restore}\n{start}", *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    try:
        while not (out / "config.json").exists() and process.poll() is None:
            time.sleep(0.05)
        # Where it once crashed on its way out: while something is compiled.
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        printed, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert error == "interrupted: start the same command again to go on\n"
    assert printed == ""


def test_a_reader_that_closes_early_ends_a_command_in_silence():
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.bank", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 128 + signal.SIGPIPE
