"""What a request is looked at for beyond its forget set, and what it does to the training data."""

import dataclasses
from typing import NamedTuple

import numpy as np

from jax_unlearn.core import Examples


class Focus(NamedTuple):
    """Images on which a request's own measure is taken, and the answers that it counts.

    Attributes:
      measure: name of the measure, see :mod:`jax_unlearn.audit.measures.focus`.
      split: where the images are: ``'train'``, ``'test'`` or ``'probe'``, the images that a change
        of the data adds for this alone.
      id: int64 [M], ids of that split, none twice.
      label: int32 [M], for each image the answer that counts; not always its label.
    """

    measure: str
    split: str
    id: np.ndarray
    label: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Change:
    """What a request has done to the training data that the original learns from.

    Attributes:
      name: short name of the request.
      ids: int64 [F], training ids to forget, in the changed data.
      probe: images that no model is trained on and that are no part of the test split; the focus
        looks at them. None for none.
      focus: on what the request's own measure is taken; None where the audit's say it all.
    """

    name: str
    ids: np.ndarray
    probe: Examples | None = None
    focus: Focus | None = None
