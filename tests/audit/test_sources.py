"""Predictions made elsewhere are found however they lie: one folder, patterns, commas."""

import numpy as np
import pytest

from jax_unlearn.audit import save_predictions
from jax_unlearn.audit.records.sources import gather_sources
from jax_unlearn.audit.records.stores import Sources
from jax_unlearn.core import InputError, Outputs, Predictions


def outputs(rng, ids):
    logits = rng.normal(size=(len(ids), 3)).astype(np.float32)
    return Outputs(logits, np.asarray(ids) % 3, np.asarray(ids))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of originals, oracles and two methods."""
    path, rng = tmp_path_factory.mktemp("predictions"), np.random.default_rng(0)
    for name, count in {"original": 1, "oracle": 4, "natmu": 2, "salun": 2}.items():
        for seed in range(count):
            parts = (outputs(rng, ids) for ids in (range(4), range(4, 12), range(20, 26)))
            predictions = Predictions(*parts, np.zeros(6, bool))
            save_predictions(path / f"{name}-{seed}.npz", predictions)
    return path


def found(*targets, oracles="", originals=()):
    (sources,) = gather_sources(targets, oracles, originals, ["mine"])
    groups = {"original": sources.original, "oracle": sources.oracle, **sources.methods}
    return {name: [item.path.name for item in items] for name, items in groups.items()}


def files(**counts):
    return {name: [f"{name}-{seed}.npz" for seed in range(n)] for name, n in counts.items()}


EVERYTHING = files(original=1, oracle=4, natmu=2, salun=2)


def test_one_folder_holds_originals_oracles_and_methods_by_their_names(folder):
    assert found(str(folder)) == EVERYTHING
    assert found(oracles=str(folder)) == EVERYTHING


def test_patterns_and_commas_name_the_same_files(folder):
    given = {"oracles": f"{folder}/oracle-*.npz", "originals": (f"{folder}/original-*.npz",)}
    assert found(f"{folder}/[ns]*.npz", **given) == EVERYTHING
    assert found(f"{folder}/natmu-?.npz", f"salun={folder}/sal*.npz", **given) == EVERYTHING
    commas = ",".join(str(folder / name) for name in EVERYTHING["oracle"])
    assert found(f"natmu={folder}/natmu-0.npz,{folder}/natmu-1.npz", oracles=commas) == files(
        original=0, oracle=4, natmu=2
    )


def test_a_folder_beside_named_oracles_adds_its_methods(folder):
    given = found(str(folder), oracles=f"{folder}/oracle-*.npz")
    assert given == EVERYTHING


def test_an_unquoted_pattern_of_oracles_is_not_taken_for_a_method(folder):
    with pytest.raises(InputError, match=r"called oracle, and given as unlearned: .*in quotes"):
        found(f"{folder}/oracle-1.npz", oracles=f"{folder}/oracle-0.npz")


def test_a_pattern_without_a_file_is_refused(folder):
    with pytest.raises(InputError, match=r"no such file, bank, run or folder"):
        found(f"natmu={folder}/none-*.npz", oracles=f"{folder}/oracle-*.npz")


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("class:3", "class-3"),
        ("random:0.2,group=1/3", "random-0.2-group1-3"),
        ("random:0.1,seed=3", "random-0.1-seed3"),
        ("class:3-then-class:5", "class-3-then-class-5"),
        # Of files a request may be called anything.
        ("those with a hat", "those-with-a-hat"),
        ("", "0123456789ab"),
    ],
)
def test_a_requests_folder_is_called_as_in_a_run_of_it(text, slug):
    assert Sources("0123456789abcdef", text).slug == slug
