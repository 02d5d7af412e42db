"""Compute an audit again from the predictions that it names, wherever they lie now."""

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jax_unlearn.audit import AuditProtocol
from jax_unlearn.audit.records.auditing import audit_sources
from jax_unlearn.audit.records.origins import Origins
from jax_unlearn.audit.records.reading import FORMAT
from jax_unlearn.audit.records.stores import Item, Sources, file_digest, in_bank, read_item
from jax_unlearn.bank import ids_digest
from jax_unlearn.core import InputError

TOLERANCE = 1e-6
"""Relative difference that other machines' rounding may make in a number."""

File = Mapping[str, Any]
"""A file as a record describes it, with its path and sha256."""

NOT_COMPUTED = ("provenance", "settings", "unfit")
"""Parts of a record that are told, not computed from predictions."""


@dataclasses.dataclass(frozen=True)
class Checked:
    """What computing an audit again has shown.

    Attributes:
      differences: what differs, a line each; none where the audit agrees with its predictions.
      unchecked: what nothing but the audit tells; '' where predictions were not those audited,
        so that nothing was computed.
    """

    differences: tuple[str, ...]
    unchecked: str


def check(path: str, places: Sequence[str]) -> Checked:
    """Compute an audit again from the predictions that it names.

    Args:
      path: its audit.json.
      places: banks, folders and files to look in for predictions that are not where the audit
        names them; they are known by their sha256.

    Raises:
      InputError: if the file is no audit, or predictions are missing.
    """
    file = Path(path)
    try:
        recorded = json.loads(file.read_text())
        if recorded["format"] != FORMAT:
            raise InputError(
                f"check={path!r}: format={recorded['format']!r}: expected {FORMAT}; check it with "
                "the version that wrote it"
            )
        level = recorded["protocol"]["asked_level"]
        names = [field.name for field in dataclasses.fields(AuditProtocol)]
        choices: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in recorded["protocol"].items()
            if name in names
        }
        protocol = AuditProtocol(**choices)
        found, changed, missing = _locate(recorded, file.parent, places)
        if not changed and not missing:
            sources, unchecked = _restored(recorded, found)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"check={path!r}: expected a file audit.json that experiments.audit wrote"
        ) from error
    if missing:
        total = len(found) + len(changed) + len(missing)
        where = ", ".join(places) or os.path.commonpath([p.parent for p in missing])
        raise InputError(
            f"check={path!r}: {len(missing)} of {total} files of predictions not found under "
            f"{where}; say where they are with --oracles"
        )
    if changed:
        return Checked(tuple(changed), "")
    again = audit_sources(sources, level, protocol, file.parent, lambda done, planned: None)
    # Through JSON, as the recorded numbers went.
    again = json.loads(json.dumps(again))
    return Checked(tuple(_differences(_comparable(recorded), _comparable(again), "")), unchecked)


def _groups(recorded: Mapping[str, Any]) -> dict[str, list[File]]:
    """Every list of models in a record, methods under their names."""
    methods = {f"methods.{n}": m["files"] for n, m in recorded["models"]["methods"].items()}
    return {**recorded["files"], **methods}


def _locate(
    recorded: Mapping[str, Any], folder: Path, places: Sequence[str]
) -> tuple[dict[str, Path], list[str], list[Path]]:
    """Where files are by the path recorded, what others took their place, and what is nowhere."""
    found, changed, missing, seen = {}, [], [], set()
    elsewhere: dict[str, list[Path]] | None = None
    for item in (item for group in _groups(recorded).values() for item in group):
        parts = {"predictions that were": item, "probe that was": item.get("probe")}
        for what, file in parts.items():
            if not file or file["path"] in seen:
                continue
            seen.add(file["path"])
            path = folder / file["path"]
            there = path.is_file()
            if there and file_digest(path) == file["sha256"]:
                found[file["path"]] = path
                continue
            if elsewhere is None:
                elsewhere = _by_digest(places)
            copies = elsewhere.get(file["sha256"])
            if copies:
                # Models may give the same file: of those, the one of the name recorded.
                found[file["path"]] = max(copies, key=lambda copy: _common_end(copy, path))
            elif there:
                changed.append(f"{file['path']}: not the {what} audited (sha256)")
            else:
                missing.append(path.resolve())
    return found, changed, missing


