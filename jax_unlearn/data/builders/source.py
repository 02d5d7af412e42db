"""What a dataset's builder says about itself, as plain data."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """One split as its archive stores it, in the original order.

    Attributes:
      image: uint8 [N, H, W, C], or N encoded images.
      label: int [N].
      id: int [N], stable forever: forget requests name it.
      coarse: int [N], the class above ``label``; None where there is none.
    """

    image: np.ndarray | Sequence[bytes]
    label: np.ndarray
    id: np.ndarray
    coarse: np.ndarray | None = None


class Content(NamedTuple):
    """All that is taken from an archive.

    Attributes:
      train: the training split.
      test: the test split; its ids are separate from the training ids.
      class_names: one name for each value of ``label``.
      coarse_names: one name for each value of ``coarse``.
    """

    train: Rows
    test: Rows
    class_names: tuple[str, ...]
    coarse_names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a dataset comes from.

    Attributes:
      name: the dataset's name, as in ``load(name)``.
      version: changes whenever the prepared examples would change.
      description: what it is, how it is split and what the ids are.
      homepage: a web page about it.
      image_shape: [H, W, C].
      read: ``read(archive) -> Content``; without an archive for an embedded dataset.
      archive: name of the original archive's file; empty for an embedded dataset.
      url: official address of the archive; empty where it must be fetched by hand.
      size: bytes of the archive at ``url``.
      sha256: checksum of the archive at ``url``.
      encoded: whether images stay as encoded files (JPEG) rather than arrays.
      coarse: whether there is a class above ``label``.
    """

    name: str
    version: str
    description: str
    homepage: str
    image_shape: tuple[int, int, int]
    read: Callable[[Path | None], Content]
    archive: str = ""
    url: str = ""
    size: int = 0
    sha256: str = ""
    encoded: bool = False
    coarse: bool = False
