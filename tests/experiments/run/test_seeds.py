"""Seeds of training, of requests and of unlearning, each by itself."""

import dataclasses

import numpy as np
import pytest

from experiments.bank import command as bank_command
from experiments.shared.config import Experiment
from jax_unlearn import audit
from jax_unlearn.audit.records.sources import gather_sources
from jax_unlearn.audit.records.stores import read_runs
from jax_unlearn.bank import open_bank
from jax_unlearn.core import InputError

# Its models, one of each kind, train for longer than their few programs take to compile.
pytestmark = pytest.mark.runs_long

FLAGS = (
    *("--data.train-size", 200, "--data.test-size", 60, "--data.padding", 0, "--data.no-flip"),
    *("--network.width", 8, "--training.epochs", 5, "--training.batch-size", 20, "--count", 1),
    *("--methods", "finetune", "--set", "finetune.batch_size=20", "finetune.epochs=1"),
)


@pytest.fixture(scope="module")
def path(call, tmp_path_factory):
    path = tmp_path_factory.mktemp("seeds") / "bank"
    seeds = ("--requests", "random:0.1", "--request-seeds", 0, 4, "--unlearning-seeds", 7, 8)
    done = call(bank_command.main, *FLAGS, *seeds, "--out", path)
    assert done.code == 0, done.err
    return path


def test_a_random_request_is_drawn_with_each_seed_of_requests(path):
    bank = open_bank(path)
    assert sorted(bank.requests().values()) == ["random:0.1", "random:0.1,seed=4"]


def test_one_original_is_unlearned_with_each_seed_of_unlearning(path):
    bank = open_bank(path)
    (original,) = bank.records("original")
    by_text = {text: hash_ for hash_, text in bank.requests().items()}
    records = bank.records("unlearned", by_text["random:0.1"])
    assert {record.ingredients["method"]["seed"] for record in records} == {7, 8}
    assert {record.ingredients["original"] for record in records} == {original.address}
    one, other = (bank.outputs(record)[0].logits for record in records)
    assert np.abs(one - other).max() > 0


def test_an_audit_takes_them_as_two_models_of_one_row(path):
    (sources,) = gather_sources([], str(path), [], ["random:0.1"])
    assert len(sources.methods["finetune"]) == 2
    runs = read_runs(sources.methods["finetune"], sources.hash)
    assert {(run.seed, run.draw) for run in runs} == {(0, 7), (0, 8)}
    oracles = read_runs(sources.oracle, sources.hash)
    models = audit.gather_models(oracles, {"finetune": runs})
    assert len(models.methods["finetune"].runs) == 2
    same = [dataclasses.replace(run, draw=7) for run in runs]
    with pytest.raises(InputError, match=r"finetune: seed 0 comes 2 times"):
        audit.gather_models(oracles, {"finetune": same})


def test_the_table_says_which_seeds_varied():
    varied = Experiment(seeds=(0, 1)).varied
    assert varied == (
        "training seeds 0 and 1, each unlearned with the same seed; one draw of the request"
    )
    varied = Experiment(seeds=(0,), unlearning_seeds=(5, 6)).varied
    assert varied == "training seeds 0, each with unlearning seeds 5 and 6; one draw of the request"
