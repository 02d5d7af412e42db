"""The folder of an audit: its name, and whether results may be written there."""

from collections.abc import Sequence
from pathlib import Path

from jax_unlearn.audit.records.stores import Sources
from jax_unlearn.core import InputError

RECORD = "audit.json"
WRITTEN = (RECORD, "audit.csv", "report.html", "report.md", "figures")
"""What an audit writes."""


def folders_of(found: Sequence[Sources]) -> list[str]:
    """Names of a folder for each request, all different; a single one needs none."""
    if len(found) == 1:
        return [""]
    names = [sources.slug for sources in found]
    # Two files of ids may have one short name.
    return [
        f"{name}-{sources.hash[:8]}" if names.count(name) > 1 else name
        for name, sources in zip(names, found, strict=True)
    ]


def check_is_audit(folder: Path) -> None:
    """Raise InputError where a folder holds something that is not of an earlier audit."""
    if not folder.is_dir():
        return
    own = set(WRITTEN) if (folder / RECORD).is_file() else set()
    others = [path for path in sorted(folder.iterdir()) if path.name not in own]
    foreign = [path.name for path in others if not _is_audit(path)]
    if foreign:
        raise InputError(
            f"out={str(folder)!r}: the folder holds {foreign[0]!r}, which is not of an audit; name "
            "another folder or pass --overwrite"
        )


def _is_audit(folder: Path) -> bool:
    """Whether a folder holds the audit of one request and nothing else."""
    if not (folder / RECORD).is_file():
        return False
    return all(path.name in WRITTEN for path in folder.iterdir())
