"""Splits of data that comes in fewer than it takes, and the data set made of them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_unlearn.core import Examples, InputError
from jax_unlearn.data.dataset import Dataset, stratified_rows, take, warn_absent_classes
from jax_unlearn.data.image_options import ImageOptions


def make_dataset(
    name: str,
    source: str,
    splits: Mapping[str, tuple[Any, np.ndarray]],
    class_names: tuple[str, ...],
    options: ImageOptions,
    *,
    streamed: bool,
) -> Dataset:
    """Make a data set of splits as they were found, unread as yet.

    Without a test split the validation split is the test split; without either, images are drawn
    from the training split, class by class. Ids are positions in the split that was found;
    validation images count on from the training images.

    Args:
      name: of the data set.
      source: what messages begin with.
      splits: :class:`~jax_unlearn.data.lazy.LazyImages` and labels int32 [N] of ``train``, ``test``
        and ``validation``.
      class_names: K names.
      options: share and seed of the draw.
      streamed: whether images stay unread. Otherwise they are read last of all: what is drawn of
        images in memory would be in memory twice.

    Raises:
      InputError: a class has too few images for the draw, or the data set has a flaw.
    """
    found = {
        split: Examples(image, label, np.arange(len(label), dtype=np.int64))
        for split, (image, label) in splits.items()
    }
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    if "test" not in found:
        found["train"], found["test"] = _drawn(source, found["train"], class_names, options)
    if "validation" in found:
        held_out = found["validation"]
        found["validation"] = held_out._replace(id=held_out.id + len(found["train"].label))
    if not streamed:
        found = {split: _read(examples) for split, examples in found.items()}
    dataset = Dataset(name, found["train"], found["test"], len(class_names), class_names)
    dataset = dataclasses.replace(dataset, validation=found.get("validation"))
    warn_absent_classes(dataset)
    return dataset


def _read(examples: Examples) -> Examples:
    image: Any = examples.image
    return examples._replace(image=image.in_memory(np.arange(len(image))))


def _drawn(
    source: str, examples: Examples, class_names: tuple[str, ...], options: ImageOptions
) -> tuple[Examples, Examples]:
    """Training and test examples, drawn class by class."""
    labels, share = examples.label, options.test_share
    test = np.zeros(len(labels), bool)
    test[stratified_rows(labels, round(share * len(labels)), options.split_seed)] = True
    for part in (labels[test], labels[~test]):
        lost = np.setdiff1d(labels, part)
        if len(lost):
            raise InputError(
                f"{source}: has no test split, and a test_share={share!r} of its "
                f"{len(labels)} images leaves the class {class_names[lost[0]]} without images on "
                "one side: expected some of each class on both; give it more images or another "
                "test_share"
            )
    return take(examples, ~test), take(examples, test)
