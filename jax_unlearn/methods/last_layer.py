"""Which of a network's parameters make up its last linear layer: read off its computation.

A Model is two functions, so names say nothing. What a parameter does to the logits does: the last
linear layer is a parameter that a matrix product or a convolution applies to features, and whatever
parameters are added afterwards, if from there on nothing but sums, changes of shape and constant
factors lead to the logits.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from jax_unlearn.core import InputError, Model, Problem, split_variables, to_unit, with_params
from jax_unlearn.methods.descent import needs_examples

_SHAPES = ("reshape", "transpose", "broadcast_in_dim", "squeeze", "slice", "copy", "copy_p")
_UNARY = (*_SHAPES, "convert_element_type", "reduce_sum", "neg", "sharding_constraint")
_SUMS = ("add", "sub", "add_any")
_PRODUCTS = ("dot_general", "conv_general_dilated")


class _Value(NamedTuple):
    """What is known of a value of the computation.

    Attributes:
      kind: 'constant'; 'parameter', of nothing but parameters, linearly; 'features', anything else;
        'layer', a linear layer's output.
      leaves: positions of the parameters that it depends on linearly.
    """

    kind: str
    leaves: frozenset[int] = frozenset()


_CONSTANT, _FEATURES = _Value("constant"), _Value("features")


def last_linear_layer(problem: Problem, name: str = "") -> Any:
    """Find the parameters of the last linear layer: weight, and bias where it has one.

    Args:
      problem: of which the network and the size of its images count; weights may be missing.
      name: the layer's name or path in the tree of parameters, such as ``'fc'`` or
        ``'head/Dense_0'``, or several with commas; '' finds it.

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
        chosen = frozenset().union(*(_named(given, one) for one in name.split(",")))
    else:
        shapes, tree = jax.tree.flatten(jax.tree.map(_shape, variables))
        image = needs_examples("forget", problem.forget).image
        one = jax.ShapeDtypeStruct((1, *image.shape[1:]), image.dtype)
        chosen = _found(problem.model, tuple(shapes), tree, jax.eval_shape(to_unit, one))
    if not chosen:
        names = ", ".join(dict.fromkeys(_words(path)[0] for path, _ in paths if path))
        told = (
            f"last_layer={name!r}: no parameter has it in its path"
            if name
            else f"body_rate: the last linear layer of {problem.model.name} cannot be found"
        )
        raise InputError(
            f"{told}: expected the name of its last linear layer, one of {names or 'none'}; set "
            "last_layer to it, or body_rate=1"
        )
    return jax.tree.unflatten(structure, [index in chosen for index in range(len(paths))])


def _words(path: Any) -> list[str]:
    """A path in a tree as names: ``params['fc'].kernel`` is ['fc', 'kernel']."""
    return [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path]


def _named(paths: Sequence[Any], name: str) -> frozenset[int]:
    """Positions of the paths that begin with the names of ``name``, else of those with them."""
    wanted = name.strip("/").split("/")
    words = [_words(path) for path in paths]

    def holds(path: list[str]) -> bool:
        starts = range(len(path) - len(wanted) + 1)
        return any(path[start : start + len(wanted)] == wanted for start in starts)

    begin = frozenset(i for i, path in enumerate(words) if path[: len(wanted)] == wanted)
    return begin or frozenset(i for i, path in enumerate(words) if holds(path))


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype)


# Every run asks, and to trace a network takes tenths of a second.
@functools.lru_cache(maxsize=64)
def _found(
    model: Model, leaves: tuple[Any, ...], structure: Any, image: jax.ShapeDtypeStruct
) -> frozenset[int]:
    """Positions of the last linear layer's parameters; empty where they cannot be told."""
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
    inside: set[int] = set()
    (output,) = _follow(program.jaxpr, inputs, inside)
    # A weight that makes features, too, as tied ones do, is not the last layer's alone.
    alone = output.kind == "layer" and not output.leaves & inside
    return output.leaves if alone else frozenset()


def _follow(program: Jaxpr, inputs: Sequence[_Value], inside: set[int]) -> list[_Value]:
    """What is known of a program's results; ``inside`` gathers the leaves that make features."""
    known: dict[Any, _Value] = dict(zip(program.invars, inputs, strict=True))

    def read(atom: Any) -> _Value:
        return _CONSTANT if isinstance(atom, Literal) else known.get(atom, _CONSTANT)

    for equation in program.eqns:
        values = _apply(equation, [read(atom) for atom in equation.invars], inside)
        known.update(zip(equation.outvars, values, strict=True))
    return [read(atom) for atom in program.outvars]


def _apply(equation: JaxprEqn, operands: list[_Value], inside: set[int]) -> list[_Value]:
    name, varying = equation.primitive.name, [x for x in operands if x.kind != "constant"]
    if not varying:
        return [_CONSTANT] * len(equation.outvars)
    inner = _inner_program(equation)
    if inner is not None:
        return _follow(inner, operands, inside)
    factor = name == "mul" or (name == "div" and operands[1] == _CONSTANT)
    if name in _UNARY or (factor and len(varying) == 1):
        return [varying[0]]
    result = _FEATURES
    if name in _SUMS:
        result = _sum(varying)
    elif name in _PRODUCTS:
        result = _product(operands)
    inside.update(leaf for value in varying for leaf in value.leaves - result.leaves)
    return [result] * len(equation.outvars)


def _sum(terms: list[_Value]) -> _Value:
    kinds = {term.kind for term in terms}
    if "features" in kinds:
        return _FEATURES
    leaves = frozenset().union(*(term.leaves for term in terms))
    return _Value("layer" if "layer" in kinds else "parameter", leaves)


def _product(operands: list[_Value]) -> _Value:
    kinds = [operand.kind for operand in operands]
    if kinds.count("parameter") != 1:
        return _FEATURES
    weight = operands[kinds.index("parameter")]
    return weight if "constant" in kinds else _Value("layer", weight.leaves)


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
