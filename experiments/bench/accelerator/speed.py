"""Images per second of training, NatMU and MU-Mis, against what the chip's published figures allow.

The bound is the roofline of the compiled loop that is timed: its operations over the peak, or its
bytes over the bandwidth, whichever takes longer.
"""

from typing import Any

from jax_unlearn.functional.sensitivity import DIFFERENTIATIONS

from ...compile.roofline import bound
from ...shared.chip import chip_of
from ..benchmarks.cases import Row
from ..benchmarks.stepping import Stepper, per_step
from ..benchmarks.workloads import STEPS, Workload, suppression
from .session import Part, Session


def parts(session: Session) -> list[Part]:
    """A part for each kind of step."""
    kinds = [("training", None), ("NatMU", None), *(("MU-Mis", way) for way in DIFFERENTIATIONS)]
    return [_part(session, kind, way) for kind, way in kinds]


def _part(session: Session, kind: str, way: str | None) -> Part:
    name = f"{kind} {way}" if way else kind

    def measure(limit: float) -> list[Row]:
        load, seconds = session.load, session.seconds
        given = {"load": load.to_json(), "kind": kind, "way": way, "seconds": seconds}
        scanned = session.accelerator
        found = session.run(
            "..accelerator.speed.take", limit, **given, device=session.kind, scanned=scanned
        )
        return rows(f"{load} {name}", load.batch, session.devices, found)

    return Part(name, 30, 120, measure)


def rows(name: str, batch: int, devices: int, found: dict[str, Any]) -> list[Row]:
    """Rows of what :func:`take` gave."""
    rate = batch / found["seconds"]
    note = f"{1e3 * found['seconds']:.4g} ms a step"
    if devices > 1:
        note += f", {rate / devices:.4g} a device"
    given = [Row(name, rate, "images/s", note)]
    if "bound" in found:
        share = 100 * found["bound"] / found["seconds"]
        note = (
            f"bound {1e3 * found['bound']:.4g} ms by {found['by']}: {found['flops'] / 1e9:.4g} "
            f"GFLOP and {found['bytes'] / 1e9:.4g} GB of a device, {found['chip']}"
        )
        given.append(Row(f"{name}, share of the roofline", share, "%", note))
    return given


def take(
    load: dict[str, Any], kind: str, way: str | None, seconds: float, device: str, scanned: bool
) -> dict[str, Any]:
    """Take steps on all devices; JSON values."""
    workload = Workload(**load)
    method = suppression(workload, differentiate=way) if way else STEPS[kind](workload)
    stepper = Stepper(*method, scanned=scanned)
    took = {"seconds": per_step({"step": stepper}, seconds)["step"]}
    chip = chip_of(device)
    if chip is None:
        return took
    found = stepper.costs()
    peak = chip.peak[workload.dtype]
    least = bound(found["flops"], found["bytes"], peak=peak, bandwidth=chip.bandwidth)
    counted = {name: found[name] for name in ("flops", "bytes")}
    return {**took, **counted, "bound": least.seconds, "by": least.by, "chip": chip.name}