def _by_digest(places: Sequence[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for place in places:
        path = Path(place.rpartition("=")[2])
        if not path.exists():
            raise InputError(
                f"path={str(path)!r}: no such file or folder; expected predictions of the audit"
            )
        for file in sorted(path.rglob("*.npz")) if path.is_dir() else [path]:
            found.setdefault(file_digest(file), []).append(file)
    return found


def _common_end(one: Path, other: Path) -> int:
    pairs = zip(reversed(one.parts), reversed(other.parts), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _restored(recorded: Mapping[str, Any], found: Mapping[str, Path]) -> tuple[Sources, str]:
    """What to audit, as banks and runs know it, and what nothing but the record tells."""
    origins, ids, alone = Origins(), "", 0
    hashes: list[str | None] = []
    texts: list[str | None] = []
    arguments: dict[str, Any] = {}
    methods = recorded["models"]["methods"]
    given = {name: m["arguments"] for name, m in methods.items()}
    titles = {f"methods.{name}": m["title"] for name, m in methods.items()}
    restored: dict[str, list[Item]] = {}
    for group, files in sorted(_groups(recorded).items(), key=lambda pair: pair[0] != "oracle"):
        name = group.removeprefix("methods.")
        # Files of a run that were audited as files from elsewhere have nothing but their names.
        told = given.get(name) is not None or any(
            f["seconds"] is not None or f["status"] or f["history"] for f in files
        )
        restored[group] = []
        for file in files:
            path = found[file["path"]]
            probe = found[file["probe"]["path"]] if file.get("probe") else None
            origin = origins.find(path, ids) if told or in_bank(path) else None
            if origin is None:
                alone += 1
                run, compilation, ratio = (
                    math.nan if file.get(name) is None else file[name]
                    for name in ("seconds", "compile_seconds", "sensitivity_ratio")
                )
                item = Item(
                    path,
                    file["seed"],
                    run,
                    file["status"],
                    tuple(file["history"]),
                    compile_seconds=compilation,
                    title=titles.get(group, ""),
                    sensitivity_ratio=ratio,
                )
            else:
                item = origin.item
                if group not in ("original", "subsets"):
                    hashes.append(origin.hash)
                if group == "oracle":
                    texts.append(origin.text)
                arguments.setdefault(group, origin.arguments)
            # A bank may hold probes by now that were not there to be audited.
            restored[group].append(dataclasses.replace(item, probe=probe))
        if group == "oracle":
            first = restored[group][0]
            ids = ids_digest(read_item(first, first.request).forget.id)
    hash_, text = next(filter(None, hashes), None), next(filter(None, texts), None)
    sources = Sources(
        hash_ or recorded["request"]["hash"],
        text or recorded["request"]["text"],
        restored["original"],
        restored["oracle"],
        {name: restored[f"methods.{name}"] for name in given},
        {name: arguments.get(f"methods.{name}", given[name]) for name in given},
        restored.get("subsets", []),
        {name: m["failed"] for name, m in methods.items() if m["failed"]},
    )
    parts = {
        "provenance, settings, audit.csv and the report": True,
        "the request's hash": hash_ is None,
        "the request's text": text is None,
        f"seeds, times and arguments of {alone} models that lie in no bank or run": alone,
    }
    return sources, "; ".join(part for part, counts in parts.items() if counts)


def _comparable(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what is not computed and without places, which may have changed."""

    def file(entry: File) -> dict[str, Any]:
        probe = entry.get("probe")
        kept = {key: value for key, value in entry.items() if key != "path"}
        return {**kept, "probe": probe and probe["sha256"]}

    methods = {
        name: {**method, "files": [file(f) for f in method["files"]]}
        for name, method in recorded["models"]["methods"].items()
    }
    return {
        **{key: value for key, value in recorded.items() if key not in NOT_COMPUTED},
        "models": {**recorded["models"], "methods": methods},
        "files": {name: [file(f) for f in group] for name, group in recorded["files"].items()},
    }


def _differences(recorded: Any, again: Any, where: str) -> Iterator[str]:
    """Paths of values that are not equal, numbers up to rounding."""
    if isinstance(recorded, dict) and isinstance(again, dict):
        for key in sorted({*recorded, *again}):
            place = f"{where}.{key}".lstrip(".")
            if key not in recorded or key not in again:
                yield f"{place}: {'not recorded' if key in again else 'not there any more'}"
            else:
                yield from _differences(recorded[key], again[key], place)
    elif isinstance(recorded, list) and isinstance(again, list) and len(recorded) == len(again):
        for position, pair in enumerate(zip(recorded, again, strict=True)):
            yield from _differences(*pair, f"{where}[{position}]")
    elif _is_number(recorded) and _is_number(again):
        if not math.isclose(recorded, again, rel_tol=TOLERANCE, abs_tol=1e-9):
            yield f"{where}: recorded {recorded!r}, computed {again!r}"
    elif recorded != again:
        yield f"{where}: recorded {str(recorded)[:80]!r}, computed {str(again)[:80]!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
