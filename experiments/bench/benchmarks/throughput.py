"""Images per second of training, NatMU and MU-Mis steps, and the share of the device's peak."""

import functools

import jax

from .cases import Case, Plan, Row
from .peaks import peak
from .settings import DIGITS, RESNET8, STEPS, Setting
from .stepping import Stepper, per_step


def settings(plan: Plan) -> list[Setting]:
    """Networks, batch sizes and types that are measured on this kind of device."""
    if not plan.accelerator:
        return [DIGITS] if plan.quick else [DIGITS, RESNET8, Setting("resnet10", 128, width=8)]
    if plan.quick:
        return [Setting("resnet18", 128, dtype=dtype) for dtype in ("float32", "bfloat16")]
    return [
        Setting(network, batch, dtype=dtype)
        for network, batches in (
            ("resnet18", (128, 256, 512, 1024)),
            ("resnet34", (128, 512)),
            ("vgg16_bn", (128, 512)),
        )
        for batch in batches
        for dtype in ("float32", "bfloat16")
    ]


def cases(plan: Plan) -> list[Case]:
    """A case for every setting and kind of step."""
    return [
        Case(f"{setting} {kind}", functools.partial(_measure, plan, setting, kind))
        for setting in settings(plan)
        for kind in STEPS
    ]


def _measure(plan: Plan, setting: Setting, kind: str) -> list[Row]:
    stepper = Stepper(*STEPS[kind](setting), scanned=plan.accelerator)
    seconds = per_step({"step": stepper}, plan.seconds / 4)["step"]
    rate = stepper.flops() / seconds / jax.device_count()
    most = peak(plan.kind, setting.dtype)
    return [
        Row(f"{setting} {kind}", setting.batch / seconds, "images/s", f"{1e3 * seconds:.3g} ms"),
        Row(
            f"{setting} {kind}, share of peak",
            100 * rate / most if most else None,
            "%",
            f"{rate / 1e12:.3g} TFLOP/s a device",
        ),
    ]
