"""Whether what a caller gives can be right, checked once at every public entry.

A wrong value never trains: each check raises :class:`~jax_unlearn.core.InputError`, one line that
names the argument, its value and the remedy.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import (
    Examples,
    InputError,
    Model,
    Problem,
    Unlearner,
    Variables,
    check_number,
)

_MEANT = {
    "retain": "what is left of the training set without them",
    "validation": "examples held out of the training set",
}


def check_examples(argument: str, examples: Any, num_classes: int | None = None) -> None:
    """Check images, labels and ids of labelled images, without reading unread ones.

    Args:
      argument: what the examples were given as, for error messages.
      examples: the examples.
      num_classes: number of classes K; None where it is not known.
    """
    if not all(hasattr(examples, field) for field in Examples._fields):
        raise InputError(
            f"{argument}={type(examples).__name__}: expected jax_unlearn.Examples(image, label, id)"
        )
    image, label, ids = examples.image, np.asarray(examples.label), np.asarray(examples.id)
    told = f"{getattr(image, 'dtype', type(image).__name__)}{list(np.shape(image))}"
    if getattr(image, "dtype", None) != np.uint8 or len(image.shape) != 4:
        raise InputError(
            f"{argument}.image={told}: expected uint8 [N, H, W, C], pixels 0..255; of float "
            "images in [0, 1] give (255 * image).round().astype('uint8')"
        )
    for name, array in (("label", label), ("id", ids)):
        if not np.issubdtype(array.dtype, np.integer) or array.shape != (image.shape[0],):
            flat = array.ndim == 1
            remedy = "give the array of these images" if flat else "give one number each"
            remedy = "of one-hot labels give label.argmax(1)" if array.ndim == 2 else remedy
            raise InputError(
                f"{argument}.{name}={array.dtype}{list(array.shape)}: expected whole numbers "
                f"[{image.shape[0]}], one for each image; {remedy}"
            )
    if label.size:
        _check_range(f"{argument}.label", label, num_classes)
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        raise InputError(
            f"{argument}.id={values[counts > 1][0]}: {counts.max()} examples have it: expected "
            "each id once; number the examples anew"
        )


def _check_range(argument: str, label: np.ndarray, num_classes: int | None) -> None:
    low, high = int(label.min()), int(label.max())
    if low < 0 or (num_classes is not None and high >= num_classes):
        limits = ">= 0" if num_classes is None else f"in [0, {num_classes}), num_classes"
        raise InputError(
            f"{argument}={low if low < 0 else high}: expected labels {limits}; count classes from 0"
        )


def check_problem(problem: Problem) -> None:
    """Check the examples, the network and how they go together; nothing is computed.

    The network is traced once (``jax.eval_shape``) for each of its kinds of input.
    """
    check_number("num_classes", problem.num_classes, low=1, whole=True)
    if not (problem.augment is None or callable(problem.augment)):
        raise InputError(
            f"augment={problem.augment!r}: expected a function (key, images) -> images, such as "
            "crop_and_flip(), or None for none"
        )
    given = {name: getattr(problem, name) for name in ("forget", "retain", "validation")}
    parts: dict[str, Examples] = {name: some for name, some in given.items() if some is not None}
    for name, examples in parts.items():
        check_examples(name, examples, problem.num_classes)
    for (name, one), (other, two) in itertools.combinations(parts.items(), 2):
        _check_apart(name, one, other, two)
    for examples in parts.values():
        if len(examples.label):
            shape = tuple(examples.image.shape[1:])
            check_model(problem.model, problem.variables, shape, problem.num_classes)


def _check_apart(name: str, one: Examples, other: str, two: Examples) -> None:
    both = np.intersect1d(one.id, two.id)
    if both.size:
        raise InputError(
            f"{other}.id={both[0]}: {both.size} of the {other} examples are {name} examples too: "
            f"expected {_MEANT[other]}; take them out"
        )
    if len(one.label) and len(two.label) and one.image.shape[1:] != two.image.shape[1:]:
        raise InputError(
            f"{other}.image={list(two.image.shape)}: expected the size of the {name} images, "
            f"{list(one.image.shape)}; resize one of them"
        )


def check_model(
    model: Model, variables: Variables, image: tuple[int, ...], num_classes: int | None = None
) -> int:
    """Check what a network gives back for images [B, H, W, C], and return its number of outputs.

    Args:
      model: the network.
      variables: its weights.
      image: (H, W, C).
      num_classes: number of outputs K that it must have; None allows any.
    """
    leaves, structure = jax.tree.flatten(variables)
    shapes = tuple(
        jax.ShapeDtypeStruct(np.shape(x), x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype)
        for x in leaves
    )
    return _outputs(model, structure, shapes, image, num_classes)


@functools.lru_cache(maxsize=64)
def _outputs(
    model: Model,
    structure: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    image: tuple[int, ...],
    num_classes: int | None,
) -> int:
    variables = jax.tree.unflatten(structure, shapes)
    images = jax.ShapeDtypeStruct((2, *image), jnp.float32)
    taken = {}
    if model.takes_weight:
        taken["weight"] = jax.ShapeDtypeStruct((2,), jnp.float32)
    if model.takes_key:
        taken["key"] = jax.eval_shape(jax.random.key, 0)
    outputs = _trace(model, variables, images, num_classes, train=False)
    _trace(model, variables, images, num_classes, train=True, **taken)
    return outputs


def _trace(
    model: Model,
    variables: Variables,
    images: jax.ShapeDtypeStruct,
    num_classes: int | None,
    *,
    train: bool,
    **taken: jax.ShapeDtypeStruct,
) -> int:
    """Number of outputs; see :func:`check_model`."""
    told = f"model={model.name!r}"
    changed: list[str] = []
    given: dict[str, Any] = {}

    def apply(variables: Variables, images: jax.Array, taken: dict[str, jax.Array]) -> tuple[()]:
        out = model.apply(variables, images, train=train, **taken)
        if isinstance(out, tuple) and len(out) == 2:
            changed.extend(_changed(variables, out[1]))
        given["out"] = out
        return ()

    try:
        jax.eval_shape(apply, variables, images, taken)
    except InputError:
        raise
    except Exception as error:
        first = " ".join(str(error).split())
        raise InputError(
            f"{told}: apply fails on images float32{list(images.shape)} with train={train} "
            f"({type(error).__name__}: {first[:200]}): expected apply(variables, images, *, train) "
            "-> (logits, variables); mend it, or give the weights and images that it is made for"
        ) from error
    out = given["out"]
    if not (isinstance(out, tuple) and len(out) == 2):
        kind = f"a tuple of {len(out)}" if isinstance(out, tuple) else f"a {type(out).__name__}"
        raise InputError(
            f"{told}: apply returns {kind}: expected (logits, variables); return the variables "
            "beside the logits, as they were where nothing changes"
        )
    logits, after = out
    shape, dtype = getattr(logits, "shape", None), getattr(logits, "dtype", None)
    if shape is None or len(shape) != 2 or shape[0] != images.shape[0] or not _is_float(dtype):
        form = type(logits).__name__ if shape is None else f"{dtype}{list(shape)}"
        raise InputError(
            f"{told}: apply returns {form} for {images.shape[0]} images: expected logits float32 "
            f"[{images.shape[0]}, K]; return one row of class scores for each image"
        )
    if num_classes is not None and shape[1] != num_classes:
        raise InputError(
            f"num_classes={num_classes}: the network {model.name!r} has {shape[1]} outputs: "
            "expected as many as there are classes; give the network's number, or another network"
        )
    _check_variables(told, variables, after, changed if train else [])
    return shape[1]


def same_structure(a: Any, b: Any) -> bool:
    """Whether two trees have the same containers and keys, whatever their leaves are."""
    # JAX's types allow None for a structure, so that comparing two directly is refused.
    structures: list[Any] = [jax.tree.structure(tree) for tree in (a, b)]
    return structures[0] == structures[1]


def _is_float(dtype: Any) -> bool:
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating)


def _changed(before: Variables, after: Variables) -> list[str]:
    """Paths of the leaves that a pass did not hand back as they were."""
    if not same_structure(before, after):
        return []
    pairs = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    return [jax.tree_util.keystr(path) for (path, old), new in pairs if new is not old]


def _check_variables(told: str, before: Variables, after: Variables, changed: list[str]) -> None:
    kept = same_structure(before, after)
    shapes = [jax.tree.map(np.shape, tree) for tree in (before, after)]
    if not kept or shapes[0] != shapes[1]:
        raise InputError(
            f"{told}: apply returns variables of another structure or shape: expected those that "
            "it was given, with the same keys; return them whole"
        )
    divided = isinstance(before, dict) and "params" in before
    trained = before["params"] if divided else before
    odd = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(trained)
        if not _is_float(leaf.dtype)
    ]
    if odd or (changed and not divided):
        named, why = (odd[0], "is no float") if odd else (changed[0], "is changed by apply")
        raise InputError(
            f"variables: {named} {why}, so it is no weight to train: expected the weights alone "
            "under 'params' and the rest beside them; with NNX split them by `graph, params, rest "
            "= nnx.split(net, nnx.Param, ...)` and give {'params': params, 'rest': rest}"
        )


def check_batch_size(unlearner: Unlearner, rows: int, *, shares: int = 1) -> None:
    """Raise InputError where a method shows fewer rows than it takes at a time.

    Args:
      unlearner: the method.
      rows: how many it shows.
      shares: number of devices over which they are split, and which divide every batch.
    """
    if unlearner.batch_size > rows:
        most = rows // shares * shares
        advice = f"use at most {most}"
        if not most:
            advice = f"{shares} devices cannot share them: pass placement='device' or 'host'"
        raise InputError(
            f"batch_size={unlearner.batch_size}: {type(unlearner).__name__} has only {rows} "
            f"examples to show; {advice}"
        )
