"""The words of the benchmarks: the bench, a case, its rows."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all benchmarks are told.

    Attributes:
      quick: smaller workloads and fewer repeats, to see that everything runs.
      torch_python: a Python that has PyTorch, to measure it too; None leaves it out.
      accelerator: whether the devices are GPUs or TPUs.
      kind: name of the device, such as NVIDIA H200.
    """

    quick: bool
    torch_python: str | None
    accelerator: bool
    kind: str

    @property
    def seconds(self) -> float:
        """Time spent on the repeats of one comparison."""
        return 1.0 if self.quick else 8.0


class Row(NamedTuple):
    """One figure.

    Attributes:
      name: what was measured.
      value: the figure; None where there is none.
      unit: its unit.
      note: what it must be read with.
    """

    name: str
    value: float | None
    unit: str
    note: str = ""


class Case(NamedTuple):
    """A part of a benchmark that is measured, or fails, on its own.

    Attributes:
      name: unique within the benchmark.
      measure: gives the rows.
    """

    name: str
    measure: Callable[[], list[Row]]
