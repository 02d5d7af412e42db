"""Images per second of training, NatMU and MU-Mis steps, and the share of the device's peak."""

import functools

from ...shared.chip import chip_of
from .cases import Bench, Case, Row
from .stepping import Stepper, per_step
from .workloads import DIGITS, RESNET8, STEPS, Workload


def loads(bench: Bench) -> list[Workload]:
    """Networks, batch sizes and types that are measured on this kind of device."""
    if not bench.accelerator:
        return [DIGITS] if bench.quick else [DIGITS, RESNET8, Workload("resnet10", 128, width=8)]
    if bench.quick:
        return [Workload("resnet18", 128, dtype=dtype) for dtype in ("float32", "bfloat16")]
    return [
        Workload(network, batch, dtype=dtype)
        for network, batches in (
            ("resnet18", (128, 256, 512, 1024)),
            ("resnet34", (128, 512)),
            ("vgg16_bn", (128, 512)),
        )
        for batch in batches
        for dtype in ("float32", "bfloat16")
    ]


def cases(bench: Bench) -> list[Case]:
    """A case for every load and kind of step."""
    return [
        Case(f"{load} {kind}", functools.partial(_measure, bench, load, kind))
        for load in loads(bench)
        for kind in STEPS
    ]


def _measure(bench: Bench, load: Workload, kind: str) -> list[Row]:
    stepper = Stepper(*STEPS[kind](load), scanned=bench.accelerator)
    seconds = per_step({"step": stepper}, bench.seconds / 4)["step"]
    rate = stepper.flops() / seconds
    chip = chip_of(bench.kind)
    most = chip.peak[load.dtype] if chip else None
    return [
        Row(f"{load} {kind}", load.batch / seconds, "images/s", f"{1e3 * seconds:.3g} ms"),
        Row(
            f"{load} {kind}, share of peak",
            100 * rate / most if most else None,
            "%",
            f"{rate / 1e12:.3g} TFLOP/s a device",
        ),
    ]
