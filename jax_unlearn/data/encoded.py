"""Images that lie in files: looked through, then decoded by threads, all at once or when asked."""

import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

import numpy as np

from jax_unlearn.checks import check_memory
from jax_unlearn.core import InputError
from jax_unlearn.data.image_files import (
    FORMATS,
    Header,
    UnfitError,
    decode_image,
    fit_square,
    read_header,
)
from jax_unlearn.data.image_options import ImageOptions
from jax_unlearn.data.lazy import LazyImages
from jax_unlearn.data.tfds_reader import one_line
from jax_unlearn.warn import warn_user
from jax_unlearn.wording import agree, counted, listed

THREADS = min(16, os.cpu_count() or 1)
"""That decode at the same time: decoders let others run."""

AHEAD = 8
"""Batches that are read ahead of the one asked for."""

CHUNK = 64
"""Images that a thread takes at a time."""

SHOWN = 3
"""Names that a message gives of each kind of trouble."""

_KINDS = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with opacity",
    "P": "palette",
    "PA": "palette with opacity",
    "RGB": "colour",
    "RGBA": "colour with opacity",
    "CMYK": "printing colour",
    "YCbCr": "YCbCr",
}
_FITTING = {1: ("L",), 2: ("LA",), 3: ("RGB",), 4: ("RGBA",)}


T = TypeVar("T")


class Files(Protocol):
    """Image files by position."""

    def __len__(self) -> int:
        """How many there are."""

    def open(self, row: int) -> BinaryIO:
        """Open a file; raises OSError where that fails."""

    def name(self, row: int) -> str:
        """What messages call it."""


class Trouble(NamedTuple):
    """A file that cannot be used, and why."""

    name: str
    reason: str


