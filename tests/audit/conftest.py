"""Made-up models whose forgetting is known because it is put in."""

import numpy as np
import pytest

from jax_unlearn.core import Outputs, Predictions

CLASSES = 10
FORGOTTEN_CLASS = 3


def _simulate(seed, *, lead=8.0, class_wise=False, train=600, test=400):
    """A model that leads for the true class by ``lead`` on forget and by 8 on retain images."""
    data = np.random.default_rng(7)
    label = data.integers(0, CLASSES, train).astype(np.int32)
    test_label = data.integers(0, CLASSES, test).astype(np.int32)
    chosen = label == FORGOTTEN_CLASS if class_wise else data.random(train) < 0.2
    forgotten = (test_label == FORGOTTEN_CLASS) & class_wise
    rng = np.random.default_rng([seed, 11])

    def logits(labels, leads):
        drawn = rng.normal(size=(len(labels), CLASSES))
        drawn[np.arange(len(labels)), labels] += leads * rng.gamma(3.0, 1.0 / 3.0, len(labels))
        return drawn.astype(np.float32)

    ids = np.arange(train, dtype=np.int64)
    return Predictions(
        Outputs(logits(label[chosen], lead), label[chosen], ids[chosen]),
        Outputs(logits(label[~chosen], 8.0), label[~chosen], ids[~chosen]),
        Outputs(
            logits(test_label, np.where(forgotten, lead, 4.0)),
            test_label,
            np.arange(test, dtype=np.int64),
        ),
        forgotten,
    )


def _map_logits(predictions, change):
    return Predictions(
        *(o._replace(logits=change(o.logits)) for o in predictions[:3]), predictions.test_forgotten
    )


@pytest.fixture(scope="session")
def simulate():
    return _simulate


@pytest.fixture(scope="session")
def map_logits():
    return _map_logits


@pytest.fixture(scope="session")
def same_predictions():
    def same(a, b):
        return all(
            np.array_equal(x, y, equal_nan=x.dtype.kind == "f") and x.dtype == y.dtype
            for mine, theirs in zip(a[:3], b[:3], strict=True)
            for x, y in zip(mine, theirs, strict=True)
        ) and np.array_equal(a.test_forgotten, b.test_forgotten)

    return same
