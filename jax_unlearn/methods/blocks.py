"""Blocks of a network, from the first to the last: read off its computation, or named."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jax_unlearn.core import InputError, Model, Variables, split_variables
from jax_unlearn.methods.last_layer import leaves_named, order_of_use, path_words

Blocks = dict[str, list[int]]
"""Positions of each block's parameters among the leaves of their tree, by the block's name."""


def network_blocks(model: Model, variables: Variables, image: jax.ShapeDtypeStruct) -> Blocks:
    """Divide a network's parameters into blocks, in the order in which an image meets them.

    A block is an entry at the top of the tree of parameters (where there is one entry alone, of
    what is in it) that holds a weight, a parameter of two axes or more. An entry without one, such
    as a normalisation, belongs to the block before it. The blocks of this library's networks:

    - ResNets: the first convolution with its normalisation; each residual block with its shortcut,
      ``layer1_0`` to ``layer4_1`` in ResNet-18; the linear layer ``fc``.
    - VGG-16 and the convnet: each convolution with its normalisation; the linear layer ``fc``.

    Args:
      model: the network.
      variables: its weights, of which shapes and types count.
      image: shape and type of a batch of one image.
    """
    params, _ = split_variables(variables)
    paths, _ = jax.tree_util.tree_flatten_with_path(params)
    words = [path_words(path) for path, _ in paths]
    top = 0
    while all(len(path) > top + 1 for path in words) and len({path[top] for path in words}) == 1:
        top += 1
    entries: Blocks = {}
    for index in order_of_use(model, variables, image):
        entries.setdefault("/".join(words[index][: top + 1]), []).append(index)
    blocks: Blocks = {}
    leading: list[int] = []
    for name, indices in entries.items():
        if any(jnp.ndim(paths[index][1]) >= 2 for index in indices):
            blocks[name] = indices if blocks else leading + indices
        else:
            (blocks[next(reversed(blocks))] if blocks else leading).extend(indices)
    return blocks


def last_blocks(
    model: Model, variables: Variables, image: jax.ShapeDtypeStruct, k: int, names: str = ""
) -> Any:
    """Mark the parameters of the last ``k`` blocks, or of those that are named.

    Args:
      model: the network.
      variables: its weights, of which shapes and types count.
      image: shape and type of a batch of one image.
      k: number of blocks, counted from the network's end.
      names: names or paths in the tree of parameters, such as ``'fc'`` or ``'layer4_1/conv2'``,
        several with commas; '' takes the last ``k`` blocks.

    Returns:
      A pytree of Python's bool like the parameters.

    Raises:
      InputError: the network has fewer blocks, or none of a name.
    """
    params, _ = split_variables(variables)
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    if names:
        chosen = _named([path for path, _ in paths], names)
    else:
        blocks = network_blocks(model, variables, image)
        if k > len(blocks):
            raise InputError(
                f"k={k}: the network {model.name!r} has {len(blocks)} blocks "
                f"({', '.join(blocks)}): expected at most {len(blocks)}; take fewer"
            )
        chosen = frozenset().union(*list(blocks.values())[len(blocks) - k :])
    return jax.tree.unflatten(structure, [index in chosen for index in range(len(paths))])


def _named(paths: Sequence[Any], names: str) -> frozenset[int]:
    chosen: frozenset[int] = frozenset()
    for name in (name.strip() for name in names.split(",")):
        found = leaves_named(paths, name)
        if not found:
            tops = ", ".join(dict.fromkeys(path_words(path)[0] for path in paths if path))
            raise InputError(
                f"blocks={names!r}: no parameter has {name!r} in its path: expected names or paths "
                f"of parameters, such as {tops or 'none, for there is one alone'}; see "
                "jax_unlearn.methods.blocks"
            )
        chosen |= found
    return chosen
