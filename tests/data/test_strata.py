"""Forget sets chosen by what models say of the images."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.data import (
    make_request,
    memorization,
    memorization_groups,
    memorization_strata,
    parse_request,
)
from jax_unlearn.data.request_making import Scores
from jax_unlearn.data.strata import by_memorization, entangled, entanglement, worst
from jax_unlearn.engine.sequences import step_problems
from jax_unlearn.testing import small_model

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def rum():
    """Scores and groups by the code that the authors of RUM released."""
    with np.load(GOLDEN / "zoo/others/rum.npz") as stored:
        return dict(stored)


def test_memorization_is_the_released_codes_with_an_empty_mean_taken_for_zero(rum):
    scores = memorization(rum["correct"], rum["in_training"])
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, rum["memorization"])
    assert rum["in_training"].all(axis=0).any()


@pytest.mark.parametrize("size", [10, 20])
@pytest.mark.parametrize("name", ["low", "mid", "high", "mix"])
def test_strata_are_the_released_codes_in_its_order(rum, size, name):
    found = memorization_strata(memorization(rum["correct"], rum["in_training"]), size)
    np.testing.assert_array_equal(found[name], rum[f"n{size}_{name}"])


def problem_of(rum, size):
    """Sixty examples whose forget set is RUM's three groups."""
    groups = memorization_strata(rum["memorization"], size)
    ids = np.arange(60)
    gone = np.isin(ids, np.concatenate([groups[name] for name in ("low", "mid", "high")]))
    examples = ju.Examples(np.zeros((60, 4, 4, 1), np.uint8), np.zeros(60, np.int32), ids)
    forget, retain = (ju.Examples(*(c[rows] for c in examples)) for rows in (gone, ~gone))
    problem = ju.Problem(small_model(), None, forget, retain, num_classes=5)
    return problem, [groups[name] for name in ("low", "mid", "high")]


def test_rum_retains_at_each_step_what_the_released_code_retains(rum):
    problem, parts = problem_of(rum, 10)
    for name, seen in zip(("low", "mid", "high"), step_problems(problem, parts), strict=True):
        assert set(seen.forget.id) == set(rum[f"n10_{name}"])
        np.testing.assert_array_equal(np.sort(seen.retain.id), rum[f"n10_{name}_retain"])


@pytest.mark.parametrize("number", [1, 3, 4])
def test_a_forget_set_is_refined_into_groups_of_rising_memorization(rum, number):
    scores = memorization(rum["correct"], rum["in_training"])[:25]
    groups = memorization_groups(scores, number)
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(25))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    for lower, higher in itertools.pairwise(groups):
        assert scores[lower].max() <= scores[higher].min()
    with pytest.raises(InputError, match=r"^number=26: expected a whole number >= 1 and <= 25"):
        memorization_groups(scores, 26)


@pytest.mark.parametrize("text", ["random:0.2,seed=3", "hardest:12", "worst:0.2"])
def test_a_request_refined_by_text_is_its_groups_in_order(dataset, text):
    rng = np.random.default_rng(0)
    memorized, others = rng.random(60), rng.random(60)

    def scores(spec):
        return Scores(memorized if spec.kind == "memorization" else others, {"models": 9})

    whole = make_request(text, dataset, scores)
    steps = [f"{text},group={number}/3" for number in (1, 2, 3)]
    sequence = make_request("-then-".join(steps), dataset, scores)
    np.testing.assert_array_equal(sequence.ids, whole.ids)
    rows = np.flatnonzero(np.isin(dataset.train.id, whole.ids))
    expected = [dataset.train.id[rows[g]] for g in memorization_groups(memorized[rows], 3)]
    for found, ids in zip(sequence.steps, expected, strict=True):
        np.testing.assert_array_equal(found, np.sort(ids))
    alone = make_request(steps[1], dataset, scores)
    np.testing.assert_array_equal(alone.ids, sequence.steps[1])
    assert len({whole.hash, alone.hash, sequence.hash}) == 3
    spec = parse_request(steps[1])
    assert spec.by_halves
    assert not spec.exact
    with pytest.raises(InputError, match=r"^group='2/13': 12 images are refined: expected no more"):
        make_request(f"{text},group=2/13", dataset, scores)
    if text.startswith("random"):
        with pytest.raises(InputError, match="chooses by how much models of random halves"):
            make_request(steps[0], dataset)


