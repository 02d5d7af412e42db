"""TensorBoard, Weights & Biases and Trackio behind one face; each is imported when it is asked for.

All keep what they are told on this machine unless they are set up otherwise: TensorBoard in the
run's folder ``tensorboard``, wandb with WANDB_MODE=offline in ``wandb`` there, Trackio in its own
cache.
"""

import json
import os
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from jax_unlearn.report.markdown import escape, table

PROJECT = "jax_unlearn"


class Tracker(Protocol):
    """What a run can tell.

    Attributes:
      package: that it needs.
    """

    package: ClassVar[str]

    @classmethod
    def start(cls, folder: pathlib.Path, settings: Mapping[str, Any]) -> "Tracker":
        """Begin a run, with its settings."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add numbers of one epoch."""

    def table(self, name: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """Add a table of texts."""

    def summary(self, values: Mapping[str, float]) -> None:
        """Add numbers that stand for the whole run."""

    def figure(self, name: str, path: pathlib.Path) -> None:
        """Add a PNG."""

    def close(self) -> None:
        """Write what is held."""


class TensorBoard:
    """Event files, by tensorboardX, which needs no TensorFlow."""

    package: ClassVar[str] = "tensorboardX"

    def __init__(self, writer: Any):
        self._writer = writer

    @classmethod
    def start(cls, folder: pathlib.Path, settings: Mapping[str, Any]) -> "TensorBoard":
        """Begin event files in the run's folder."""
        from tensorboardX import SummaryWriter

        # A run is looked at while it goes on.
        writer = SummaryWriter(str(folder / "tensorboard"), flush_secs=10)
        writer.add_text("config", f"```json\n{json.dumps(settings, indent=1)}\n```")
        return cls(writer)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def table(self, name: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """Add a text in Markdown."""
        self._writer.add_text(name, table([[*map(escape, line)] for line in (head, *lines)]))

    def summary(self, values: Mapping[str, float]) -> None:
        """Add scalars of step 0, apart from those per epoch."""
        for name, value in values.items():
            self._writer.add_scalar(f"final/{name}", value, 0)

    def figure(self, name: str, path: pathlib.Path) -> None:
        """Add an image."""
        from PIL import Image

        pixels = np.asarray(Image.open(path).convert("RGB"))
        self._writer.add_image(name, pixels, dataformats="HWC")

    def close(self) -> None:
        """Flush the event files."""
        self._writer.close()


class _Logged:
    """What wandb and Trackio share: a module with log, Table and Image."""

    def __init__(self, run: Any, module: types.ModuleType):
        self._run, self._module = run, module

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers, with the epoch that they are of: the tracker's own steps only grow."""
        self._run.log({**values, "epoch": step})

    def table(self, name: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """Log a table."""
        rows = [list(line) for line in lines]
        self._run.log({name: self._module.Table(columns=list(head), data=rows)})

    def summary(self, values: Mapping[str, float]) -> None:
        """Log numbers, apart from those per epoch."""
        self._run.log({f"final/{name}": value for name, value in values.items()})

    def figure(self, name: str, path: pathlib.Path) -> None:
        """Log an image."""
        self._run.log({name: self._module.Image(str(path))})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class WeightsAndBiases(_Logged):
    """A run of wandb; WANDB_MODE=offline keeps it in the run's folder."""

    package: ClassVar[str] = "wandb"

    @classmethod
    def start(cls, folder: pathlib.Path, settings: Mapping[str, Any]) -> "WeightsAndBiases":
        """Begin a run that is called as the folder is."""
        import wandb

        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.resolve().name,
            config=dict(settings),
            dir=str(folder),
            settings=wandb.Settings(silent=True),
        )
        return cls(run, wandb)

    def summary(self, values: Mapping[str, float]) -> None:
        """Put numbers beside the run."""
        self._run.summary.update({f"final/{name}": value for name, value in values.items()})


class Trackio(_Logged):
    """A run of Trackio, in its cache on this machine."""

    package: ClassVar[str] = "trackio"

    @classmethod
    def start(cls, folder: pathlib.Path, settings: Mapping[str, Any]) -> "Trackio":
        """Begin a run that is called as the folder is."""
        import trackio

        name = folder.resolve().name
        return cls(trackio.init(project=PROJECT, name=name, config=dict(settings)), trackio)


TRACKERS: Mapping[str, type[Any]] = types.MappingProxyType(
    {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "trackio": Trackio}
)
"""By the name that --track takes."""
