"""The forget examples on which methods differ most, from stored predictions, with their images."""

import base64
import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn import data
from jax_unlearn.audit.measures.probabilities import softmax
from jax_unlearn.audit.records.stores import Item, read_item
from jax_unlearn.core import InputError

from ..shared.loading import load_data
from ..shared.reading import starting_settings
from .reading import Audit

Columns = dict[str, np.ndarray]
"""By the title of a column: mean probability of the true class, float [forget]."""


@dataclasses.dataclass(frozen=True)
class Differing:
    """Forget examples, those that differ most first.

    Attributes:
      ids: int [E].
      labels: int [E].
      columns: of each row of the audits, float [E].
    """

    ids: np.ndarray
    labels: np.ndarray
    columns: Columns


def differing(
    audits: Sequence[Audit], titles: Mapping[tuple[str, str], str], count: int
) -> Differing:
    """Find the examples whose probabilities lie farthest apart between methods and oracles.

    Args:
      audits: of one set of forget examples.
      titles: of the columns, by run and row.
      count: how many examples.

    Returns:
      The examples.

    Raises:
      InputError: predictions of the audits are not where they were.
    """
    first = audits[0]
    columns: Columns = {}
    known = None
    for audit in audits:
        for name, files in _files(audit.record).items():
            title = titles.get((audit.run, name))
            if title is None or (name in ("oracle", "original") and audit is not first):
                continue
            probabilities, known = _mean(audit, files, known)
            columns[title] = probabilities
    if known is None or len(columns) < 2:
        raise InputError("examples: the audits name no predictions of two rows or more")
    every = np.stack(list(columns.values()))
    order = np.argsort(-(every.max(axis=0) - every.min(axis=0)), kind="stable")[:count]
    ids, labels = (np.asarray(column)[order] for column in known)
    return Differing(ids, labels, {title: values[order] for title, values in columns.items()})


def load_images(audits: Sequence[Audit], data_dir: str | None) -> data.Dataset:
    """Load the data of the first run that says which it used.

    Raises:
      InputError: none says so, or its data is not there or is not the run's.
    """
    audit = next((audit for audit in audits if audit.config.is_file()), None)
    if audit is None:
        raise InputError("no run's config.json says which data it is; name the run's folder")
    settings = starting_settings(["--config", str(audit.config)])
    place = settings.data.dir if data_dir is None else data_dir
    moved = dataclasses.replace(settings.data, dir=place)
    dataset = load_data(dataclasses.replace(settings, data=moved))
    recorded = json.loads(audit.config.read_text())["settings"].get("data_fingerprint")
    if recorded not in (None, dataset.fingerprint):
        raise InputError("other data is there than the run's; name its folder by --data-dir")
    return dataset


def images_of(dataset: data.Dataset, ids: np.ndarray) -> list[str]:
    """Encode training images as data URIs of PNG, '' for an id that the data has not."""
    rows = {int(one): row for row, one in enumerate(dataset.train.id)}
    return [_png(dataset.train.image, rows[int(i)]) if int(i) in rows else "" for i in ids]


def _png(images: Any, row: int) -> str:
    from PIL import Image

    image = np.asarray(images[np.array([row])])[0]
    if image.shape[-1] not in (1, 3):
        return ""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _files(record: Mapping[str, Any]) -> dict[str, list[pathlib.PurePath]]:
    """Files of predictions by row."""
    methods = record["models"]["methods"].items()
    given = dict(record.get("files") or {}) | {name: m.get("files") for name, m in methods}
    return {
        name: [pathlib.PurePath(file["path"]) for file in files]
        for name, files in given.items()
        if files
    }


def _mean(audit: Audit, files: Sequence[pathlib.PurePath], known: Any) -> tuple[np.ndarray, Any]:
    """Mean over models of the probability of the true class, in the order of the first model."""
    found = []
    for file in files:
        outputs = read_item(Item(audit.folder / file), audit.record["request"]["hash"]).forget
        if known is None:
            known = outputs.id, outputs.label
        where = {int(one): row for row, one in enumerate(outputs.id)}
        order = [where[int(one)] for one in known[0]]
        chosen = softmax(outputs.logits)[order, np.asarray(outputs.label)[order]]
        found.append(chosen)
    # Models that collapsed to NaN say nothing.
    sound = [values for values in found if np.isfinite(values).all()]
    return np.mean(sound or found, axis=0), known
