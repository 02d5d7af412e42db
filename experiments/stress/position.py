"""How far a bank has come, and whether it lost anything on the way."""

import json
import pathlib
import re
from typing import Any, NamedTuple

GOES_ON = re.compile(r"^.+: goes on at step (\d+) of \d+$", re.MULTILINE)
TIMES = ("run_seconds", "compile_seconds")


class LostError(Exception):
    """What a run lost, or what became different."""


class Position(NamedTuple):
    """How far a bank has come, read from its folder.

    Attributes:
      models: the records of the finished models, as texts, by address.
      saved: the models under way and the step of their newest checkpoint; '' and 0 where there are
        none.
    """

    models: dict[str, str]
    saved: tuple[str, int]


def position(folder: pathlib.Path) -> Position:
    """Read how far a bank has come."""
    models = {
        path.parent.name: path.read_text()
        for path in _found(folder, "models/*/record.json")
        if not path.parent.name.startswith(".")
    }
    saved = [
        (part.name, max(_steps(part)))
        for part in _found(folder, "unfinished/*")
        if not part.name.endswith(".removed")
        and _steps(part)
        # Killed between the model's own storing and the end of its checkpoints.
        and not _models_of(part) <= set(models)
    ]
    return Position(models, max(saved, default=("", 0), key=lambda part: part[1]))


def _found(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """Paths of a pattern in a bank, and in those inside it of changed data."""
    return [*sorted(folder.glob(pattern)), *sorted(folder.glob(f"changed/*/{pattern}"))]


def _models_of(part: pathlib.Path) -> set[str]:
    """Addresses of the models that checkpoints are of."""
    identity = json.loads((part / "run.json").read_text())
    return set(identity["identity"]["models"])


def _steps(part: pathlib.Path) -> list[int]:
    names = (path.name for path in part.glob("*.*"))
    return [int(name.partition(".")[0]) for name in names if re.fullmatch(r"\d+\.\d+", name)]


def check_start(before: Position, now: Position, printed: str) -> str:
    """Check that a start went on from where the one before it was; in words, what it did.

    Args:
      before: how far the bank had come before the start.
      now: how far it is.
      printed: what the command printed.

    Raises:
      LostError: a finished model was changed or a checkpoint was not used.
    """
    if any(now.models.get(address) != text for address, text in before.models.items()):
        raise LostError("a model that was finished is gone or has changed")
    part, step = before.saved
    told = [int(at) for at in GOES_ON.findall(printed)]
    if told and told != [step]:
        raise LostError(f"went on at {told}, not with {part} at step {step}")
    further = now.models != before.models
    if part and not told and (further or now.saved[0] != part or now.saved[1] > step):
        raise LostError(f"{part} was begun anew, though step {step} was saved")
    if now.saved[0] == part and now.saved[1] < step:
        raise LostError(f"the checkpoint of {part} at step {step} is gone")
    went_on = f"went on with {part[:8]} at step {step}" if told else "began a model"
    if not told and not further and now.saved == before.saved:
        went_on = "took no step"
    under_way = f"{now.saved[0][:8] or 'nothing'} at {now.saved[1]}"
    return f"{went_on}; now {len(now.models)} models done, {under_way}"


def check_end(folder: pathlib.Path, whole: pathlib.Path) -> None:
    """Check that a bank ended as the one that was left alone.

    Raises:
      LostError: weights, a prediction or a step of the history differ.
    """
    mine, theirs = position(whole).models, position(folder).models
    if set(mine) != set(theirs):
        raise LostError("there are other models than in the bank left alone")
    for address, text in mine.items():
        if _outcome(text) != _outcome(theirs[address]):
            raise LostError(f"{address}: its history differs from that of the bank left alone")
        for path in _found(whole, f"models/{address}/*.*"):
            other = folder / path.relative_to(whole)
            if path.name != "record.json" and path.read_bytes() != other.read_bytes():
                raise LostError(f"{address}: {path.name} differs from that of the bank left alone")


def _outcome(text: str) -> dict[str, Any]:
    """What came of a training but for the times."""
    return {k: v for k, v in json.loads(text)["outcome"].items() if k not in TIMES}
