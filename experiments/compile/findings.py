"""What has been compiled so far: kept in a folder, so that a command that was cut off goes on."""

import contextlib
import copy
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from jax_unlearn.core import InputError
from jax_unlearn.files import write_whole

from ..shared.chip import Chip
from ..shared.config_json import to_json
from ..shared.provenance import provenance
from .derived import derive
from .measuring import CRASHED, Record, is_known
from .tables import markdown, notes

COMPILERS = ("libtpu", "jax-cuda13-plugin", "jax-cuda12-plugin")
"""Packages that bring XLA's compilers."""

TRIES = 2
"""How often a program is compiled that has ended the process: once it may have been a kill."""


class Findings:
    """Records of programs, in ``compile.json`` of a folder.

    Attributes:
      records: by target and program.
      totals: by target what follows from them for the whole setting.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        settings: Mapping[str, Any],
        chips: Mapping[str, Chip],
        *,
        overwrite: bool,
    ):
        self._file = folder / "compile.json"
        self._now = {"settings": dict(settings), **provenance(), "before": []}
        self._now["chips"] = {name: to_json(chip) for name, chip in chips.items()}
        self._now["versions"] |= {name: v for name in COMPILERS if (v := _version(name))}
        self.records: dict[str, dict[str, Record]] = {}
        self.totals: dict[str, dict[str, Any]] = {}
        if self._file.is_file() and not overwrite:
            self._read()

    def _read(self) -> None:
        try:
            found = json.loads(self._file.read_text(), parse_constant=_refuse)
            same = found["settings"] == self._now["settings"]
            # A compiler is not needed any more for what it has compiled.
            mine, theirs = (of["versions"] for of in (self._now, found))
            same = same and all(theirs.get(n, v) == v for n, v in mine.items())
            now, then = self._now["chips"], found.get("chips", {})
            same = same and all(then.get(n, facts) == facts for n, facts in now.items())
            records, totals = dict(found["programs"]), dict(found["totals"])
            before = _commands(found, self._now["command"])
            for target, of_target in records.items():
                _check(of_target, totals.get(target, {}))
        except (
            OSError,
            ArithmeticError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:
            raise InputError(
                f"out={str(self._file.parent)!r}: its compile.json is not of this command; name "
                "another folder"
            ) from error
        if not same:
            raise InputError(
                f"out={str(self._file.parent)!r}: it holds programs of other settings or versions, "
                "or of a chip whose description has changed; name another folder or pass "
                "--overwrite"
            )
        self._now["versions"] = {**theirs, **mine}
        self._now["chips"] = {**then, **now}
        self._now["before"] = before
        self.records, self.totals = records, totals

    @property
    def made(self) -> Mapping[str, Any]:
        """Command, date and versions, and under ``before`` the other commands that were given."""
        return self._now

    def of(self, target: str) -> dict[str, Record]:
        """Records of a target by program; to be added to."""
        return self.records.setdefault(target, {})

    def lacks(self, target: str, name: str, *, again: bool = False) -> bool:
        """Whether a program is still to be compiled.

        One that ends the process is tried twice, another that the compiler refuses once more at
        every start but those that follow by themselves.

        Args:
          target: the devices.
          name: the program.
          again: whether this start follows another by itself.
        """
        record = self.of(target).get(name)
        if record is None or is_known(record):
            return record is None
        return record["attempts"] < TRIES if record["error"] == CRASHED else not again

    def lacks_fit(self, target: str, name: str) -> bool:
        """Whether the largest batch of a program, compiled or too large, is still to be found.

        A search that ends the process is tried twice, too; the program's own record stays.
        """
        record = self.of(target)[name]
        sought = "refused_batch" in record or record.get("attempts", 0) >= TRIES
        return is_known(record) and not sought

    def explain(self, words: str) -> None:
        """Keep the last words of the process before this one with the program that ended it."""
        for records in self.records.values():
            for record in records.values():
                if record["error"] == CRASHED and words:
                    record.setdefault("words", words)

    def arrange(self, target: str, names: Sequence[str]) -> dict[str, Record]:
        """Records of a target in the order of these names, with all others behind them."""
        records = self.of(target)
        self.records[target] = {n: records[n] for n in (*names, *records) if n in records}
        return self.records[target]

    @contextlib.contextmanager
    def attempt(self, target: str, name: str) -> Iterator[Record]:
        """Leave a word for who starts again where a compiler's crash ends the process inside.

        Gives what is known of the program so far; where that is all, nothing of it is lost.
        """
        records = self.of(target)
        earlier = records.get(name, {"error": CRASHED})
        kept = earlier if is_known(earlier) else {"error": CRASHED}
        records[name] = {**kept, "attempts": earlier.get("attempts", 0) + 1}
        self.write()
        try:
            yield earlier
        except BaseException:
            if kept is earlier:
                records[name] = earlier
            else:
                del records[name]
            self._withdraw()
            raise

    def _withdraw(self) -> None:
        """Write what is left; where that is nothing, leave no file and no folder."""
        if any(self.records.values()):
            self.write()
        else:
            self._file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._file.parent.rmdir()

    def write(self) -> None:
        """Write all that there is."""
        text = json.dumps({**self._now, "programs": self.records, "totals": self.totals}, indent=1)
        try:
            write_whole(self._file, text + "\n")
        except OSError as error:
            raise InputError(
                f"out={str(self._file.parent)!r}: {error.strerror}; expected a folder that can be "
                "written to"
            ) from error


def _commands(found: Mapping[str, Any], now: str) -> list[dict[str, str]]:
    """The commands that an earlier file names, with their dates, without the one that is given."""
    given = [*found.get("before", []), found]
    named = {str(one["command"]): str(one["date"]) for one in given}
    return [{"command": c, "date": date} for c, date in named.items() if c != now]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


NUMBERS = ("flops", "bytes", "bound_seconds", "room", "batch", "models", "shards", "seconds")


def _check(records: dict[str, Record], totals: Mapping[str, Any]) -> None:
    """Raise an error of a file of another form: where it cannot be shown, or gone on from."""
    for name, record in records.items():
        if len(name.split()) < 3:
            raise ValueError(f"{name!r} names no program")
        if record["error"] is not None:
            attempts = record["attempts"] if record["error"] == CRASHED else 0
            if not isinstance(record["error"], str) or not isinstance(attempts, int):
                raise TypeError("not an error and its attempts")
            continue
        numbers = [record[name] for name in NUMBERS]
        numbers += [record["memory"][name] for name in ("temporaries", "total")]
        largest = record["largest_batch"]
        numbers += [] if largest is None else [largest]
        if any(isinstance(n, bool) or not isinstance(n, int | float) or n < 0 for n in numbers):
            raise ValueError("not a number")
    shown = copy.deepcopy(records)
    derive(shown)
    markdown("", shown, notes(shown, totals))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
