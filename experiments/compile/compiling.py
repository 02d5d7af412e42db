"""For a target: which programs a command asks for, and each of them compiled."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from jax_unlearn.models.mixed import compute_type
from jax_unlearn.sharding import Layout, make_mesh, parse_mesh

from ..shared.chip import Chip
from ..shared.execution import Execution
from .fitting import check_data, check_one_image, check_state, confirmed_batch, halved
from .jobs import Job, list_jobs, rows
from .kernels import largest_kernel
from .measuring import NO_ROOM, Record, is_known, is_too_large, measure, module
from .roofline import largest_batch
from .settings import Settings
from .target import Target, devices_of, quiet


@dataclasses.dataclass(frozen=True)
class Compiling:
    """Programs of a run and a device that they are compiled for.

    Attributes:
      settings: what the run would compute.
      chip: what is published of one device.
      jobs: the programs.
    """

    settings: Settings
    chip: Chip
    jobs: list[Job]

    @property
    def room(self) -> float:
        """Bytes that a device has for programs."""
        return self.chip.memory * self.chip.usable

    def compile(self, job: Job, *, known: Mapping[str, Record] = MappingProxyType({})) -> Record:
        """Compile a program, unless it is the very program that another is.

        Args:
          job: the program.
          known: what is compiled for these devices already, by name.

        Raises:
          InputError: there is no room for one image on each device.
        """
        record = self._measure(job, known)
        if "same_as" in record:
            return record
        name, where = self.settings.experiment.network.name, self.chip.name
        if not is_too_large(record):
            return record
        one = self._measure_one(job)
        if not is_known(one):
            return record
        needed = math.inf if one["error"] is not None else one["memory"]["total"]
        check_one_image(name, needed, self.room, where=where)
        if record["error"] is not None:
            # How much it would need is not said.
            return record
        # Gradients, too, lie in temporaries, and they are as large with one image.
        rows = job.batch - one["batch"]
        per_row = (record["memory"]["total"] - needed) / rows if rows else 0.0
        fixed = needed - per_row * one["batch"]
        record["largest_batch"] = largest_batch(fixed, per_row, self.room, job.shards)
        return record

    def has_changed(self, job: Job, record: Record | None) -> bool:
        """Whether a program is another than what was compiled, by a version of the code before."""
        if record is None or not is_known(record):
            return False
        try:
            with quiet():
                return module(job.lower(job.batch)) != record["module"]
        except Exception:  # why it cannot be made any more, compiling it tells
            return True

    def fit(self, job: Job, record: Record, known: Mapping[str, Record]) -> Record:
        """Find the largest batch of a program, compiled or too large, by compiling a few.

        Args:
          job: the program.
          record: what is known of it.
          known: what is compiled for these devices, by name; of a program that is another's the
            other's is found already.

        Returns:
          The record with ``largest_batch``; ``refused_batch``, the smallest that was found not to
          fit, or None; and ``refused_for``, what the compiler said where that is not its memory.
        """
        other = known.get(record.get("same_as", ""), {})
        if "refused_batch" in other:
            found = ("largest_batch", "refused_batch", "refused_for", "confirmed")
            return record | {key: other[key] for key in found if key in other}
        errors: dict[int, str] = {}

        def needs(batch: int) -> float:
            tried = self._measure_batch(job, batch)
            if tried["error"] is None:
                return tried["memory"]["total"]
            errors[batch] = tried["error"]
            return math.inf

        if record["error"] is None:
            sizes = {job.batch: record["memory"]["total"]}
            guess = record["largest_batch"]
            # Where a row takes no memory of its own, more of them tell what they take.
            guess = 2 * job.batch if guess is None else guess
        else:
            errors[job.batch] = record["error"]
            sizes = halved(needs, job.batch, job.shards)
            guess = int(min(sizes) * self.room / sizes[min(sizes)])
        most, least = confirmed_batch(needs, sizes, guess, self.room, job.shards)
        record = record | {"largest_batch": most, "refused_batch": least, "confirmed": True}
        if least in errors and NO_ROOM not in errors[least]:
            record["refused_for"] = errors[least]
        return record

    def _measure_one(self, job: Job) -> Record:
        """The program with one image on each device."""
        return self._measure_batch(job, job.shards)

    def _measure_batch(self, job: Job, batch: int) -> Record:
        """The program with a batch of this size, all of it images."""
        return self._measure(dataclasses.replace(job, batch=batch, padding=0))

    def _measure(self, job: Job, known: Mapping[str, Record] = MappingProxyType({})) -> Record:
        settings = self.settings
        kernel = largest_kernel(settings.model, settings.image_shape)
        dtype = compute_type(settings.experiment.network.dtype)
        return measure(job, self.chip, dtype, kernel, known)


def prepare(
    settings: Settings, target: Target, execution: Execution, programs: Sequence[str]
) -> Compiling:
    """List what a command asks for.

    Raises:
      InputError: XLA refuses the topology, the mesh does not divide its devices, the devices do
        not divide a batch whose data are split over them, or data or weights do not fit on them.
    """
    devices = devices_of(target)
    chip = target.chip
    split = execution.placement == "sharded"
    each = "" if split else f"model={len(devices)}"
    mesh = parse_mesh(execution.mesh or each, devices=devices)
    beside = Layout(mesh, stacked=True, splits_pool=split)
    # A single model has no use for the axis model: all devices share its batch. A mesh that is
    # asked for with models side by side is that of every program, as it is in a run.
    together = Layout(make_mesh(devices=devices), splits_pool=split)
    if execution.mesh and beside.num_models > 1:
        together = beside
    if split:
        for _, method, _ in rows(settings):
            method.split_batches(together.batch_shards)
    on_device = execution.placement in ("device", "sharded")
    scans = on_device and settings.experiment.loop != "python"
    jobs = list_jobs(settings, together, beside, programs, scans=scans)
    compiling = Compiling(settings, chip, jobs)
    check_state(settings, compiling.room, where=chip.name)
    if on_device:
        check_data(
            settings.training(),
            compiling.room,
            where=chip.name,
            placement=execution.placement,
            shares=together.pool_shards,
            others="sharded or host" if together.batch_shards > 1 and not split else "host",
        )
    return compiling
