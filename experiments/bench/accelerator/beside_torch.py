"""Steps of the same network in PyTorch: channels last, bfloat16, compiled."""

import pathlib
from typing import Any

from ..benchmarks.apart import run_json
from ..benchmarks.cases import Row
from .session import Part, Session, UnfinishedError

SCRIPT = pathlib.Path(__file__).parents[1] / "benchmarks" / "torch_step.py"

STAGES = {"resnet18": [2, 2, 2, 2], "convnet": [1]}
"""Blocks of each stage; for a rehearsal any network will do."""


def parts(session: Session) -> list[Part]:
    """One part; none where PyTorch is not at hand, or has no such device."""
    if session.torch_python is None or session.platforms == "tpu":
        return []
    return [Part("PyTorch", 60, 200, lambda limit: _measure(session, limit))]


def _measure(session: Session, limit: float) -> list[Row]:
    load = session.load
    # A single device has its share of the batch: PyTorch is not spread over several here.
    batch = load.batch // session.devices

    def row(method: str, *, compiled: bool, said: str) -> Row:
        message = {**common, "method": method, "compiled": compiled}
        found = run_json([str(session.torch_python), str(SCRIPT)], message, {}, limit=limit / 2)
        ways = "channels last" + ", bfloat16" * common["bfloat16"] + ", compiled" * compiled
        note = f"PyTorch {found['version']}, one device, {ways}; {said}"
        name = f"{load.network} {load.side}x{load.side} {load.dtype} b{batch} {method}, PyTorch"
        return Row(name, batch / found["seconds"], "images/s", note)

    common: dict[str, Any] = {
        "batch": batch,
        "side": load.side,
        "channels": load.channels,
        "width": load.width or 64,
        "blocks": STAGES[load.network],
        "channels_last": True,
        "bfloat16": load.dtype == "bfloat16",
        "device": session.platforms if session.platforms in ("cuda", "cpu") else "cuda",
        "seconds": session.seconds,
        "threads": session.machine["cores"],
    }
    stays = "one batch that stays, no augmentation"
    said = f"{stays}; a step of NatMU is the same"
    training = row("training", compiled=not session.quick, said=said)
    try:
        # Its compiler refuses derivatives of derivatives.
        return [training, row("MU-Mis", compiled=False, said=f"{stays}; gradient of gradient")]
    except RuntimeError as error:
        failed = Row("MU-Mis, PyTorch", None, "", f"failed: {error}"[:300])
        raise UnfinishedError([training, failed]) from error
