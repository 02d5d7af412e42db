"""Decoding image files to uint8 arrays; a file that would lose something is refused."""

import io
from typing import Any, BinaryIO, NamedTuple

import numpy as np

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's names for 8 bits of grey, grey and opacity, colour, colour and opacity."""

_OWN = {"1": 1, "L": 1, "LA": 2, "P": 3, "PA": 4, "RGB": 3, "RGBA": 4, "CMYK": 3, "YCbCr": 3}
"""Channels of the modes that 8 bits a channel can hold."""

_PNG, _PNG_BITS = b"\x89PNG\r\n\x1a\n", 24


FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Of Pillow's formats those that images of a data set come in: not all of its readers are safe."""


class UnfitError(ValueError):
    """An intact file that does not fit the array asked for; the message says what it holds."""


class Header(NamedTuple):
    """What an image file says of itself before it is decoded.

    Attributes:
      height: in pixels.
      width: in pixels.
      mode: Pillow's name for the kind of its pixels.
    """

    height: int
    width: int
    mode: str

    @property
    def is_grey(self) -> bool:
        """Whether it has no colour, as far as the mode tells."""
        return self.mode in ("1", "L", "LA")


def read_header(file: BinaryIO) -> Header:
    """Read an image file's header.

    Args:
      file: an open file of one of :data:`FORMATS`.

    Raises:
      UnfitError: it is empty, or has more than 8 bits a channel or several frames.
    """
    from PIL import Image

    beginning = file.read(_PNG_BITS + 1)
    file.seek(0)
    if not beginning:
        raise UnfitError("empty")
    _check_bits(beginning)
    with Image.open(file, formats=FORMATS) as image:
        _check_pixels(image)
        return Header(image.height, image.width, image.mode)


def fit_square(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize an image's shorter side and cut the middle out of the longer one.

    Bilinear over all the pixels that a pixel covers, as torchvision's ``Resize`` and ``CenterCrop``
    do with a Pillow image.

    Args:
      pixels: uint8 [H, W, C].
      side: in pixels.

    Returns:
      uint8 [side, side, C].
    """
    from PIL import Image, ImageOps

    if pixels.shape[:2] == (side, side):
        return pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    fitted = np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR))
    return fitted.reshape(side, side, -1)


def decode_image(file: bytes, channels: int | None) -> np.ndarray:
    """Decode an image file.

    Grey is repeated where colour is asked for, a palette is looked up, opacity that hides nothing
    is dropped or added.

    Args:
      file: the file's bytes, of one of :data:`FORMATS`.
      channels: 1 (grey), 2 (grey, opacity), 3 (red, green, blue) or 4 (and opacity); None or 0
        takes those of the file.

    Returns:
      uint8 [H, W, C].

    Raises:
      UnfitError: the file has more than 8 bits a channel, several frames, or colour or opacity that
        ``channels`` cannot hold.
    """
    from PIL import Image

    _check_bits(file)
    with Image.open(io.BytesIO(file), formats=FORMATS) as image:
        _check_pixels(image)
        pixels = _pixels(image, channels or _own_channels(image))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _check_bits(file: bytes) -> None:
    # Pillow cuts 16-bit colour down to 8 without a word.
    if file.startswith(_PNG) and file[_PNG_BITS : _PNG_BITS + 1] > b"\x08":
        raise UnfitError(f"{file[_PNG_BITS]} bits a channel")


def _check_pixels(image: Any) -> None:
    if image.mode not in _OWN:
        raise UnfitError(f"pixels of Pillow's mode {image.mode}")
    # A camera's MPO carries its preview beside the picture.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise UnfitError(f"{frames} frames")


def _own_channels(image: Any) -> int:
    channels = _OWN[image.mode]
    return channels + (channels % 2 == 1 and image.has_transparency_data)


def _pixels(image: Any, channels: int) -> np.ndarray:
    if image.mode == MODES[channels] and channels % 2 == 0:
        return np.asarray(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if channels % 2 and np.asarray(image)[..., 3].min() < 255:
            raise UnfitError("transparent pixels")
    if channels <= 2 and image.mode not in ("1", "L"):
        colour = np.asarray(image.convert("RGB"))
        if (colour != colour[..., :1]).any():
            raise UnfitError("colours")
    # Not every mode becomes every other at once.
    if image.mode not in ("1", "L", "RGB", "RGBA"):
        image = image.convert("RGB")
    if channels == 2:
        image = image.convert("RGBA")
    return np.asarray(image.convert(MODES[channels]))
