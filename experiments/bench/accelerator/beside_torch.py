"""Steps of the same network in PyTorch: channels last, bfloat16, compiled."""

import pathlib

from ..benchmarks.apart import run_json
from ..benchmarks.cases import Row
from .session import Part, Session

SCRIPT = pathlib.Path(__file__).parents[1] / "benchmarks" / "torch_step.py"

STAGES = {"resnet18": [2, 2, 2, 2], "convnet": [1]}
"""Blocks of each stage; for a rehearsal any network will do."""


def parts(session: Session) -> list[Part]:
    """A part for each method; none where PyTorch is not at hand, or has no such device."""
    if session.torch_python is None or session.platforms == "tpu":
        return []
    compiles = not session.quick
    return [
        _part("PyTorch", session, "training", compiles, "a step of NatMU is the same"),
        # Its compiler refuses derivatives of derivatives.
        _part("PyTorch MU-Mis", session, "MU-Mis", False, "gradient of gradient"),
    ]


def _part(name: str, session: Session, method: str, compiled: bool, said: str) -> Part:
    return Part(name, 45, 150, lambda limit: _measure(session, limit, method, compiled, said))


def _measure(session: Session, limit: float, method: str, compiled: bool, said: str) -> list[Row]:
    load = session.load
    # A single device has its share of the batch: PyTorch is not spread over several here.
    batch = load.batch // session.devices
    message = {
        "method": method,
        "batch": batch,
        "side": load.side,
        "channels": load.channels,
        "width": load.width or 64,
        "blocks": STAGES[load.network],
        "channels_last": True,
        "bfloat16": load.dtype == "bfloat16",
        "compiled": compiled,
        "device": session.platforms if session.platforms in ("cuda", "cpu") else "cuda",
        "seconds": session.seconds,
        "threads": session.machine["cores"],
    }
    found = run_json([str(session.torch_python), str(SCRIPT)], message, {}, limit=limit)
    ways = "channels last" + ", bfloat16" * message["bfloat16"] + ", compiled" * compiled
    note = f"PyTorch {found['version']}, one device, {ways}"
    note += f"; one batch that stays, no augmentation; {said}"
    name = f"{load.network} {load.side}x{load.side} {load.dtype} b{batch} {method}, PyTorch"
    return [Row(name, batch / found["seconds"], "images/s", note)]