class Encoded(LazyImages):
    """The images of files, all of one shape; safe to read from several threads.

    Attributes:
      files: the files.
      source: what messages begin with.
      resize: whether images are brought to the shape's height, as
        :func:`jax_unlearn.data.image_files.fit_square` does.
    """

    def __init__(
        self,
        files: Files,
        shape: Sequence[int],
        source: str,
        *,
        resize: bool = False,
        identity: str = "",
    ):
        height, width, channels = shape
        self.files, self.source, self.resize = files, source, resize
        self.shape = (len(files), height, width, channels)
        self.identity = identity and f"{identity} {self.shape} {resize}"

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See :class:`jax_unlearn.data.lazy.LazyImages`."""
        images = np.empty((len(rows), *self.shape[1:]), self.dtype)
        self._refuse(self._fill(images, rows))
        return images

    def batches(self, rows: Sequence[np.ndarray]) -> Generator[np.ndarray, None, None]:
        """As :meth:`read`, of several batches at the same time."""
        with ThreadPoolExecutor(THREADS) as pool:
            waiting: deque[Future[np.ndarray]] = deque()
            try:
                for batch in rows:
                    waiting.append(pool.submit(self.read, batch))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def in_memory(self, rows: np.ndarray) -> np.ndarray:
        """As :meth:`read`, by several threads, each image decoded into its place.

        Raises:
          InputError: files cannot be used, all of which are counted, or the images do not fit in
            the machine's memory.
        """
        shape = (len(rows), *self.shape[1:])
        self._check_memory(shape)
        images = np.empty(shape, self.dtype)

        def fill(part: range) -> list[Trouble]:
            chosen = slice(part.start, part.stop)
            return self._fill(images[chosen], rows[chosen])

        self._refuse(in_threads(fill, len(rows)))
        return images

    def _fill(self, images: np.ndarray, rows: Iterable[int]) -> list[Trouble]:
        """Decode files into an array, and say which could not be."""
        troubles = []
        for place, row in enumerate(rows):
            try:
                images[place] = self._decode(int(row))
            except Exception as error:  # Pillow's decoders each have their own
                troubles.append(Trouble(self.files.name(int(row)), why_unusable(error)))
        return troubles

    def _decode(self, row: int) -> np.ndarray:
        with self.files.open(row) as file:
            pixels = decode_image(file.read(), self.shape[3])
        if self.resize:
            return fit_square(pixels, self.shape[1])
        if pixels.shape != self.shape[1:]:
            raise UnfitError(f"{pixels.shape[0]} x {pixels.shape[1]} pixels")
        return pixels

    def _refuse(self, troubles: Sequence[Trouble]) -> None:
        refuse(self.source, troubles, len(self))

    def _check_memory(self, shape: tuple[int, ...]) -> None:
        check_memory(
            f"{self.source}: {shape[0]} images {list(shape[1:])}",
            float(np.prod(shape, dtype=float)),
            "stream them (placement stream, open_stream in Python), or resize them with image_size",
        )


def common_shape(
    source: str, splits: Iterable[Files], options: ImageOptions
) -> tuple[int, int, int]:
    """Look through the headers of all files for the shape that their images get.

    Images that other channels are asked of than they have are counted in a warning.

    Args:
      source: what messages begin with.
      splits: the files of each split.
      options: how they are read.

    Returns:
      Height, width and channels.

    Raises:
      InputError: files cannot be read, or images differ in size and are not to be resized.
    """
    headers, troubles = [], []
    example: dict[tuple[int, int], str] = {}
    for files in splits:
        for row, found in enumerate(_headers(files)):
            if isinstance(found, Trouble):
                troubles.append(found)
                continue
            headers.append(found)
            example.setdefault(found[:2], files.name(row))
    refuse(source, troubles, len(headers) + len(troubles))
    grey = all(header.is_grey for header in headers)
    channels = options.channels or (1 if grey else 3)
    _tell_converted(source, headers, channels)
    if options.image_size:
        return options.image_size, options.image_size, channels
    if len(example) > 1:
        (least, one), *_, (most, other) = sorted(example.items())
        raise InputError(
            f"{source}: images have {len(example)} different sizes, from {least[0]} x {least[1]} "
            f"(such as {one}) to {most[0]} x {most[1]} ({other}): expected one; pass image_size=N "
            "to resize them all"
        )
    ((height, width),) = example
    return height, width, channels


def _headers(files: Files) -> list[Header | Trouble]:
    def look(row: int) -> Header | Trouble:
        try:
            with files.open(row) as file:
                return read_header(file)
        except Exception as error:  # Pillow's readers each have their own
            return Trouble(files.name(row), why_unusable(error))

    return in_threads(lambda rows: [look(row) for row in rows], len(files))


def in_threads(work: Callable[[range], list[T]], count: int) -> list[T]:
    """Give parts of ``range(count)`` to threads, and join what they return in order."""
    parts = [range(k, min(k + CHUNK, count)) for k in range(0, count, CHUNK)]
    with ThreadPoolExecutor(THREADS) as pool:
        return [found for part in pool.map(work, parts) for found in part]


def _tell_converted(source: str, headers: Sequence[Header], channels: int) -> None:
    modes = [header.mode for header in headers]
    other = {mode: modes.count(mode) for mode in sorted(set(modes) - set(_FITTING[channels]))}
    if other:
        kinds = listed(f"{count} {_KINDS[mode]}" for mode, count in other.items())
        are = agree(sum(other.values()), "is", "are")
        warn_user(
            f"{source}: of {counted(len(modes), 'image')} {kinds} {are} converted to "
            f"{_KINDS[_FITTING[channels][0]]} ({counted(channels, 'channel')})"
        )


def why_unusable(error: Exception) -> str:
    """What is wrong with a file, in a few words."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "no image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    # What stands in brackets differs from file to file.
    return re.sub(r"\s*\([^)]*\)", "", one_line(error)) or type(error).__name__


def refuse(source: str, troubles: Sequence[Trouble], total: int) -> None:
    """Raise InputError if there are files that cannot be used: counted, and some of each named."""
    if not troubles:
        return
    names: dict[str, list[str]] = {}
    for trouble in troubles:
        names.setdefault(trouble.reason, []).append(trouble.name)
    kinds = []
    for reason, files in names.items():
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        kinds.append(f"{reason}: {', '.join(files[:SHOWN])}{more}")
    kept = ""
    if "transparent pixels" in names:
        kept = ", or pass channels=4 to keep opacity"
    elif "colours" in names:
        kept = ", or pass channels=3 to keep colours"
    raise InputError(
        f"{source}: {len(troubles)} of {counted(total, 'file')} cannot be used "
        f"({'; '.join(kinds)}): expected whole images ({', '.join(FORMATS)}) of 8 bits a channel; "
        f"mend or remove {agree(len(troubles), 'it', 'them')}{kept}"
    )
