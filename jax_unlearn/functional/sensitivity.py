"""MU-Mis's parts: how strongly one logit depends on the input, and the loss built on it.

Source of everything here: Cheng, Huang, Huang and others, Machine Unlearning by Suppressing Sample
Contribution, 2024, arXiv 2402.15109.

Every ``logits_fn(images) -> logits`` must treat examples independently (eval mode): then one
backward pass with one-hot cotangents gives the input gradient of every example of a batch.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero, custom_vjp_primal_tree_values
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jax_unlearn.core import InputError, at_least_float32, check_choice, check_labels, check_number
from jax_unlearn.functional.losses import weighted_mean

DIFFERENTIATIONS = ("forward", "reverse")
"""How the gradient of a squared input gradient is computed, see :func:`mumis_terms`."""

LogitsFn = Callable[[jax.Array], jax.Array]


def _one_hot(classes: jax.Array, like: jax.Array) -> jax.Array:
    return jax.nn.one_hot(classes, like.shape[1], dtype=like.dtype)


def _inner(a: jax.Array, b: jax.Array) -> jax.Array:
    """Inner product of every example, [B, ...] x [B, ...] -> [B]."""
    products = at_least_float32(a) * at_least_float32(b)
    return jnp.sum(products, axis=tuple(range(1, products.ndim)))


def input_sensitivity(logits_fn: LogitsFn, images: jax.Array, classes: jax.Array) -> jax.Array:
    """Return the squared L2 norm of the input gradient of one logit of every example.

    Args:
      logits_fn: maps images [B, ...] to logits [B, K], each example on its own.
      images: float [B, ...].
      classes: int [B], the logit looked at, in [0, K).

    Returns:
      float32 [B] (float64 for float64 images), >= 0.
    """
    chex.assert_rank(classes, 1)
    (value,), _ = _squared_gradients(logits_fn, images, [classes])
    return value


def mumis_terms(
    logits_fn: LogitsFn,
    images: jax.Array,
    labels: jax.Array,
    irrelevant: jax.Array,
    *,
    differentiate: str = "forward",
) -> tuple[jax.Array, jax.Array]:
    """Return the sensitivities of the true and of an irrelevant class from one linearised network.

    Both are differentiable in whatever ``logits_fn`` closes over, as often as the network is:
    'forward' by reverse mode only, 'reverse' in every way.

    Args:
      logits_fn: maps images [B, ...] to logits [B, K], each example on its own.
      images: float [B, ...].
      labels: int [B], in [0, K).
      irrelevant: int [B], in [0, K).
      differentiate: how the gradient of |grad_x f|^2 in the weights w is computed, which with
        v = grad_x f is 2 grad_w <grad_x f, v>. 'reverse' differentiates the input gradient itself
        (reverse over reverse). 'forward' differentiates the slope of f along v (reverse over
        forward). Values and gradients agree. In one compiled program, without ``jax.checkpoint``,
        both go through a network of ReLUs seven times: forwards, and for each class back, along v
        and to the weights; where other functions bend it, nine times. 'reverse' differentiates
        gradients of strided convolutions, which XLA turns into convolutions as large as the image
        on GPUs; 'forward' has the network's own alone. A network that has only reverse mode, by
        ``jax.custom_vjp``, is differentiated by 'reverse' in any case.

    Returns:
      Two float32 [B] (float64 for float64 images): of the label, of the irrelevant class.

    Raises:
      InputError: for another ``differentiate``.
    """
    check_choice("differentiate", differentiate, DIFFERENTIATIONS)
    chex.assert_rank([labels, irrelevant], 1)
    chex.assert_equal_shape([labels, irrelevant])
    classes = [labels, irrelevant]
    if differentiate == "reverse":
        of_label, of_irrelevant = _squared_gradients(logits_fn, images, classes)[0]
    else:
        network, closed = _hoisted(logits_fn, images)
        of_label, of_irrelevant = _sensitivities(network, classes, images, *closed)
    return of_label, of_irrelevant


def _hoisted(
    logits_fn: LogitsFn, images: jax.Array
) -> tuple[Callable[..., jax.Array], Sequence[Any]]:
    """The network as ``network(images, *closed)``, and all that it closes over.

    ``jax.closure_convert`` hoists floating point numbers alone, not keys and whole numbers, and
    keeps what it has seen of an object whose weights may have changed.
    """
    program = jax.make_jaxpr(lambda x: logits_fn(x))(images)

    def network(images: jax.Array, *closed: Any) -> jax.Array:
        (logits,) = jaxpr_as_fun(ClosedJaxpr(program.jaxpr, closed))(images)
        return logits

    return network, program.consts


def _squared_gradients(
    logits_fn: LogitsFn, images: jax.Array, classes: Sequence[jax.Array]
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Sensitivities [B] of each of several classes [B], and the input gradients."""
    logits, pull = jax.vjp(logits_fn, images)
    gradients = [pull(_one_hot(each, logits))[0] for each in classes]
    return [_inner(gradient, gradient) for gradient in gradients], gradients


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sensitivities(
    network: Callable[..., jax.Array],
    classes: Sequence[jax.Array],
    images: jax.Array,
    *closed: Any,
) -> list[jax.Array]:
    """Sensitivities |g|^2, whose derivatives are 2 d<g, v> with v = g held fixed."""
    return _squared_gradients(lambda x: network(x, *closed), images, classes)[0]


