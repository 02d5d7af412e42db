"""Data sets of the right sizes without their data: programs depend on sizes alone."""

import dataclasses
import difflib
import functools
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jax_unlearn import data
from jax_unlearn.core import Examples, InputError, Problem, check_choice
from jax_unlearn.data.image_options import refuse_options
from jax_unlearn.data.lazy import LazyImages

from ..shared.config import Experiment
from ..shared.loading import image_options, load_data
from ..shared.naming import naming

SAMPLE = {"forget": 8, "retain": 64, "validation": 64}
"""Examples of each set that a method gets which has to look at numbers."""


class Sizes(NamedTuple):
    """Sizes of a data set.

    Attributes:
      train: number of training images.
      test: number of test images.
      shape: height, width and channels.
      classes: number of classes.
      fine: number of finer classes, 0 for none.
    """

    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
    fine: int = 0


SIZES = MappingProxyType(
    {
        "cifar10": Sizes(50_000, 10_000, (32, 32, 3), 10),
        "cifar20": Sizes(50_000, 10_000, (32, 32, 3), 20, 100),
        "cifar100": Sizes(50_000, 10_000, (32, 32, 3), 100),
        "svhn": Sizes(73_257, 26_032, (32, 32, 3), 10),
        "tiny_imagenet200": Sizes(100_000, 10_000, (64, 64, 3), 200),
        "imagenet64": Sizes(1_281_167, 50_000, (64, 64, 3), 1000),
        "imagenet2012": Sizes(1_281_167, 50_000, (224, 224, 3), 1000),
    }
)
"""Those whose sizes are known; others are loaded."""

UNREAD = ("imagenet2012", "imagenet64")
"""Those that have no reader here, and need none."""


class NoImages(LazyImages):
    """Images that are drawn at random when they are asked for."""

    def __init__(self, count: int, shape: tuple[int, int, int]):
        self.shape = (count, *shape)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See :class:`~jax_unlearn.data.lazy.LazyImages`."""
        shape = (len(rows), *self.shape[1:])
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@dataclasses.dataclass(frozen=True, eq=False)
class StandIn(data.Dataset):
    """A data set of whose images nothing is asked; see :class:`jax_unlearn.data.Dataset`."""

    @functools.cached_property
    def fingerprint(self) -> str:
        """Of the name and sizes: drawing all images to hash them would tell no more."""
        return f"{self.name}, {self.train.image.shape} and {self.test.image.shape}"


def stand_in(experiment: Experiment) -> data.Dataset:
    """A data set of the sizes of the one that settings name, or that one where they are unknown.

    Raises:
      InputError: as :func:`experiments.shared.loading.load_data`, also for sizes of their own of
        those that are known.
    """
    settings = experiment.data
    sizes = SIZES.get(settings.name)
    if sizes is None:
        try:
            return load_data(experiment)
        except InputError:
            # A reader's own words do not name those that have none.
            if difflib.get_close_matches(settings.name, UNREAD) and ":" not in settings.name:
                check_choice("data.name", settings.name, SIZES)
            raise
    with naming("data."):
        refuse_options(settings.name, image_options(settings))
    train, test = (_examples(n, sizes) for n in (sizes.train, sizes.test))
    fine = [
        np.arange(n, dtype=np.int32) % sizes.fine for n in (sizes.train, sizes.test) if sizes.fine
    ]
    asked = [step for text in experiment.requests for step in data.parse_request(text).steps]
    fine_asked, coarse_asked = (
        [c for step in asked if (step.kind == "subclass") == of_fine for c in step.classes]
        for of_fine in (True, False)
    )
    made: data.Dataset = StandIn(
        name=settings.name,
        train=train,
        test=test,
        num_classes=sizes.classes,
        class_names=_names(sizes.classes, coarse_asked),
        train_fine=fine[0] if fine else None,
        test_fine=fine[1] if fine else None,
        fine_names=_names(sizes.fine, fine_asked),
    )
    with naming("data."):
        made = data.subset(made, settings.train_size or None, settings.test_size or None)
        if not settings.validation_size:
            return made
        return data.hold_out(made, settings.validation_size, settings.validation_seed)


def _names(count: int, asked: Iterable[int | str]) -> tuple[str, ...]:
    """Numbers for names, and from the last class on the names that are asked for.

    Which class has which name changes no size.
    """
    names = [str(number) for number in range(count)]
    known = set(names)
    for place, name in enumerate(dict.fromkeys(str(c) for c in asked if str(c) not in known)):
        if place < count:
            names[-1 - place] = name
    return tuple(names)


def _examples(count: int, sizes: Sizes) -> Examples:
    rows = np.arange(count, dtype=np.int64)
    finest = rows % (sizes.fine or sizes.classes)
    label = finest * sizes.classes // sizes.fine if sizes.fine else finest
    images: Any = NoImages(count, sizes.shape)
    return Examples(images, label.astype(np.int32), rows)


def sample(problem: Problem) -> Problem:
    """The problem with few examples, whose pixels are drawn."""

    def few(name: str) -> Examples | None:
        examples = getattr(problem, name)
        if examples is None:
            return None
        count = len(examples.label)
        rows = np.unique(np.linspace(0, count - 1, min(count, SAMPLE[name])).astype(int))
        return Examples(*(np.asarray(column[rows]) for column in examples))

    return Problem(
        problem.model,
        None,
        few("forget"),
        few("retain"),
        num_classes=problem.num_classes,
        augment=problem.augment,
        validation=few("validation"),
    )
