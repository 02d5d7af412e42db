"""Which predictions may be audited together: same seeds, same examples, a finite oracle."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jax_unlearn.audit.measures.accuracy import is_class_wise
from jax_unlearn.audit.predictions import SPLITS, check_predictions
from jax_unlearn.core import InputError, Predictions, check_choice


def check_models(
    models: Mapping[str, Sequence[Predictions]], oracle: str
) -> dict[str, list[Predictions]]:
    """Return every model's predictions with their declared dtypes, one per seed.

    Args:
      models: name -> one Predictions per seed.
      oracle: name of the model that all others are compared with.

    Raises:
      InputError: if the numbers of seeds differ, predictions are malformed, ids, labels or the
        number of classes are not the oracle's, the oracle's logits are not finite, or seeds mix
        class-wise with sample-wise requests.
    """
    for name, runs in models.items():
        if isinstance(runs, Predictions) or not isinstance(runs, Sequence):
            raise InputError(
                f"{name}={type(runs).__name__}: expected a list with one Predictions per seed"
            )
    seeds = len(models[oracle])
    if not seeds:
        raise InputError(f"{oracle}=[]: expected at least one seed; retrain without the forget set")
    for name, runs in models.items():
        if len(runs) != seeds:
            raise InputError(
                f"{name}={len(runs)} seeds: expected {seeds}, one per {oracle}; "
                "give every model the same seeds in the same order"
            )
    checked = {
        name: [check_predictions(run, f"{name}[{s}]") for s, run in enumerate(runs)]
        for name, runs in models.items()
    }
    for s, target in enumerate(checked[oracle]):
        _check_oracle(target, checked[oracle][0], f"{oracle}[{s}]")
    for name, runs in checked.items():
        for s, (run, target) in enumerate(zip(runs, checked[oracle], strict=True)):
            for what in _disagreements(run, target):
                raise InputError(
                    f"{name}[{s}]: {what} differs from {oracle}[{s}]'s: expected the same "
                    "examples in the same order; predict both on one request"
                )
    return checked


def check_per_seed(
    argument: str, given: Mapping[str, Sequence], models: Mapping[str, Sequence], seeds: int
) -> None:
    """Raise InputError unless ``given`` holds ``seeds`` entries for each model it names."""
    for name, entries in given.items():
        check_choice(argument, name, models)
        if isinstance(entries, str) or len(entries) != seeds:
            raise InputError(
                f"{argument}[{name!r}]={entries!r}: expected {seeds} entries, one per seed"
            )


def _check_oracle(oracle: Predictions, first: Predictions, source: str) -> None:
    if not all(np.isfinite(outputs.logits).all() for outputs in oracle[:3]):
        raise InputError(
            f"{source}=logits with NaN or infinity: expected finite logits; retrain it"
        )
    if is_class_wise(oracle) != is_class_wise(first):
        raise InputError(
            f"{source}: test_forgotten marks a class in some seeds only: expected one kind of "
            "request; audit class-wise and sample-wise requests apart"
        )


def _disagreements(run: Predictions, oracle: Predictions) -> Iterator[str]:
    for split in SPLITS:
        mine, theirs = getattr(run, split), getattr(oracle, split)
        for field in ("id", "label"):
            if not np.array_equal(getattr(mine, field), getattr(theirs, field)):
                yield f"{split}_{field}"
        if mine.logits.shape != theirs.logits.shape:
            yield f"the number of classes in {split}_logits"
    if not np.array_equal(run.test_forgotten, oracle.test_forgotten):
        yield "test_forgotten"