def _with_gradients(network: Callable[..., jax.Array], *arguments: Any) -> tuple[Any, Any]:
    classes, images, *closed = custom_vjp_primal_tree_values(arguments)
    values, gradients = _squared_gradients(lambda x: network(x, *closed), images, classes)
    return values, (gradients, classes, images, closed)


def _of_slopes(network: Callable[..., jax.Array], kept: Any, cotangents: Any) -> Any:
    """Derivatives of the slopes along twice the input gradients.

    Cotangents multiply the directions, not the one-hot classes: the way back is then the very one
    that gave the input gradients, and XLA merges the two.
    """
    gradients, classes, images, closed = kept
    # Of a class that the loss does without, as in an ablation, JAX hands over a SymbolicZero.
    asked = [not isinstance(cotangent, SymbolicZero) for cotangent in cotangents]
    gradients, classes, cotangents = (
        list(itertools.compress(each, asked)) for each in (gradients, classes, cotangents)
    )

    def slopes(images: jax.Array, closed: Any) -> tuple[list[jax.Array], jax.Array]:
        logits, push = jax.linearize(lambda x: network(x, *closed), images)
        return [push(along) for along in map(_twice, cotangents, gradients)], logits

    def squares(images: jax.Array, closed: Any) -> list[jax.Array]:
        return _squared_gradients(lambda x: network(x, *closed), images, classes)[0]

    try:
        _, pull, logits = jax.vjp(slopes, images, closed, has_aux=True)
        of_images, of_closed = pull([_one_hot(each, logits) for each in classes])
    except (NotImplementedError, TypeError):
        # JAX's errors where a network has a jax.custom_vjp, as some kernels of attention do: there
        # is no slope. What else is wrong with a network comes up again.
        _, pull = jax.vjp(squares, images, closed)
        of_images, of_closed = pull(cotangents)
    return None, of_images, *of_closed


def _twice(cotangent: jax.Array, gradient: jax.Array) -> jax.Array:
    """Twice each example's gradient [B, ...], times its cotangent [B], as a squared norm has it."""
    weights = 2 * cotangent.reshape(-1, *[1] * (gradient.ndim - 1))
    return (weights * at_least_float32(gradient)).astype(gradient.dtype)


_sensitivities.defvjp(_with_gradients, _of_slopes, symbolic_zeros=True)


def mumis_loss(
    logits_fn: LogitsFn,
    images: jax.Array,
    labels: jax.Array,
    irrelevant: jax.Array,
    *,
    weights: jax.Array | None = None,
    differentiate: str = "forward",
    terms: str = "both",
) -> jax.Array:
    """Return MU-Mis's loss: mean of |grad_x f_label|^2 - |grad_x f_irrelevant|^2.

    Minimised over the forget set it takes away what its examples contributed to training. It is
    unbounded below: a rule must stop the descent.

    Args:
      logits_fn: maps images [B, ...] to logits [B, K], each example on its own; the loss is
        differentiable in whatever it closes over.
      images: float [B, ...].
      labels: int [B], in [0, K).
      irrelevant: int [B], another class of every example (``draw_irrelevant``).
      weights: float [B], 0 for padding; None weighs all examples alike.
      differentiate: 'forward' or 'reverse', see ``mumis_terms``.
      terms: 'both', or one of the paper's ablations: 'target' lowers the label's sensitivity
        only, 'irrelevant' raises the irrelevant class's only.

    Returns:
      A float32 scalar (float64 for float64 images).

    Raises:
      InputError: for another ``differentiate`` or ``terms``, images that are no floats, or a class
        out of range.
    """
    check_choice("terms", terms, ("both", "target", "irrelevant"))
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(
            f"images={images.dtype}{list(images.shape)}: expected float images, in whose pixels "
            "the network is differentiated; give images.astype('float32') / 255"
        )
    outputs = jax.eval_shape(logits_fn, images).shape[1]
    for name, classes in (("labels", labels), ("irrelevant", irrelevant)):
        check_labels(name, classes, outputs)
    target, other = mumis_terms(logits_fn, images, labels, irrelevant, differentiate=differentiate)
    values = {"both": target - other, "target": target, "irrelevant": -other}[terms]
    weights = jnp.ones_like(values) if weights is None else weights
    return weighted_mean(values, weights)


