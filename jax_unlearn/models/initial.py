"""Initial weights as PyTorch's networks have them, for all layers of a network at once."""

import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import Variables


def torch_weights(key: chex.PRNGKey, shapes: Variables, *, small_linear: bool = False) -> Variables:
    """Draw the weights of a network of convolutions as torchvision does.

    Convolution kernels are normal with variance 2 / fan out (Kaiming He, Xiangyu Zhang, Shaoqing
    Ren, Jian Sun, "Delving Deep into Rectifiers", 2015, arXiv 1502.01852; fan out as torchvision
    has it), their biases zero; batch normalisation starts as the identity, with running mean 0
    and variance 1; kernel and bias of the linear layer ``fc`` are uniform in
    +-1 / sqrt(fan in), PyTorch's default.

    Args:
      key: randomness.
      shapes: ``{'params': ..., 'batch_stats': ...}`` as ``jax.eval_shape`` gives it, with linen's
        names of leaves and a linear layer ``fc``.
      small_linear: draw the linear kernel normal with deviation 0.01 and its bias zero, as
        torchvision's VGG does.

    Returns:
      float32 arrays of those shapes.
    """
    linear_bound = shapes["params"]["fc"]["kernel"].shape[0] ** -0.5

    def recipe(path: tuple, shape: tuple[int, ...]) -> tuple[str, float]:
        layer, leaf = path[-2].key, path[-1].key
        if len(shape) == 4:
            height, width, _, features = shape
            return "normal", math.sqrt(2 / (height * width * features))
        if layer == "fc" and not small_linear:
            return "uniform", linear_bound
        if leaf == "kernel":
            return "normal", 0.01
        return "ones", 1.0 if leaf in ("scale", "var") else 0.0

    return _drawn(key, shapes, recipe)


def transformer_weights(key: chex.PRNGKey, shapes: Variables) -> Variables:
    """Draw the weights of a vision transformer.

    Kernels, embeddings of places and the class token, and tables of biases are normal with
    deviation 0.02, as in the code of ViT's and Swin's authors and of timm (which cut it at 2, that
    is at 100 deviations); biases are zero, normalisations start as the identity.

    Args:
      key: randomness.
      shapes: ``{'params': ...}`` as ``jax.eval_shape`` gives it, with linen's names of leaves.

    Returns:
      float32 arrays of those shapes.
    """

    def recipe(path: tuple, shape: tuple[int, ...]) -> tuple[str, float]:
        del shape
        if path[-1].key in ("scale", "bias"):
            return "ones", 1.0 if path[-1].key == "scale" else 0.0
        return "normal", 0.02

    return _drawn(key, shapes, recipe)


def _drawn(
    key: chex.PRNGKey,
    shapes: Variables,
    recipe: Callable[[tuple, tuple[int, ...]], tuple[str, float]],
) -> Variables:
    """Cut one random array of each distribution into all layers.

    A generator for each layer would give weights as good, but compiling one costs up to half a
    second on a CPU: ten seconds for a ResNet-18, and tenths of a second this way.

    Args:
      key: randomness.
      shapes: as ``jax.eval_shape`` gives them.
      recipe: of a leaf's path and shape the distribution, ``'normal'``, ``'uniform'`` or
        ``'ones'``, and what it is multiplied by.
    """
    leaves, structure = jax.tree.flatten_with_path(shapes)
    recipes = [recipe(path, leaf.shape) for path, leaf in leaves]
    sizes = [math.prod(leaf.shape) for _, leaf in leaves]
    total = {
        source: sum(n for n, (used, _) in zip(sizes, recipes, strict=True) if used == source)
        for source in ("normal", "uniform", "ones")
    }
    normal_key, uniform_key = jax.random.split(key)
    draws = {
        "normal": jax.random.normal(normal_key, (total["normal"],)),
        "uniform": jax.random.uniform(uniform_key, (total["uniform"],), minval=-1.0),
        "ones": jnp.ones(total["ones"]),
    }
    taken = dict.fromkeys(draws, 0)
    arrays = []
    for (_, leaf), (source, factor), size in zip(leaves, recipes, sizes, strict=True):
        start = taken[source]
        taken[source] += size
        arrays.append(factor * draws[source][start : start + size].reshape(leaf.shape))
    return jax.tree.unflatten(structure, arrays)