def test_groups_that_overlap_are_no_sequence(rum):
    problem, parts = problem_of(rum, 20)
    with pytest.raises(InputError, match=r"^parts: 2 ids in more than one, 22 the first"):
        step_problems(problem, parts)


def test_a_stratum_is_a_request_whose_hash_knows_it(dataset):
    scores = np.linspace(0, 1, 60).astype(np.float32)
    made = {name: by_memorization(dataset, scores, name, count=6) for name in ("low", "high")}
    np.testing.assert_array_equal(made["high"].ids, np.sort(dataset.train.id[-6:]))
    np.testing.assert_array_equal(made["low"].ids, np.sort(dataset.train.id[:6]))
    other = by_memorization(dataset, scores, "high", count=6, arguments={"models": 9})
    assert other.hash != made["high"].hash
    by_text = make_request("memorization:high,6", dataset, lambda spec: Scores(scores))
    assert by_text.hash == made["high"].hash


def test_the_worst_are_those_that_models_know_unseen(dataset):
    losses = np.arange(60.0)
    made = worst(dataset, losses, fraction=0.1)
    np.testing.assert_array_equal(made.ids, np.sort(dataset.train.id[:6]))
    assert make_request("worst:0.1", dataset, lambda spec: Scores(losses)).hash == made.hash


def test_the_entanglement_score_is_the_papers_on_a_line():
    """Forget at 1 and 3, retain at -1 and -3: means 2 and -2 of a middle of 0."""
    features = np.array([[1.0], [3.0], [-1.0], [-3.0]])
    found = entanglement(features, np.array([True, True, False, False]))
    # Each set is 1 from its mean on average; half of 4 + 4 lies between.
    assert found == pytest.approx((1 + 1) / 4)


def test_sets_from_the_middle_are_the_most_entangled(dataset):
    features = np.random.default_rng(0).normal(size=(60, 5))
    scores = {}
    for level in ("low", "mid", "high"):
        request = entangled(dataset, features, level, count=10)
        assert len(request.ids) == 10
        scores[level] = entanglement(features, np.isin(dataset.train.id, request.ids))
        by_text = make_request(f"entangled:{level},10", dataset, lambda spec: Scores(features))
        assert by_text.hash == request.hash
    distance = np.square(features - features.mean(axis=0)).sum(axis=1)
    inner = np.isin(dataset.train.id, entangled(dataset, features, "high", count=10).ids)
    assert distance[inner].max() <= distance[~inner].min()
    assert len({f"{value:.6f}" for value in scores.values()}) == 3


def test_the_neighbours_that_are_watched_are_the_nearest_retained(dataset):
    features = np.random.default_rng(1).normal(size=(60, 3))
    request = entangled(dataset, features, "high", count=8)
    gone = np.isin(dataset.train.id, request.ids)
    nearest = {
        dataset.train.id[~gone][np.square(features[~gone] - features[row]).sum(axis=1).argmin()]
        for row in np.flatnonzero(gone)
    }
    assert (request.focus.measure, request.focus.split) == ("adjacent_accuracy", "train")
    assert set(request.focus.id) == nearest
    label = dict(zip(dataset.train.id, dataset.train.label, strict=True))
    assert [label[i] for i in request.focus.id] == list(request.focus.label)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: by_memorization(d, np.zeros(59), "low", 0.1), r"memorization=float64 \[59\]"),
        (lambda d: by_memorization(d, np.zeros(60), "lower", 0.1), r"stratum='lower': did you"),
        (lambda d: by_memorization(d, np.zeros(60), "low"), r"expected exactly one of them"),
        (lambda d: worst(d, np.full(60, np.nan), 0.1), r"losses=.*expected finite floats"),
        (lambda d: entangled(d, np.zeros(60), "low", 0.1), r"features=float64 \[60\]"),
        (lambda d: entangled(d, np.zeros((60, 2)), "mix", 0.1), r"level='mix'"),
    ],
)
def test_what_does_not_fit_is_refused(dataset, make, message):
    with pytest.raises(InputError, match=message) as caught:
        make(dataset)
    assert "\n" not in str(caught.value)
