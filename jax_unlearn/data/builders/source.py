"""What a dataset's builder says about itself, as plain data."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jax_unlearn.wording import listed


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


class Archive(NamedTuple):
    """An original file, as its authors publish it.

    Attributes:
      name: of the file.
      url: its official address; empty where it must be fetched by hand.
      size: bytes of the file at ``url``.
      sha256: checksum of the file at ``url``.
    """

    name: str
    url: str = ""
    size: int = 0
    sha256: str = ""


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a dataset comes from.

    Attributes:
      name: the dataset's name, as in ``load(name)``.
      version: changes whenever the prepared examples would change.
      description: what it is, how it is split and what the ids are.
      homepage: a web page about it.
      image_shape: [H, W, C].
      read: makes the content of the paths of all archives, in their order; of none for an embedded
        dataset.
      archives: the original files; none for an embedded dataset.
      encoded: whether images stay as encoded files (JPEG) rather than arrays.
      coarse: whether there is a class above ``label``.
    """

    name: str
    version: str
    description: str
    homepage: str
    image_shape: tuple[int, int, int]
    read: Callable[..., Content]
    archives: tuple[Archive, ...] = ()
    encoded: bool = False
    coarse: bool = False

    @property
    def downloadable(self) -> bool:
        """Whether it comes in files that all have an official address."""
        return bool(self.archives) and all(archive.url for archive in self.archives)

    @property
    def files(self) -> str:
        """The names of its archives, for messages."""
        return listed(archive.name for archive in self.archives)

    @property
    def addresses(self) -> str:
        """Where its archives are fetched from, for messages."""
        urls = [archive.url for archive in self.archives]
        return listed(urls) if self.downloadable else self.homepage
