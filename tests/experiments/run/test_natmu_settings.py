"""NatMU's four settings, each from its preset, on archives of the true formats."""

import io
import json
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import safetensors

from experiments.run import command
from jax_unlearn.bank import Bank, Record, open_bank
from jax_unlearn.bank.forgetting import FIRST_SCORING_SEED
from jax_unlearn.core import Examples, Outputs
from jax_unlearn.data import Dataset, make_request, parse_request

OFFICIAL = Path(__file__).parents[4] / "shared" / "forget_indices"


def write_archive(path, files):
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def records(rng, *labels):
    """Label bytes, then the three planes; all the images of a label share their average colour."""
    colour = np.random.default_rng(7).integers(60, 196, (256, 3, 1))[labels[-1]]
    planes = (colour + rng.integers(-60, 60, (len(labels[-1]), 3, 1024))).reshape(-1, 3072)
    rows = [*(np.uint8(part)[:, None] for part in labels), np.uint8(planes)]
    return np.concatenate(rows, axis=1).tobytes()


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    """Folder with CIFAR-10's archive: 100 training and 20 test images."""
    folder, rng = tmp_path_factory.mktemp("cifar10") / "data", np.random.default_rng(0)
    root = "cifar-10-batches-bin"
    batches = {f"{root}/data_batch_{k}.bin": records(rng, np.arange(20) % 10) for k in range(1, 6)}
    write_archive(
        folder / "cifar-10-binary.tar.gz",
        batches
        | {
            f"{root}/test_batch.bin": records(rng, np.arange(20) % 10),
            f"{root}/batches.meta.txt": "".join(f"kind{k}\n" for k in range(10)).encode(),
        },
    )
    return folder


@pytest.fixture(scope="module")
def cifar100(tmp_path_factory):
    """Folder with CIFAR-100's archive: two training and one test image of each fine class."""
    folder, rng = tmp_path_factory.mktemp("cifar100") / "data", np.random.default_rng(1)
    root = "cifar-100-binary"
    # As in the original, the order of fine classes says nothing about their superclasses.
    above = np.random.default_rng(2).permutation(100) % 20
    train, test = np.arange(200) % 100, np.arange(100)
    fine = [f"fine{k}" for k in range(100)]
    fine[69] = "rocket"
    write_archive(
        folder / "cifar-100-binary.tar.gz",
        {
            f"{root}/train.bin": records(rng, above[train], train),
            f"{root}/test.bin": records(rng, above[test], test),
            f"{root}/fine_label_names.txt": "".join(f"{name}\n" for name in fine).encode(),
            f"{root}/coarse_label_names.txt": "".join(f"coarse{k}\n" for k in range(20)).encode(),
        },
    )
    return folder


# The published networks take ten seconds to compile. That presets name them is test_config's.
SMALL = ("--network.name", "convnet")


class Made(NamedTuple):
    """NatMU's model of one request, and what surrounds it."""

    bank: Bank
    record: Record
    forget: Outputs
    test_forgotten: np.ndarray
    audit: dict

    @property
    def arguments(self):
        return self.record.ingredients["method"]["arguments"]

    def linear(self, seed=None):
        """Kernel of the linear layer, of the original of a seed where one is given."""
        record = self.record if seed is None else original(self.bank, seed)
        path = self.bank.path / "models" / record.address / "weights.safetensors"
        with safetensors.safe_open(path, "numpy") as file:
            (name,) = [n for n in file.keys() if len(file.get_slice(n).get_shape()) == 2]  # noqa: SIM118
            return file.get_tensor(name)


def original(bank, seed):
    (found,) = [r for r in bank.records("original") if r.ingredients["seed"] == seed]
    return found


@pytest.fixture(scope="module")
def carry_out(call, tmp_path_factory):
    """Carry out a preset at a small size; gives NatMU's model of each request by its text."""

    def run(name, folder, *requests, flags=()):
        out = tmp_path_factory.mktemp("runs") / "run"
        done = call(
            command.main,
            *("--preset", name, "--data-dir", folder, "--out", out, "--methods", "natmu"),
            *("--seeds", 0, "--oracles", 1, "--network.width", 2, "--training.epochs", 1),
            *("--training.batch-size", 50, "--training.warmup-epochs", 0),
            *("--requests", *requests, "--set", "natmu.batch_size=50", "natmu.epochs=1"),
            *flags,
        )
        assert done.code == 0, done.err
        bank = open_bank(out / "bank")
        found = {}
        for request, text in bank.requests().items():
            (record,) = bank.records("unlearned", request)
            predictions = bank.predictions(record, request)
            audit = json.loads((out / parse_request(text).slug / "audit.json").read_text())
            found[text] = Made(bank, record, predictions.forget, predictions.test_forgotten, audit)
        return found

    return run


