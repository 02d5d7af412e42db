"""Models of one audit belong to one request, in one order, and broken ones are flagged."""

import numpy as np
import pytest

from jax_unlearn.audit.comparison.models import Run, gather_models
from jax_unlearn.core import InputError, Outputs, Predictions


@pytest.fixture(scope="module")
def oracles(simulate):
    return [Run(simulate(s, lead=4.0, train=80, test=40), s) for s in range(3)]


@pytest.fixture(scope="module")
def unlearned(simulate):
    return simulate(20, lead=4.0, train=80, test=40)


def _shuffled(predictions, seed=0):
    rng = np.random.default_rng(seed)
    parts, order = [], None
    for outputs in predictions[:3]:
        order = rng.permutation(len(outputs.label))
        parts.append(Outputs(*(column[order] for column in outputs)))
    return Predictions(*parts, predictions.test_forgotten[order])


def _change(predictions, split, **fields):
    return predictions._replace(**{split: getattr(predictions, split)._replace(**fields)})


def test_examples_are_matched_by_id(oracles, unlearned, same_predictions):
    models = gather_models(oracles, {"mine": [Run(_shuffled(unlearned))]})
    assert same_predictions(models.methods["mine"].runs[0].predictions, unlearned)


def test_the_forgotten_mask_follows_the_test_examples(simulate, same_predictions):
    given = [simulate(s, class_wise=True, train=80, test=40) for s in range(2)]
    models = gather_models([Run(given[0])], {"mine": [Run(_shuffled(given[1]))]})
    assert same_predictions(models.methods["mine"].runs[0].predictions, given[1])


def test_runs_with_nan_are_flagged_and_others_stay(oracles, unlearned, map_logits):
    broken = map_logits(unlearned, lambda logits: logits * np.nan)
    models = gather_models(oracles, {"mine": [Run(broken, 0), Run(unlearned, 1)]})
    mine = models.methods["mine"]
    assert mine.collapsed == (True, False)
    assert [run.seed for run in mine.kept] == [1]
    assert mine.flags == ["1 of 2 collapsed"]


def test_a_reported_collapse_is_believed(oracles, unlearned):
    models = gather_models(oracles, {"mine": [Run(unlearned, 0, status="collapsed")]})
    assert models.methods["mine"].kept == ()
    assert models.methods["mine"].statuses == {"collapsed": 1}


def test_predictions_of_the_original_are_no_unlearning(oracles, unlearned):
    models = gather_models(oracles, {"mine": [Run(unlearned, 5)]}, [Run(unlearned, 5)])
    assert models.methods["mine"].no_op == (True,)
    assert models.methods["mine"].flags == ["1 of 1 no-op"]


def test_a_run_that_collapsed_at_once_is_not_called_idle_too(oracles, unlearned):
    """Its last good weights are the original's."""
    originals = [Run(unlearned, 4), Run(unlearned, 5)]
    lost = Run(unlearned, 4, status="collapsed")
    models = gather_models(oracles, {"mine": [lost, Run(unlearned, 5)]}, originals)
    assert models.methods["mine"].flags == ["1 of 2 collapsed", "1 of 2 no-op"]


def test_broken_oracles_are_left_out(oracles, unlearned, map_logits):
    broken = map_logits(oracles[0].predictions, lambda logits: logits * np.nan)
    models = gather_models([Run(broken, 9), *oracles], {"mine": [Run(unlearned)]})
    assert [run.seed for run in models.oracle.kept] == [0, 1, 2]


