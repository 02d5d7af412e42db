"""Adversarial images: what lies near an image and is seen as another class.

Every ``logits_fn(images) -> logits`` must treat examples independently (eval mode): then one
backward pass gives the gradient of every example of a batch. Loops are compiled, and every image of
a batch keeps its own radius in them.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.functional.losses import cross_entropy
from jax_unlearn.functional.sensitivity import LogitsFn


class Adversaries(NamedTuple):
    """The adversarial images of a batch.

    Attributes:
      image: float [B, H, W, C] in [0, 1].
      label: int32 [B], the class that the network sees in each.
      found: bool [B], whether that is another class than the one given.
      radius: float [B], radius of the ball around the image in which it was found.
    """

    image: jax.Array
    label: jax.Array
    found: jax.Array
    radius: jax.Array


def _per_example(values: jax.Array, like: jax.Array) -> jax.Array:
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _norms(offsets: jax.Array) -> jax.Array:
    """L2 norm of every example, [B, ...] -> [B]."""
    return jnp.sqrt(jnp.sum(offsets**2, axis=tuple(range(1, offsets.ndim))))


def _look(logits_fn: LogitsFn, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits, and the gradient of every example's cross-entropy at length 1 (0 where it is 0)."""

    def loss(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = logits_fn(images)
        return cross_entropy(logits, labels).sum(), logits

    gradients, logits = jax.grad(loss, has_aux=True)(images)
    norms = jnp.maximum(_norms(gradients), jnp.finfo(images.dtype).tiny)
    return logits, gradients / _per_example(norms, images)


def project_l2(offsets: jax.Array, radius: jax.Array | float) -> jax.Array:
    """Shrink every example to an L2 norm of at most ``radius``.

    Args:
      offsets: float [B, ...].
      radius: one number, or float [B], > 0.

    Returns:
      Like ``offsets``; those inside the ball come back as they are.
    """
    norms = jnp.maximum(_norms(offsets), jnp.finfo(offsets.dtype).tiny)
    return offsets * _per_example(jnp.minimum(radius / norms, 1), offsets)


def fgsm(
    logits_fn: LogitsFn,
    images: jax.Array,
    labels: jax.Array,
    step: jax.Array | float,
    *,
    low: jax.Array | float = 0.0,
    high: jax.Array | float = 1.0,
) -> jax.Array:
    """Move every pixel one step in the direction that raises the loss (fast gradient sign).

    Args:
      logits_fn: maps images [B, H, W, C] to logits [B, K], each example on its own.
      images: float [B, H, W, C].
      labels: int [B], in [0, K), from which to lead away.
      step: size of the step, one number or one a channel, >= 0.
      low: smallest pixel, one number or one a channel.
      high: largest pixel, likewise.

    Returns:
      Like ``images``, clipped to [low, high].

    Source: Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR
    2015, arXiv 1412.6572.
    """
    chex.assert_rank([images, labels], [4, 1])
    gradients = jax.grad(lambda x: cross_entropy(logits_fn(x), labels).sum())(images)
    step, low, high = (jnp.asarray(x, images.dtype).reshape(1, 1, 1, -1) for x in (step, low, high))
    return jnp.clip(images + step * jnp.sign(gradients), low, high)


def nearest_adversaries(
    logits_fn: LogitsFn,
    images: jax.Array,
    labels: jax.Array,
    *,
    radius: jax.Array | float = 0.01,
    steps: int = 50,
    doublings: int = 12,
) -> Adversaries:
    """Search around every image, in balls that grow, until the network sees another class.

    Ascends the cross-entropy by steps of a tenth of the radius, back into the ball and into [0, 1]
    after each. Where the class is still ``labels``'s after ``steps`` of them, the radius doubles
    and the search goes on from where it stands. An image of which the network says something else
    to begin with is its own adversary.

    Args:
      logits_fn: maps images [B, H, W, C] to logits [B, K], each example on its own.
      images: float [B, H, W, C] in [0, 1].
      labels: int [B], in [0, K).
      radius: of the first ball, > 0.
      steps: in each ball, >= 1.
      doublings: how often a radius doubles before the search is given up.

    Returns:
      An adversary for each image, or where the search stood when it was given up.

    Source: Ebrahimpour-Boroojeny, Sundaram, Chandrasekaran, "Not All Wrong is Bad: Using
    Adversarial Examples for Unlearning", ICML 2025, arXiv 2503.00917.
    """
    chex.assert_rank([images, labels], [4, 1])
    labels = labels.astype(jnp.int32)
    limit = steps * (doublings + 1)

    def going(carry: tuple[jax.Array, Adversaries]) -> jax.Array:
        step, at = carry
        # Once more than there are steps: where the last one led is looked at, too.
        return (step <= limit) & ~at.found.all()

    def advance(carry: tuple[jax.Array, Adversaries]) -> tuple[jax.Array, Adversaries]:
        step, at = carry
        logits, directions = _look(logits_fn, at.image, labels)
        label = jnp.argmax(logits, axis=1).astype(jnp.int32)
        searching = (label == labels) & (step < limit)
        grown = searching & (step > 0) & (step % steps == 0)
        radius = jnp.where(grown, 2 * at.radius, at.radius)
        moved = at.image + _per_example(radius / 10, images) * directions
        moved = jnp.clip(images + project_l2(moved - images, radius), 0, 1)
        image = jnp.where(_per_example(searching, images), moved, at.image)
        return step + 1, Adversaries(image, label, label != labels, radius)

    start = Adversaries(
        image=images,
        label=labels,
        found=jnp.zeros(labels.shape, bool),
        radius=jnp.full(labels.shape, radius, images.dtype),
    )
    return jax.lax.while_loop(going, advance, (jnp.int32(0), start))[1]


def random_offsets(keys: chex.PRNGKey, images: jax.Array, radius: jax.Array | float) -> jax.Array:
    """Draw where an attack starts: towards a uniform image, inside the ball and inside [0, 1].

    Args:
      keys: of each image [B].
      images: float [B, H, W, C] in [0, 1].
      radius: of the L2 ball, > 0.

    Returns:
      Like ``images``, to be added to them.
    """
    drawn = jax.vmap(lambda key, x: jax.random.uniform(key, x.shape, x.dtype))(keys, images)
    offsets = project_l2(drawn - images, radius)
    return jnp.clip(images + offsets, 0, 1) - images


def targeted_pgd(
    logits_fn: LogitsFn,
    images: jax.Array,
    targets: jax.Array,
    offsets: jax.Array,
    *,
    radius: jax.Array | float,
    step: jax.Array | float,
    steps: int,
) -> jax.Array:
    """Descend the cross-entropy of a target class inside an L2 ball around every image.

    Each step is of length ``step``; then the image is clipped to [0, 1] and what it moved by shrunk
    into the ball.

    Args:
      logits_fn: maps images [B, H, W, C] to logits [B, K], each example on its own.
      images: float [B, H, W, C] in [0, 1].
      targets: int [B], in [0, K), which the network is to see.
      offsets: float [B, H, W, C], where each starts, relative to the image
        (:func:`random_offsets`).
      radius: of the ball, > 0.
      step: length of a step, > 0.
      steps: number of steps.

    Returns:
      Like ``images``, in [0, 1] and nowhere further than ``radius`` from them.

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018, arXiv 1706.06083; the order of clipping and shrinking is that of advertorch, which L2UL
    (arXiv 2301.11578) uses.
    """
    chex.assert_rank([images, targets], [4, 1])
    chex.assert_equal_shape([images, offsets])

    def advance(_: int, offset: jax.Array) -> jax.Array:
        offset = offset - step * _look(logits_fn, images + offset, targets)[1]
        return project_l2(jnp.clip(images + offset, 0, 1) - images, radius)

    return jnp.clip(images + jax.lax.fori_loop(0, steps, advance, offsets), 0, 1)


def targeted_adversaries(
    logits_fn: LogitsFn,
    images: jax.Array,
    targets: jax.Array,
    keys: chex.PRNGKey,
    *,
    radius: jax.Array | float,
    step: jax.Array | float,
    steps: int,
) -> jax.Array:
    """Attack from random starts: :func:`targeted_pgd` after :func:`random_offsets`.

    Args:
      logits_fn: maps images [B, H, W, C] to logits [B, K], each example on its own.
      images: float [B, H, W, C] in [0, 1].
      targets: int [B], in [0, K), which the network is to see.
      keys: of each image [B], randomness of its start.
      radius: of the L2 ball, > 0.
      step: length of a step, > 0.
      steps: number of steps.

    Returns:
      Like ``images``, in [0, 1] and nowhere further than ``radius`` from them.
    """
    offsets = random_offsets(keys, images, radius)
    return targeted_pgd(logits_fn, images, targets, offsets, radius=radius, step=step, steps=steps)
