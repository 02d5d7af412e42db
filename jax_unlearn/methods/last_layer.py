"""Which of a network's parameters make up its last linear layer: read off its computation.

A Model is two functions, so names say nothing. What a parameter does to the logits does: the last
linear layer is a parameter that a matrix product or a convolution applies to features, and whatever
parameters are added afterwards, if from there on nothing but sums, changes of shape, choices of
columns and factors without features in them lead to the logits. A learned factor, such as a
temperature, is no part of the layer.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from jax_unlearn.core import (
    InputError,
    Model,
    Problem,
    Variables,
    split_variables,
    with_params,
)
from jax_unlearn.methods.descent import needs_examples

_SHAPES = ("reshape", "transpose", "broadcast_in_dim", "squeeze", "rev", "copy", "copy_p")
_CHOICES = ("slice", "dynamic_slice", "gather")
_UNARY = (*_SHAPES, "convert_element_type", "reduce_sum", "neg", "sharding_constraint")
_SUMS = ("add", "sub", "add_any", "concatenate", "pad")
_FACTORS, _LEARNED = ("mul", "div"), ("parameter", "weights")
_PRODUCTS = ("dot_general", "conv_general_dilated", "canonical_convolution")


class _Value(NamedTuple):
    """What is known of a value of the computation.

    Attributes:
      kind: 'constant'; 'parameter', of nothing but parameters, linearly; 'weights', of nothing but
        parameters, in another way; 'layer', a linear layer's output; 'features', anything else.
      leaves: positions of the parameters that it depends on linearly.
    """

    kind: str
    leaves: frozenset[int] = frozenset()


class _Seen(NamedTuple):
    """What becomes of parameters.

    Attributes:
      met: as keys those that have met features, in the order in which they first did.
      inside: those that make features.
    """

    met: dict[int, None]
    inside: set[int]


_CONSTANT, _WEIGHTS, _FEATURES = _Value("constant"), _Value("weights"), _Value("features")


def last_linear_layer(problem: Problem, name: str = "", *, argument: str = "body_rate") -> Any:
    """Find the parameters of the last linear layer: weight, and bias where it has one.

    Args:
      problem: of which the network and the size of its images count; weights may be missing.
      name: the layer's name or path in the tree of parameters, such as ``'fc'`` or
        ``'head/Dense_0'``, or several with commas; '' finds it.
      argument: what asks for it, for error messages.

    Returns:
      A pytree of bool like the parameters, True for those of the layer.

    Raises:
      InputError: nothing has that name; or the last linear layer cannot be told.
    """
    variables = problem.variables
    if variables is None:
        variables = jax.eval_shape(problem.model.init, jax.random.key(0))
    params, _ = split_variables(variables)
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    if name:
        given = [path for path, _ in paths]
        chosen = frozenset().union(*(leaves_named(given, one) for one in name.split(",")))
    else:
        shapes, tree = jax.tree.flatten(jax.tree.map(_shape, variables))
        image = one_image(needs_examples("forget", problem.forget).image)
        chosen, _ = _read(problem.model, tuple(shapes), tree, image)
    if not chosen:
        names = list(dict.fromkeys(path_words(path)[0] for path, _ in paths if path))
        told = (
            f"last_layer={name!r}: no parameter has it in its path"
            if name
            else f"{argument}: the last linear layer of {problem.model.name} cannot be found"
        )
        example = f", such as last_layer={_likely(paths, problem.num_classes)!r}" if names else ""
        raise InputError(
            f"{told}: expected the name of its last linear layer, one of "
            f"{', '.join(names) or 'none'}; set last_layer{example}"
            + (", or body_rate=1" if argument == "body_rate" else "")
        )
    return jax.tree.unflatten(structure, [index in chosen for index in range(len(paths))])


def _likely(paths: Sequence[Any], outputs: int) -> str:
    """Name of the last weight that ends in as many outputs as there are classes, else the last."""
    ends = [path for path, leaf in paths if jnp.ndim(leaf) > 1 and leaf.shape[-1] == outputs]
    path = path_words(ends[-1] if ends else paths[-1][0])
    # Of a layer's weight and bias, what both stand under.
    return "/".join(path[:-1] or path)


def path_words(path: Any) -> list[str]:
    """A path in a tree as names: ``params['fc'].kernel`` is ['fc', 'kernel']."""
    return [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path]


def leaves_named(paths: Sequence[Any], name: str) -> frozenset[int]:
    """Positions of the paths that begin with the names of ``name``, else of those with them."""
    wanted = name.strip("/").split("/")
    words = [path_words(path) for path in paths]

    def holds(path: list[str]) -> bool:
        starts = range(len(path) - len(wanted) + 1)
        return any(path[start : start + len(wanted)] == wanted for start in starts)

    begin = frozenset(i for i, path in enumerate(words) if path[: len(wanted)] == wanted)
    return begin or frozenset(i for i, path in enumerate(words) if holds(path))


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype)


def one_image(images: Any) -> jax.ShapeDtypeStruct:
    """Shape and type of a batch of one of these images, as networks see it."""
    dtype = images.dtype if jnp.issubdtype(images.dtype, jnp.floating) else jnp.float32
    return jax.ShapeDtypeStruct((1, *images.shape[1:]), dtype)


def order_of_use(
    model: Model, variables: Variables, image: jax.ShapeDtypeStruct
) -> tuple[int, ...]:
    """Positions of the parameters in the order in which they meet the features of an image.

    Args:
      model: the network.
      variables: its weights, of which shapes and types count.
      image: shape and type of a batch of one image.

    Returns:
      Positions among the leaves of the tree of parameters; those that the logits do not depend on
      are missing.
    """
    shapes, tree = jax.tree.flatten(jax.tree.map(_shape, variables))
    _, order = _read(model, tuple(shapes), tree, image)
    return order


# Every run asks, and to trace a network takes tenths of a second.
@functools.lru_cache(maxsize=64)
def _read(
    model: Model, leaves: tuple[Any, ...], structure: Any, image: jax.ShapeDtypeStruct
) -> tuple[frozenset[int], tuple[int, ...]]:
    """Positions of the last linear layer's parameters, none where they cannot be told; and all."""
    variables = jax.tree.unflatten(structure, leaves)
    params, rest = split_variables(variables)

    def logits(params: Any, rest: Any, image: jax.Array) -> jax.Array:
        whole = {**variables, **rest} if rest else variables
        return model.logits(with_params(whole, params), image)

    program = jax.make_jaxpr(logits)(params, rest, image)
    count = len(jax.tree.leaves(params))
    inputs = [_Value("parameter", frozenset([index])) for index in range(count)]
    # Running statistics are numbers that stay; the image is a feature like those made of it.
    inputs += [_CONSTANT] * (len(program.jaxpr.invars) - count - 1) + [_FEATURES]
    seen = _Seen({}, set())
    (output,) = _follow(program.jaxpr, inputs, seen)
    # A weight that makes features, too, as tied ones do, is not the last layer's alone.
    alone = output.kind == "layer" and not output.leaves & seen.inside
    return (output.leaves if alone else frozenset()), tuple(seen.met)