def draw_irrelevant(key: chex.PRNGKey, labels: jax.Array, num_classes: int) -> jax.Array:
    """Draw for every label another class, uniformly.

    Args:
      key: randomness of the draw.
      labels: int [B], in [0, num_classes).
      num_classes: number of classes, >= 2.

    Returns:
      int32 [B], nowhere equal to ``labels``.

    Raises:
      InputError: if ``num_classes`` is below 2.
    """
    check_number("num_classes", num_classes, low=2, whole=True)
    shift = jax.random.randint(key, labels.shape, 1, num_classes, jnp.int32)
    return (labels.astype(jnp.int32) + shift) % num_classes


def rows_at_once(image_shape: Sequence[int]) -> int:
    """Return how many input gradients to take together, by the size of the images alone.

    Args:
      image_shape: height, width and more, without the batch.

    Returns:
      1024 for images of up to 32x32; of larger ones as many as have these pixels, at least 1.
    """
    return max(1, 1024 * 32**2 // max(32**2, math.prod(image_shape[:2])))


def class_sensitivities(
    logits_fn: LogitsFn, images: jax.Array, classes: jax.Array, *, at_once: int | None = None
) -> jax.Array:
    """Return the sensitivities of several classes of every example.

    After one shared forward pass the backward passes of all classes run as one batch of B * M rows,
    or of B * ``at_once`` in a compiled loop: choose both by memory, see :func:`rows_at_once`.

    Args:
      logits_fn: maps images [B, ...] to logits [B, K], each example on its own.
      images: float [B, ...].
      classes: int [B, M], the logits looked at, in [0, K).
      at_once: how many of the M go together, >= 1; None takes all.

    Returns:
      float32 [B, M] (float64 for float64 images), >= 0.

    Raises:
      InputError: if ``at_once`` is below 1.
    """
    chex.assert_rank(classes, 2)
    if at_once is not None:
        check_number("at_once", at_once, low=1, whole=True)
    logits, pull = jax.vjp(logits_fn, images)

    def of_column(column: jax.Array) -> jax.Array:
        (gradient,) = pull(_one_hot(column, logits))
        return _inner(gradient, gradient)

    # Not a loop without need: on a CPU most networks' convolutions are ten times slower inside.
    if at_once is None or at_once >= classes.shape[1]:
        return jax.vmap(of_column, in_axes=1, out_axes=1)(classes)
    return jax.lax.map(of_column, classes.T, batch_size=at_once).T


def other_classes(
    labels: jax.Array | np.ndarray, num_classes: int, count: int | None = None
) -> jax.Array | np.ndarray:
    """Return ``count`` other classes of every label; over the examples all serve alike.

    Example i begins with the class i after the label's own, further on where there are fewer
    examples than classes, and goes round the others in even steps.

    Args:
      labels: int [B], in [0, num_classes).
      num_classes: number of classes K, >= 2.
      count: other classes of each, 1 to K - 1; None takes all K - 1.

    Returns:
      int [B, count] of the type of ``labels``, NumPy's or JAX's; nowhere equal to the label.

    Raises:
      InputError: if ``num_classes`` is below 2.
    """
    check_number("num_classes", num_classes, low=2, whole=True)
    chex.assert_rank(labels, 1)
    others = num_classes - 1
    count = others if count is None else count
    size = labels.shape[0]
    # Fewer examples than classes begin at even steps, so that no class is left to the others.
    first = np.arange(size) * max(others, size) // max(size, 1)
    turn = first[:, None] + np.arange(count)[None] * others // count
    # Nothing here asks for a device where the labels are NumPy's.
    return (labels[:, None] + 1 + (turn % others).astype(labels.dtype)) % num_classes


def mean_irrelevant_sensitivity(
    logits_fn: LogitsFn,
    images: jax.Array,
    labels: jax.Array,
    num_classes: int,
    *,
    at_once: int | None = None,
) -> jax.Array:
    """Return the sensitivity of every example averaged over all classes but its label.

    Args:
      logits_fn: maps images [B, ...] to logits [B, K], each example on its own.
      images: float [B, ...].
      labels: int [B], in [0, K).
      num_classes: number of classes K, >= 2.
      at_once: as for :func:`class_sensitivities`.

    Returns:
      float32 [B] (float64 for float64 images), >= 0.

    Raises:
      InputError: if ``num_classes`` is below 2.
    """
    classes = jnp.asarray(other_classes(labels, num_classes))
    return jnp.mean(class_sensitivities(logits_fn, images, classes, at_once=at_once), axis=1)
