"""Image files become what they show, or are refused with what they hold."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jax_unlearn.data.image_files import UnfitError, decode_image

RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 255, (4, 5, 4), np.uint8)
RGB, GREY = RGBA[..., :3], RGBA[..., 0]
OPAQUE = np.dstack([RGB, np.full((4, 5), 255, np.uint8)])


def file_of(image, kind="PNG", **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sixteen_bit(pixels):
    """A PNG of 16-bit colour, which Pillow reads but does not write."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(name, data)
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def gif(frames):
    images = [Image.fromarray(np.full((4, 5), 60 * k, np.uint8)) for k in range(frames)]
    return file_of(images[0], "GIF", save_all=True, append_images=images[1:])


LA = Image.fromarray(GREY).convert("LA")
PALETTE = Image.fromarray(RGB).quantize(8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("pixels", [GREY[..., None], np.asarray(LA), RGB, RGBA])
@pytest.mark.parametrize("said", [True, False])
def test_each_number_of_channels_comes_back(pixels, kind, said):
    channels = pixels.shape[2]
    file = file_of(Image.fromarray(np.squeeze(pixels)), kind)
    decoded = decode_image(file, channels if said else None)
    np.testing.assert_array_equal(decoded, pixels)
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize(
    ("image", "channels", "expected"),
    [
        (GREY, 3, np.dstack([GREY] * 3)),
        (GREY, 4, np.dstack([GREY] * 3 + [np.full_like(GREY, 255)])),
        (GREY, 2, np.dstack([GREY, np.full_like(GREY, 255)])),
        (RGB, 4, OPAQUE),
        (OPAQUE, 3, RGB),
        (np.dstack([GREY] * 3), 1, GREY[..., None]),
        (PALETTE, 3, np.asarray(PALETTE.convert("RGB"))),
        (PALETTE, None, np.asarray(PALETTE.convert("RGB"))),
        (Image.fromarray(GREY > 99), 1, np.where(GREY > 99, 255, 0)[..., None]),
    ],
)
def test_what_loses_nothing_is_converted(image, channels, expected):
    np.testing.assert_array_equal(decode_image(file_of(image), channels), expected)


def test_a_jpeg_is_decoded_as_pillow_does():
    file = file_of(RGB, "JPEG")
    np.testing.assert_array_equal(decode_image(file, 3), np.asarray(Image.open(io.BytesIO(file))))


def test_inks_become_colours():
    file = file_of(Image.fromarray(RGB).convert("CMYK"), "TIFF")
    np.testing.assert_array_equal(decode_image(file, 3), RGB)


@pytest.mark.parametrize(
    ("file", "channels", "held"),
    [
        (file_of(RGBA), 3, "transparent pixels"),
        (file_of(RGBA), 1, "transparent pixels"),
        (file_of(RGB, transparency=tuple(RGB[0, 0].tolist())), 3, "transparent pixels"),
        (file_of(RGB), 1, "colours"),
        (file_of(OPAQUE), 2, "colours"),
        (file_of(PALETTE), 1, "colours"),
        (file_of(RNG.integers(0, 65536, (4, 5), np.uint16)), 1, "16 bits a channel"),
        (sixteen_bit(RNG.integers(0, 65536, (4, 5, 3), np.uint16)), 3, "16 bits a channel"),
        (file_of(RNG.integers(0, 65536, (4, 5), np.uint16), "TIFF"), 1, "mode I;16"),
        (file_of(RNG.random((4, 5), np.float32), "TIFF"), 1, "mode F"),
        (gif(3), 3, "3 frames"),
    ],
)
def test_what_would_lose_something_is_refused(file, channels, held):
    with pytest.raises(UnfitError, match=held):
        decode_image(file, channels)