def _follow(program: Jaxpr, inputs: Sequence[_Value], seen: _Seen) -> list[_Value]:
    """What is known of a program's results; ``seen`` gathers what becomes of its parameters."""
    known: dict[Any, _Value] = dict(zip(program.invars, inputs, strict=True))

    def read(atom: Any) -> _Value:
        return _CONSTANT if isinstance(atom, Literal) else known.get(atom, _CONSTANT)

    for equation in program.eqns:
        values = _apply(equation, [read(atom) for atom in equation.invars], seen)
        known.update(zip(equation.outvars, values, strict=True))
    return [read(atom) for atom in program.outvars]


def _apply(equation: JaxprEqn, operands: list[_Value], seen: _Seen) -> list[_Value]:
    name, varying = equation.primitive.name, [x for x in operands if x.kind != "constant"]
    if not varying:
        return [_CONSTANT] * len(equation.outvars)
    inner = _inner_program(equation)
    if inner is not None:
        return _follow(inner, operands, seen)
    if any(value.kind not in _LEARNED for value in varying):
        weights = [value for value in varying if value.kind in _LEARNED]
        seen.met.update(dict.fromkeys(leaf for value in weights for leaf in sorted(value.leaves)))
    chosen = name in _CHOICES and len(varying) == 1 and operands[0] is varying[0]
    if name in _UNARY or chosen:
        return [varying[0]]
    if name in _SUMS or (name == "select_n" and operands[0] == _CONSTANT):
        result = _sum(varying)
    elif name in _FACTORS:
        result = _scaled(name, operands)
    elif name in _PRODUCTS:
        result = _product(operands)
    else:
        result = _mixed(varying)
    seen.inside.update(leaf for value in varying for leaf in value.leaves - result.leaves)
    return [result] * len(equation.outvars)


def _mixed(values: list[_Value]) -> _Value:
    """What is made of values in a way that is not linear."""
    return _FEATURES if {v.kind for v in values} & {"layer", "features"} else _WEIGHTS


def _sum(terms: list[_Value]) -> _Value:
    kinds = {term.kind for term in terms}
    if "features" in kinds:
        return _FEATURES
    leaves = frozenset().union(*(term.leaves for term in terms))
    if "layer" in kinds:
        return _Value("layer", leaves)
    return _WEIGHTS if "weights" in kinds else _Value("parameter", leaves)


def _scaled(name: str, operands: list[_Value]) -> _Value:
    """Of a product or quotient, element by element: one value is scaled by what has no features."""
    for value, factor in (operands, operands[::-1]) if name == "mul" else (operands,):
        if factor.kind == "constant" or (value.kind == "layer" and factor.kind in _LEARNED):
            return value
    return _mixed([operand for operand in operands if operand.kind != "constant"])


def _product(operands: list[_Value]) -> _Value:
    kinds = [operand.kind for operand in operands]
    if "constant" in kinds:
        return operands[1 - kinds.index("constant")]
    if kinds.count("parameter") == 1 and "weights" not in kinds:
        return _Value("layer", operands[kinds.index("parameter")].leaves)
    return _mixed(operands)


def _inner_program(equation: JaxprEqn) -> Jaxpr | None:
    """The program that a call runs on the equation's own operands, as jit's and custom_jvp's do."""
    if equation.primitive.name in ("scan", "while", "cond"):
        return None
    for value in equation.params.values():
        program = value.jaxpr if isinstance(value, ClosedJaxpr) else value
        if isinstance(program, Jaxpr) and len(program.invars) == len(equation.invars):
            return program
    return None


def scale_outside(layer: Any, rate: chex.Numeric, updates: Any) -> Any:
    """Multiply updates by ``rate``, those of a layer left as they are, bit for bit.

    Args:
      layer: pytree of bool arrays like the parameters, as :func:`last_linear_layer` makes it.
      rate: the factor.
      updates: pytree like the parameters.
    """

    def scale(inside: jax.Array, update: jax.Array) -> jax.Array:
        # Infinity times nothing is not a number.
        outside = jnp.where(rate == 0, jnp.zeros_like(update), rate * update)
        return jnp.where(inside, update, outside)

    return jax.tree.map(scale, layer, updates)
