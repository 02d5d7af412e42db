"""Predictions on disk: everything the audit needs of one model, in one ``.npz`` file.

The file holds ten arrays and no pickled object: ``{forget,retain,test}_{logits,label,id}`` and
``test_forgotten``, with the shapes and dtypes of :class:`jax_unlearn.core.Predictions`. Where a
request has a measure of its own, three more hold what that is taken on:
``focus_MEASURE_{logits,label,id}``.
"""

import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from jax_unlearn.core import InputError, Outputs, Predictions
from jax_unlearn.files import write_whole
from jax_unlearn.wording import counted

SPLITS, FOCUS = ("forget", "retain", "test"), "focus_"
KEYS = (*(f"{split}_{field}" for split in SPLITS for field in Outputs._fields), "test_forgotten")


def save_predictions(path: str | os.PathLike, predictions: Predictions) -> None:
    """Write predictions to an ``.npz`` file, whole or not at all.

    Args:
      path: the file; its folder is made if it is missing, an existing file is replaced.
      predictions: what to store; logits may be NaN, for a collapsed run is a result too.

    Raises:
      InputError: if the predictions are malformed, see :func:`check_predictions`.
    """
    path = Path(path)
    predictions = check_predictions(predictions, "predictions")
    arrays = {
        f"{split}_{field}": array
        for split in SPLITS
        for field, array in getattr(predictions, split)._asdict().items()
    }
    for measure, outputs in predictions.focus.items():
        columns = outputs._asdict().items()
        arrays |= {f"{FOCUS}{measure}_{field}": array for field, array in columns}
    buffer = io.BytesIO()
    np.savez(buffer, test_forgotten=predictions.test_forgotten, **arrays)
    write_whole(path, buffer.getvalue())


def load_predictions(path: str | os.PathLike) -> Predictions:
    """Read predictions that :func:`save_predictions` wrote.

    Args:
      path: the ``.npz`` file.

    Raises:
      InputError: if there is no such file, if it is damaged or foreign, or if its arrays are
        malformed, see :func:`check_predictions`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"path={str(path)!r}: no such file; expected predictions stored as .npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [key for key in KEYS if key not in stored]
            if missing:
                raise InputError(
                    f"path={str(path)!r}: lacks {', '.join(missing)}; expected the arrays "
                    "that save_predictions writes"
                )
            arrays = {key: stored[key] for key in KEYS}
            measures = [
                key.removeprefix(FOCUS).removesuffix("_label")
                for key in stored
                if key.startswith(FOCUS) and key.endswith("_label")
            ]
            focus = {
                name: Outputs(*(stored[f"{FOCUS}{name}_{field}"] for field in Outputs._fields))
                for name in measures
            }
    except InputError:
        raise
    # An .npy file opens as a bare array, which is no context manager: TypeError.
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"path={str(path)!r}: damaged or not an .npz of plain arrays "
            f"({type(error).__name__}); store the predictions again"
        ) from error
    forget, retain, test = (
        Outputs(*(arrays[f"{split}_{field}"] for field in Outputs._fields)) for split in SPLITS
    )
    found = Predictions(forget, retain, test, arrays["test_forgotten"], focus)
    return check_predictions(found, str(path))


def check_predictions(predictions: Predictions, source: str) -> Predictions:
    """Return the predictions with their declared dtypes, or say what is wrong with them.

    Args:
      predictions: outputs on the three sets; NaN and infinite logits pass.
      source: an argument's or a file's name, for the message.

    Raises:
      InputError: for an empty set, wrong shapes or kinds of number, sets that differ in their
        number of classes, labels outside [0, K), an id that comes twice in one set or in both
        training sets, a mask of another length than the test set, or probabilities or percentages
        in the place of logits in any of the three sets.
    """
    sets = [_check_outputs(getattr(predictions, s), f"{source}: {s}") for s in SPLITS]
    forget, retain, test = sets
    for split, outputs in zip(SPLITS, sets, strict=True):
        for total, name, term in ((1, "probabilities", "p"), (100, "percentages", "p / 100")):
            if _are_shares(outputs.logits, float(total)):
                raise InputError(
                    f"{source}: {split}_logits=rows in [0, {total}] that sum to {total}: expected "
                    f"logits, these look like softmax {name}; store log({term}) or the logits"
                )
    classes = [outputs.logits.shape[1] for outputs in sets]
    if len(set(classes)) > 1:
        raise InputError(
            f"{source}: number of classes={classes} for {', '.join(SPLITS)}: expected the same "
            "in all; predict all three sets with one model"
        )
    shared = np.intersect1d(forget.id, retain.id)
    if len(shared):
        raise InputError(
            f"{source}: forget_id and retain_id share {counted(len(shared), 'id')}, {shared[0]} "
            "first: expected none; split the training ids again"
        )
    forgotten = np.asarray(predictions.test_forgotten)
    if forgotten.shape != test.label.shape or forgotten.dtype != np.bool_:
        raise InputError(
            f"{source}: test_forgotten={_describe(forgotten)}: expected bool "
            f"[{len(test.label)}], one entry per test example"
        )
    if forgotten.all():
        raise InputError(
            f"{source}: test_forgotten=all True: expected some test examples of remaining "
            "classes; mark only the forgotten classes"
        )
    focus = {
        name: _check_outputs(outputs, f"{source}: {FOCUS}{name}")
        for name, outputs in predictions.focus.items()
    }
    return Predictions(forget, retain, test, forgotten, focus)


def _check_outputs(outputs: Outputs, source: str) -> Outputs:
    logits, label, ids = (np.asarray(array) for array in outputs)
    if logits.ndim != 2 or logits.dtype.kind != "f" or not logits.size:
        raise InputError(
            f"{source}_logits={_describe(logits)}: expected floating [N, K] with N, K >= 1"
        )
    for name, array in (("label", label), ("id", ids)):
        if array.shape != logits.shape[:1] or array.dtype.kind not in "iu":
            raise InputError(
                f"{source}_{name}={_describe(array)}: expected integers [{len(logits)}], "
                "one per row of logits"
            )
    if label.min() < 0 or label.max() >= logits.shape[1]:
        raise InputError(
            f"{source}_label={label.min()}..{label.max()}: expected labels in "
            f"[0, {logits.shape[1]}), one column of logits each"
        )
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        raise InputError(
            f"{source}_id={values[counts > 1][0]}: comes {counts.max()} times; expected every id "
            "once; drop the repeated rows"
        )
    return Outputs(
        logits.astype(np.float32, copy=False),
        label.astype(np.int32, copy=False),
        ids.astype(np.int64, copy=False),
    )


def _are_shares(rows: np.ndarray, total: float) -> bool:
    """Whether all rows that hold no NaN are shares of a total, as far as float16 rounds."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows) or (rows < 0.0).any():
        return False
    return bool(np.all(np.abs(rows.sum(axis=1, dtype=np.float64) / total - 1.0) < 1e-2))


def _describe(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