def _message(*arguments):
    with pytest.raises(InputError) as error:
        gather_models(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_other_ids_are_another_request(oracles, unlearned):
    ids = unlearned.forget.id + 10_000
    message = _message(oracles, {"mine": [Run(_change(unlearned, "forget", id=ids), 3)]})
    assert message.startswith("mine[seed 3]: forget_id lacks ")
    assert "predict them for the oracles' request" in message


def test_other_labels_are_named(oracles, unlearned):
    label = (unlearned.retain.label + 1) % 10
    message = _message(oracles, {"mine": [Run(_change(unlearned, "retain", label=label))]})
    assert message.startswith("mine[0]: retain_label=")
    assert "number the classes alike" in message


def test_other_numbers_of_classes_are_named(oracles, unlearned, map_logits):
    wide = map_logits(unlearned, lambda logits: np.pad(logits, ((0, 0), (0, 2))))
    assert "12 classes: expected the oracles' 10" in _message(oracles, {"mine": [Run(wide)]})


def test_other_forgotten_classes_are_named(oracles, unlearned):
    mask = unlearned.test.label == 3
    message = _message(oracles, {"mine": [Run(unlearned._replace(test_forgotten=mask))]})
    assert "class-wise against the oracles' sample-wise request" in message


def test_logits_of_another_shape_are_named(oracles, unlearned):
    cut = _change(unlearned, "test", logits=unlearned.test.logits[:-1])
    assert "mine[0]: test_label=" in _message(oracles, {"mine": [Run(cut)]})


def test_a_seed_comes_once(oracles, unlearned):
    message = _message(oracles, {"mine": [Run(unlearned, 1), Run(unlearned, 1)]})
    assert message.startswith("mine: seed 1 comes 2 times")


def test_there_is_an_oracle(unlearned):
    assert _message([], {"mine": [Run(unlearned)]}).startswith("oracle=[]: expected one model")


def test_there_is_an_oracle_that_works(oracles, unlearned, map_logits):
    broken = map_logits(oracles[0].predictions, lambda logits: logits * np.nan)
    message = _message([Run(broken)], {"mine": [Run(unlearned)]})
    assert message.startswith("oracle: the logits of every model hold NaN")


def test_an_oracle_that_guesses_is_no_oracle(oracles, unlearned, map_logits):
    guess = map_logits(oracles[0].predictions, np.zeros_like)
    models = gather_models([Run(guess)], {"mine": [Run(unlearned)]})
    assert (models.oracle.kept, models.oracle.flags) == ((), ["1 of 1 collapsed"])
    assert len(models.methods["mine"].kept) == 1


def test_a_method_has_a_name_of_its_own(oracles, unlearned):
    message = _message(oracles, {"oracle": [Run(unlearned)]})
    assert message.startswith("methods='oracle': one of the audit's own rows")


def test_a_method_has_a_model(oracles):
    assert _message(oracles, {"mine": []}).startswith("mine=[]: expected one model or more")


@pytest.mark.parametrize("seeds", [(None, 5), (5, None), (None, None)])
def test_without_seeds_every_original_is_looked_at(oracles, unlearned, seeds):
    mine, theirs = seeds
    original = [Run(oracles[0].predictions, 0), Run(unlearned, theirs)]
    models = gather_models(oracles[1:], {"mine": [Run(unlearned, mine)]}, original)
    assert models.methods["mine"].no_op == (True,)


def test_probabilities_are_no_logits(oracles, unlearned, map_logits):
    def softmax(logits):
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    given = map_logits(unlearned, softmax)
    with pytest.raises(InputError, match=r"mine\[seed 3\]: forget_logits=rows .*log\(p\)"):
        gather_models(oracles, {"mine": [Run(given, 3)]})
    gather_models(oracles, {"mine": [Run(map_logits(given, lambda p: np.log(p)), 3)]})


def _softmax(logits, *, dtype=np.float64):
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (odds / odds.sum(axis=1, keepdims=True)).astype(dtype).astype(np.float32)


@pytest.mark.parametrize("split", ["forget", "retain", "test"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_softmax, r"sum to 1: .*softmax probabilities; store log\(p\) or the logits"),
        (lambda z: _softmax(z, dtype=np.float16), "sum to 1"),
        (lambda z: 100.0 * _softmax(z), r"sum to 100: .*percentages; store log\(p / 100\)"),
        (lambda z: np.round(100.0 * _softmax(z), 1), "sum to 100"),
    ],
    ids=["probabilities", "float16", "percent", "rounded"],
)
def test_shares_in_one_set_are_seen(oracles, unlearned, split, change, message):
    given = _change(unlearned, split, logits=change(getattr(unlearned, split).logits))
    with pytest.raises(InputError, match=rf"mine\[0\]: {split}_logits=rows in .* {message}"):
        gather_models(oracles, {"mine": [Run(given)]})