def test_samples_of_cifar10_are_forgotten_from_an_index_file_and_by_their_margins(
    carry_out, cifar10, tmp_path
):
    path = tmp_path / "cifar10_random_10pct.npy"
    # As the official files: int64, in no order.
    np.save(path, np.random.default_rng(0).permutation(100)[:10])
    requests = (f"ids:{path}", "hardest:0.1,models=1")
    found = carry_out("natmu_cifar10_vgg16", cifar10, *requests, flags=SMALL)
    assert len(found) == 2
    for made in found.values():
        arguments = made.arguments
        assert (arguments["learning_rate"], arguments["weight_decay"]) == (1e-3, 2e-3)
        assert (arguments["delta"], arguments["reinit_linear"]) == (-0.19, False)
        assert not made.audit["request"]["class_wise"]
        # Adam moves no weight by much more than the rate in a step, and there are three.
        assert 0 < np.abs(made.linear() - made.linear(seed=0)).max() < 10 * 1e-3
    np.testing.assert_array_equal(found[f"ids:{path}"].forget.id, np.sort(np.load(path)))
    hardest = found["hardest:0.1,models=1"]
    scores = hardest.bank.outputs(original(hardest.bank, FIRST_SCORING_SEED))[0]
    label = scores.label[:, None]
    true = np.take_along_axis(scores.logits, label, axis=1)[:, 0]
    others = np.where(label == np.arange(10), -np.inf, scores.logits)
    lowest = np.argsort(true - others.max(axis=1), kind="stable")[:10]
    np.testing.assert_array_equal(hardest.forget.id, np.sort(scores.id[lowest]))


def test_samples_of_cifar100_are_forgotten(carry_out, cifar100, tmp_path):
    path = tmp_path / "cifar100_random_10pct.npy"
    np.save(path, np.random.default_rng(0).permutation(200)[:20])
    found = carry_out("natmu_cifar100_resnet18", cifar100, f"ids:{path}", flags=SMALL)
    (made,) = found.values()
    np.testing.assert_array_equal(made.forget.id, np.sort(np.load(path)))
    assert (made.arguments["learning_rate"], made.arguments["delta"]) == (1.1e-3, -0.03)


def test_a_class_of_cifar100_is_forgotten_with_a_new_linear_layer(carry_out, cifar100):
    flags = (*SMALL, "--network.width", 4)
    found = carry_out("natmu_cifar100_class", cifar100, "class:rocket", flags=flags)
    (made,) = found.values()
    np.testing.assert_array_equal(made.forget.id, [69, 169])
    np.testing.assert_array_equal(np.flatnonzero(made.test_forgotten), [69])
    assert made.audit["request"]["class_wise"]
    arguments = made.arguments
    assert (arguments["learning_rate"], arguments["weight_decay"]) == (2.8e-4, 0)
    assert (arguments["delta"], arguments["reinit_linear"]) == (-0.053, True)
    kernel, before = made.linear(), made.linear(seed=0)
    assert kernel.shape == (16, 100)
    # Xavier normal, gain sqrt(2); 1600 draws tell its deviation to 2 %.
    assert kernel.std() == pytest.approx((4 / 116) ** 0.5, rel=0.08)
    assert abs(np.corrcoef(kernel.ravel(), before.ravel())[0, 1]) < 0.15


def test_a_class_inside_a_superclass_of_cifar20_is_forgotten(carry_out, cifar100):
    found = carry_out("natmu_cifar20_subclass", cifar100, "subclass:rocket", flags=SMALL)
    (made,) = found.values()
    np.testing.assert_array_equal(made.forget.id, [69, 169])
    assert made.forget.logits.shape == (2, 20)
    # Labels are superclasses, of which others remain.
    assert len(set(made.forget.label)) == 1
    retained = made.bank.train.label[~np.isin(made.bank.train.id, made.forget.id)]
    assert (retained == made.forget.label[0]).sum() == 8
    arguments = made.arguments
    assert (arguments["learning_rate"], arguments["weight_decay"]) == (9e-4, 3.7e-4)
    assert (arguments["delta"], arguments["reinit_linear"]) == (-0.053, False)


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official index files are not here")
@pytest.mark.parametrize("kind", ["random", "hardest"])
@pytest.mark.parametrize("share", [1, 10])
@pytest.mark.parametrize(
    ("name", "size"), [("cifar10", 50_000), ("cifar100", 50_000), ("tinyimagenet", 100_000)]
)
def test_the_official_index_files_are_read_as_requests(kind, share, name, size):
    path = OFFICIAL / f"{name}_{kind}_{share}pct.npy"
    image, label = np.zeros((size, 1, 1, 1), np.uint8), np.arange(size) % 10
    train = Examples(image, label.astype(np.int32), np.arange(size))
    test = Examples(image[:10], train.label[:10], np.arange(10))
    dataset = Dataset("blank", train, test, 10, tuple("0123456789"))
    request = make_request(f"ids:{path}", dataset)
    assert len(request.ids) == size * share // 100
    np.testing.assert_array_equal(request.ids, np.sort(np.load(path)))
