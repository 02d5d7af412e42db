"""The audits of runs, and which of them forget the same examples."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from jax_unlearn.audit.records.reading import check_record, titled
from jax_unlearn.core import InputError


@dataclasses.dataclass(frozen=True)
class Audit:
    """One audit of one request.

    Attributes:
      run: what the reader knows its run by.
      folder: of its audit.json, which the paths of its predictions start from.
      record: its rows by title.
    """

    run: str
    folder: pathlib.Path
    record: Mapping[str, Any]

    @property
    def config(self) -> pathlib.Path:
        """Where its run says which data it used."""
        return self.folder.parent / "config.json"


def read_audits(path: pathlib.Path) -> list[Audit]:
    """Read the audits of a run's folder, an audit's folder, or one audit.json.

    Raises:
      InputError: there is none, or one is damaged or of another format.
    """
    files = [path]
    if path.is_dir():
        own = path / "audit.json"
        files = [own] if own.is_file() else sorted(path.glob("*/audit.json"))
    if not files or not files[0].is_file():
        raise InputError(
            f"runs={str(path)!r}: no audit.json there: expected the folder of a finished run or "
            "of an audit; python -m experiments.run makes one"
        )
    return [_read(file, path) for file in files]


def alike(audits: Iterable[Audit]) -> list[list[Audit]]:
    """Put audits together that forget the same examples under one name, in the order given.

    Raises:
      InputError: one audit is given twice.
    """
    found: dict[tuple[str, str], list[Audit]] = {}
    for audit in audits:
        request = audit.record["request"]
        group = found.setdefault((request["text"], request["ids_hash"]), [])
        if any(audit.folder.resolve() == other.folder.resolve() for other in group):
            raise InputError(f"runs={str(audit.folder)!r}: given twice; name each run once")
        group.append(audit)
    return list(found.values())


def _read(file: pathlib.Path, given: pathlib.Path) -> Audit:
    try:
        record = json.loads(file.read_text())
        check_record(record)
    except (OSError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise InputError(f"runs={str(given)!r}: {error}") from error
        raise InputError(
            f"runs={str(given)!r}: {file.name} is damaged: expected what experiments.audit writes; "
            "make it again"
        ) from error
    # A request's folder inside a run's is known by the run.
    of_run = (file.parent.parent / "config.json").is_file()
    name = (file.parent.parent if of_run else file.parent).resolve().name
    return Audit(name, file.parent, titled(record))
