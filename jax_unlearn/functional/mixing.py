"""NatMU's parts: which classes to inject, which retain images carry them, and how to blend.

Source of everything here: He, Li, Cheng, Huang, Huang, Towards Natural Machine Unlearning, 2024,
arXiv 2405.15495.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import InputError, check_labels, check_number

_NAME_CLASSES = "give num_classes if preferences do not name every class but the label"


def _check_sides(height: int, width: int) -> None:
    for name, side in (("height", height), ("width", width)):
        if isinstance(side, bool) or not isinstance(side, (int, np.integer)) or side < 2:
            raise InputError(
                f"{name}={side!r}: expected a whole number >= 2; a mask needs two rows and two "
                "columns of pixels, give larger images"
            )


def _along_rows(profile: np.ndarray, width: int) -> np.ndarray:
    return np.tile(profile[:, None, None], (1, width, 1))


def _along_columns(profile: np.ndarray, height: int) -> np.ndarray:
    return np.tile(profile[None, :, None], (height, 1, 1))


def mixing_masks(height: int, width: int, delta: jax.Array | float) -> jax.Array:
    """Build NatMU's four gradual masks: the weight of the forget image in each pixel.

    The weight changes along one axis in equal steps between the border and the middle: highest in
    the middle for masks 0 (over rows) and 1 (over columns), highest at the border for masks 2
    (rows) and 3 (columns). A side of S pixels has steps of 1 / ceil(S / 2), so the two halves
    mirror each other for odd sides too.

    Args:
      height: rows, >= 2.
      width: columns, >= 2.
      delta: added to every weight before clipping to [0, 1]; in [-1, 1], may be traced. 1 leaves
        the forget image alone, -1 the retain image.

    Returns:
      float32 [4, height, width, 1], in [0, 1].

    Raises:
      InputError: for a side below 2 or a delta out of range.
    """
    _check_sides(height, width)
    check_number("delta", delta, low=-1, high=1)

    def profiles(side: int) -> tuple[np.ndarray, np.ndarray]:
        half = -(-side // 2)
        depth = np.minimum(np.arange(side), np.arange(side)[::-1])
        return (
            (depth / half).astype(np.float32),
            ((half - 1 - depth) / half).astype(np.float32),
        )

    (row_middle, row_border), (column_middle, column_border) = profiles(height), profiles(width)
    ramps = np.stack(
        [
            _along_rows(row_middle, width),
            _along_columns(column_middle, height),
            _along_rows(row_border, width),
            _along_columns(column_border, height),
        ]
    )
    return jnp.clip(jnp.asarray(ramps) + jnp.asarray(delta, jnp.float32), 0, 1)


def patch_masks(height: int, width: int) -> jax.Array:
    """Build four binary masks, each showing one half of the forget image and hiding the other.

    The paper's ablation replaces gradual masks by binary patches without saying which; read here
    as the top, left, bottom and right half, in this order, the binary counterparts of masks over
    rows and columns. Of an odd side the bottom or right half has the middle line.

    Args:
      height: rows, >= 2.
      width: columns, >= 2.

    Returns:
      float32 [4, height, width, 1], 0 or 1.

    Raises:
      InputError: for a side below 2.
    """
    _check_sides(height, width)
    top = _along_rows((np.arange(height) < height // 2).astype(np.float32), width)
    left = _along_columns((np.arange(width) < width // 2).astype(np.float32), height)
    return jnp.asarray(np.stack([top, left, 1 - top, 1 - left]))


def uniform_masks(height: int, width: int, weight: jax.Array | float) -> jax.Array:
    """Build four equal masks that give the forget image one weight in every pixel.

    Args:
      height: rows, >= 2.
      width: columns, >= 2.
      weight: weight of the forget image, in [0, 1]; may be traced.

    Returns:
      float32 [4, height, width, 1].

    Raises:
      InputError: for a side below 2 or a weight out of range.
    """
    _check_sides(height, width)
    check_number("weight", weight, low=0, high=1)
    return jnp.full((4, height, width, 1), jnp.asarray(weight, jnp.float32))


def target_classes(logits: jax.Array, labels: jax.Array, num: int) -> jax.Array:
    """Return each image's most probable classes other than its label, most probable first.

    Args:
      logits: float [B, K] of the original model in eval mode on un-augmented forget images.
      labels: int [B], in [0, K).
      num: how many classes, at most K - 1; equal logits rank by class number.

    Returns:
      int32 [B, num], without repetition.

    Raises:
      InputError: if ``num`` is below 1 or above K - 1.
    """
    chex.assert_rank([logits, labels], [2, 1])
    num_classes = logits.shape[1]
    check_number("num", num, low=1, whole=True)
    if num > num_classes - 1:
        raise InputError(
            f"num={num}: expected at most {num_classes - 1}, the classes besides the label among "
            f"{num_classes}; ask for fewer target classes"
        )
    # A sort key of its own keeps the label last even against logits of -inf.
    is_label = labels[:, None] == jnp.arange(num_classes, dtype=labels.dtype)[None, :]
    order = jnp.lexsort((-logits, is_label), axis=1)
    return order[:, :num].astype(jnp.int32)


def draw_partners(
    key: chex.PRNGKey,
    preferences: jax.Array,
    retain_labels: jax.Array,
    num: int,
    *,
    num_classes: int | None = None,
) -> jax.Array:
    """Draw for every forget image ``num`` retain images of its preferred classes, none twice.

    Images are served in order. Each walks its classes from the most preferred; every class that
    still has an unused retain image gives one, at random, until ``num`` are found. So partners
    stand in falling order of preference, the k-th found in slot k: a class that has run out leaves
    no gap. No image gets two partners of one class. Jittable with ``num`` and ``num_classes``
    static.

    Args:
      key: randomness of the choice within a class.
      preferences: int [B, P], classes in falling order of preference, as ``target_classes``
        gives them with ``num=P``; a class named again in a row counts once.
      retain_labels: int [R], labels of the retain set.
      num: partners per image, at most P.
      num_classes: number of classes K; None means P + 1, every class but the label.

    Returns:
      int32 [B, num], rows of the retain set; -1 in the last slots of an image where fewer than
      ``num`` of its classes have one left.

    Raises:
      InputError: if ``num`` is below 1 or above P, or a class lies outside [0, num_classes).
    """
    chex.assert_rank([preferences, retain_labels], [2, 1])
    size = preferences.shape[1]
    check_number("num", num, low=1, high=size, whole=True)
    num_classes = size + 1 if num_classes is None else num_classes
    for name, classes in (("preferences", preferences), ("retain_labels", retain_labels)):
        check_labels(name, classes, num_classes, remedy=_NAME_CLASSES)
    if retain_labels.shape[0] == 0:
        return jnp.full((preferences.shape[0], num), -1, jnp.int32)
    preferences = jnp.asarray(preferences, jnp.int32)
    retain_labels = jnp.asarray(retain_labels, jnp.int32)
    return _serve_all(key, preferences, retain_labels, num, num_classes)


@functools.partial(jax.jit, static_argnames=("num", "num_classes"))
def _serve_all(
    key: chex.PRNGKey,
    preferences: jax.Array,
    retain_labels: jax.Array,
    num: int,
    num_classes: int,
) -> jax.Array:
    size = preferences.shape[1]
    shuffled = jax.random.permutation(key, retain_labels.shape[0])
    queue = shuffled[jnp.argsort(retain_labels[shuffled], stable=True)].astype(jnp.int32)
    stock = jnp.bincount(retain_labels, length=num_classes).astype(jnp.int32)
    start = jnp.cumsum(stock) - stock
    columns = jnp.arange(size, dtype=jnp.int32)
    slots = jnp.arange(1, num + 1)

    def serve(served: jax.Array, classes: jax.Array) -> tuple[jax.Array, jax.Array]:
        mentioned = jnp.full(num_classes, size, jnp.int32).at[classes].min(columns)
        in_stock = (served[classes] < stock[classes]) & (mentioned[classes] == columns)
        # Where the number of classes in stock first reaches 1, 2, ..., num.
        column = jnp.searchsorted(jnp.cumsum(in_stock), slots, method="compare_all")
        found = column < size
        chosen = classes[jnp.minimum(column, size - 1)]
        row = queue[jnp.minimum(start[chosen] + served[chosen], queue.shape[0] - 1)]
        served = served.at[chosen].add(found.astype(jnp.int32))
        return served, jnp.where(found, row, -1)

    return jax.lax.scan(serve, jnp.zeros(num_classes, jnp.int32), preferences)[1]


def _product(pixels: jax.Array, weights: jax.Array) -> jax.Array:
    """Multiply values 0..255 by weights, rounded once, on every backend and inside jit.

    A compiler may fuse ``a * b + c * d`` into a multiply-add that skips a rounding, and truncation
    then turns the last bit into another pixel value. Both halves of a weight have at most 12
    significant bits, their products with a pixel are exact, and nothing is left to skip.
    """
    high = jax.lax.reduce_precision(weights, exponent_bits=8, mantissa_bits=11)
    return pixels * high + pixels * (weights - high)


@jax.jit
def mix(forget: jax.Array, partners: jax.Array, masks: jax.Array) -> jax.Array:
    """Blend every forget image with its partners: ``forget * mask + partner * (1 - mask)``.

    Computed in float32 on pixel values, clipped to [0, 255] and truncated; the same bits on every
    backend. Compiled as one pass over the pixels, which never holds the float32 blends.

    Args:
      forget: uint8 [B, H, W, C].
      partners: uint8 [B, n, H, W, C], retain images; the k-th goes with the k-th mask.
      masks: float32 [n, H, W, 1], in [0, 1], the weight of the forget image.

    Returns:
      uint8 [B, n, H, W, C].

    Raises:
      InputError: images are not uint8.
    """
    for name, images in (("forget", forget), ("partners", partners)):
        if images.dtype != jnp.uint8:
            raise InputError(
                f"{name}={images.dtype}{list(images.shape)}: expected uint8 images, pixels 0..255; "
                "of float images in [0, 1] give (255 * image).round().astype('uint8')"
            )
    chex.assert_rank([forget, partners, masks], [4, 5, 4])
    batch, height, width, channels = forget.shape
    num = masks.shape[0]
    chex.assert_shape(partners, (batch, num, height, width, channels))
    chex.assert_shape(masks, (num, height, width, 1))
    forget = forget[:, None].astype(jnp.float32)
    partners = partners.astype(jnp.float32)
    masks = masks[None].astype(jnp.float32)
    blend = _product(forget, masks) + _product(partners, 1 - masks)
    return jnp.clip(blend, 0, 255).astype(jnp.uint8)
