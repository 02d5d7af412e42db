"""Convolutions and products of an optimised program: their windows and their operations."""

import dataclasses
import math
import re
from collections.abc import Iterator

import numpy as np

from .program import Computation, Executed, Instruction, Module, Shape

CUDNN = "__cudnn$conv"
CUBLAS = "__cublas$"


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution, in the terms of the forward one that it is or belongs to.

    Attributes:
      window: positions of the kernel along each axis of the image.
      outputs: positions of the result along each axis; of one that a library computes as a
        gradient, those of the convolution whose gradient it is.
      met: along each axis how many positions of the kernel an output meets at most.
      by_library: whether cuDNN computes it, which has a kernel of its own for each gradient.
      flops: multiplications and additions of it once; positions in the padding are not counted.
      times: how often it runs.
    """

    window: tuple[int, ...]
    outputs: tuple[int, ...]
    met: tuple[int, ...]
    by_library: bool
    flops: float
    times: int

    @property
    def reach(self) -> tuple[int, ...]:
        """What counts as its kernel's size.

        A plain convolution of the optimised program may be a weight gradient: its window is then
        the whole image, and its result has the kernel's size. Along an axis of a batch, or of a
        product's rows, each output meets a single position of a window of any size.
        """
        if self.by_library:
            return self.window
        sizes = zip(self.window, self.outputs, self.met, strict=True)
        return tuple(1 if met <= 1 else min(window, outputs) for window, outputs, met in sizes)


def convolutions(module: Module) -> list[Convolution]:
    """All convolutions that run, a loop's once, with how often it does."""
    found = []
    for one in module.computed():
        if one.instruction.opcode == "convolution":
            shapes = (*_operands(one.instruction, one.within), one.instruction.shapes[0])
            found.append(_convolution(one, *shapes, by_library=False))
        elif one.instruction.target.startswith(CUDNN):
            found.append(_of_cudnn(one))
    return found


def flops(module: Module) -> float:
    """Multiplications and additions of all convolutions and matrix products that run."""
    return sum(one.times * one.flops for one in convolutions(module)) + product_flops(module)


def product_flops(module: Module) -> float:
    """Multiplications and additions of all matrix products that run."""
    return sum(_products(module))


def _products(module: Module) -> Iterator[float]:
    for instruction, within, times, *_ in module.computed():
        if instruction.opcode == "dot":
            left = _shapes(instruction.operands[0], within)[0]
            contracted = _listed(instruction.rest, "lhs_contracting_dims=")
            sizes = [left.dims[axis] for axis in contracted]
            yield times * 2.0 * instruction.shapes[0].size * math.prod(sizes)
        elif instruction.target.startswith(CUBLAS):
            left, right = _operands(instruction, within)
            batch = math.prod(left.dims[a] for a in _listed(instruction.rest, "lhs_batch"))
            # Each of the three sizes of a product stands in two of the three arrays.
            sizes = [shape.size for shape in (left, right, instruction.shapes[0])]
            yield times * 2.0 * math.sqrt(math.prod(sizes) / batch)


def _of_cudnn(one: Executed) -> Convolution:
    call = one.instruction
    first, second = _operands(call, one.within)
    result = call.shapes[0]
    if "BackwardFilter" in call.target:
        image, kernel, output = first, result, second
    elif "BackwardInput" in call.target:
        image, kernel, output = result, second, first
    else:
        image, kernel, output = first, second, result
    return _convolution(one, image, kernel, output, by_library=True)


def _convolution(
    one: Executed, image: Shape, kernel: Shape, output: Shape, *, by_library: bool
) -> Convolution:
    instruction = one.instruction
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", instruction.rest)
    assert labels, instruction.name
    axes = [str(axis) for axis in range(len(kernel.dims) - 2)]
    places = [[of.index(axis) for axis in axes] for of in labels.groups()]
    inputs, window, outputs = (
        tuple(shape.dims[place] for place in own)
        for shape, own in zip((image, kernel, output), places, strict=True)
    )
    taps = [
        _taps(inputs[axis], window[axis], outputs[axis], given)
        for axis, given in enumerate(_windows(instruction.rest))
    ]
    channels = kernel.dims[labels[2].index("i")]
    rest = output.size / math.prod(outputs)
    flops = 2.0 * rest * channels * math.prod(int(each.sum()) for each in taps)
    met = tuple(int(each.max()) for each in taps)
    return Convolution(window, outputs, met, by_library, flops, one.times)


def _windows(rest: str) -> Iterator[tuple[int, int, int, int]]:
    """Stride, padding before, and dilations of image and kernel, of each axis."""
    found = re.search(r"window=\{([^}]*)\}", rest)
    given = dict(part.split("=") for part in found[1].split()) if found else {}
    for axis in range(given.get("size", "").count("x") + 1 if given else 0):
        own = {name: value.split("x")[axis] for name, value in given.items()}
        yield (
            int(own.get("stride", 1)),
            int(own.get("pad", "0_0").split("_")[0]),
            int(own.get("lhs_dilate", 1)),
            int(own.get("rhs_dilate", 1)),
        )


def _taps(size: int, window: int, outputs: int, given: tuple[int, int, int, int]) -> np.ndarray:
    """How many of a window's positions, along an axis, meet an input's element, by output."""
    stride, before, image_dilation, window_dilation = given
    at = np.arange(outputs)[:, None] * stride + np.arange(window) * window_dilation - before
    inside = (at >= 0) & (at <= (size - 1) * image_dilation) & (at % image_dilation == 0)
    return np.asarray(inside.sum(1))


def _operands(instruction: Instruction, within: Computation) -> tuple[Shape, Shape]:
    first, second = (_shapes(name, within)[0] for name in instruction.operands[:2])
    return first, second


def _shapes(name: str, within: Computation) -> tuple[Shape, ...]:
    return within[name].shapes


def _listed(rest: str, name: str) -> list[int]:
    found = re.search(rf'{re.escape(name)}\w*"?[:=]?[\[{{]([\d,"]*)[\]}}]', rest)
    return [int(n) for n in found[1].replace('"', "").split(",") if n] if found else []
