"""How a command uses its machine: what no result depends on, but for rounding."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import jax
from jax.sharding import Mesh

from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.sharding import parse_mesh

PLACEMENTS = ("device", "sharded", "host", "stream")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Execution:
    """How the work is spread, saved and watched.

    Attributes:
      mesh: devices by axis, such as data=8 or model=4,data=2. A batch is spread over data; models
        that are trained side by side take one place on model each. Empty trains a model on each
        device; several processes always share the batches of one model.
      placement: where the training set lies, device, sharded, host or stream. Sharded where it does
        not fit on each device but on a model's devices together (without --mesh all of them), of
        which each draws its part of every batch from a share of its own, so that batches depend on
        the number of devices. On the host where it does not fit on devices: its rows are then sent
        batch by batch. Streamed where it does not fit into memory either: it is then read from
        where it is prepared, as it is needed.
      checkpoint_seconds: time between checkpoints of a model under way.
      keep_weights: whether weights are stored, of oracles and unlearned models, not only what they
        predict; those of originals are always kept.
      profile: folder for a trace of the whole command, to be opened in Perfetto or TensorBoard.
      coordinator: HOST:PORT of process 0, where several processes work as one; SLURM, TPU pods,
        Kubernetes and Open MPI give it by themselves.
      num_processes: how many processes there are.
      process_id: number of this one, from 0.
    """

    mesh: str = ""
    placement: str = "device"
    checkpoint_seconds: float = 60.0
    keep_weights: bool = True
    profile: str | None = None
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def validate(self) -> None:
        """Raise InputError for a value out of range; devices are not touched."""
        check_choice("placement", self.placement, PLACEMENTS)
        check_number("checkpoint_seconds", self.checkpoint_seconds, low=0)
        if self.profile is not None and pathlib.Path(self.profile).is_file():
            raise InputError(f"profile={self.profile!r}: a file stands there; expected a folder")


ORDINARY = Execution()
"""All devices, everything on them, a checkpoint a minute."""


def mesh_of(execution: Execution) -> Mesh:
    """The devices as the settings arrange them.

    Without a word on it each device of a process trains a model of its own, unless the data are
    split over those of a model, or there are several processes: all then work on one.

    Raises:
      InputError: the settings' text does not arrange the devices that there are.
    """
    together = jax.process_count() > 1 or execution.placement == "sharded"
    return parse_mesh(execution.mesh or ("" if together else f"model={jax.device_count()}"))


@contextlib.contextmanager
def profiled(folder: str | None) -> Iterator[None]:
    """Write a trace of what happens inside to a folder; None writes none."""
    if folder is None:
        yield
        return
    options = jax.profiler.ProfileOptions()
    # A trace holds a million events: every Python call would leave no room for the programs.
    options.python_tracer_level = 0
    with jax.profiler.trace(folder, create_perfetto_trace=True, profiler_options=options):
        yield
