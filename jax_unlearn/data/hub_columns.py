"""Which columns of a Hugging Face data set are its images and labels, and what labels mean."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn.core import InputError, check_choice
from jax_unlearn.wording import counted

LABEL_NAMES = ("label", "labels")
"""Columns that are labels where no column is typed as such."""


def find_columns(
    datasets: Any, source: str, features: Mapping[str, Any], columns: Sequence[str]
) -> tuple[str, str]:
    """The image and the label column: those named, or the only ones of their types.

    Args:
      datasets: the package.
      source: what messages begin with.
      features: by column its type.
      columns: names of both, or none.

    Raises:
      InputError: there is no column of a type or of a name, or there are several.
    """
    if columns:
        image, label = columns
        for name in (image, label):
            check_choice(f"{source}: columns", name, features)
        return image, label
    typed = {
        kind: [name for name, feature in features.items() if isinstance(feature, cls)]
        for kind, cls in (("image", datasets.Image), ("label", datasets.ClassLabel))
    }
    labels = typed["label"] or [name for name in features if name in LABEL_NAMES]
    return (
        _only(source, "image", typed["image"], features),
        _only(source, "label", labels, features),
    )


def _only(source: str, kind: str, found: Sequence[str], features: Mapping[str, Any]) -> str:
    if len(found) == 1:
        return found[0]
    what = f"several {kind} columns, {', '.join(found)}" if found else f"no {kind} column"
    there = "" if found else f" among {', '.join(features)}"
    raise InputError(
        f"{source}: has {what}{there}: expected one; pass columns=IMAGE LABEL with the names of "
        "both"
    )


def make_labels(
    source: str, tables: Mapping[str, Any], column: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels of every split, and the names of the classes.

    Where the column is not typed as labels, the sorted values of the training split are the
    classes.

    Args:
      source: what messages begin with.
      tables: by split the table; ``train`` among them.
      column: name of the label column.

    Returns:
      int32 [N] by split, and K names.

    Raises:
      InputError: a label is missing, or does not occur in the training split.
    """
    values = {split: table.select_columns([column])[:][column] for split, table in tables.items()}
    for split, some in values.items():
        empty = [row for row, value in enumerate(some) if value is None]
        if empty or not len(some):
            raise InputError(
                f"{source}: {split} has {counted(len(empty), 'row')} of {len(some)} without "
                f"{column}, row {(empty or [0])[0]} the first: expected a label for every image; "
                "leave them out"
            )
    names = getattr(tables["train"].features[column], "names", None)
    if names is not None:
        _check_names(source, tables, column, names)
        return {s: np.asarray(v, np.int32) for s, v in values.items()}, tuple(map(str, names))
    return _numbered(source, values, column)


def _check_names(source: str, tables: Mapping[str, Any], column: str, names: Sequence[str]) -> None:
    for split, table in tables.items():
        if getattr(table.features.get(column), "names", None) != names:
            raise InputError(
                f"{source}: the classes of {split} are not those of train: expected the same names "
                f"in the same order in {column}; cast one to the other's"
            )


def _numbered(
    source: str, values: Mapping[str, Sequence[Any]], column: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    if not all(isinstance(value, (str, int)) for some in values.values() for value in some):
        raise InputError(
            f"{source}: {column} holds neither whole numbers nor texts: expected classes; pass "
            "columns=IMAGE LABEL with another"
        )
    known = {value: number for number, value in enumerate(sorted(set(values["train"])))}
    for split, some in values.items():
        new = sorted({str(value) for value in some if value not in known})
        if new:
            raise InputError(
                f"{source}: {split} has {column} {', '.join(new[:3])}, which train lacks: expected "
                "the classes of train; leave these rows out"
            )
    labels = {s: np.array([known[v] for v in some], np.int32) for s, some in values.items()}
    return labels, tuple(map(str, known))
