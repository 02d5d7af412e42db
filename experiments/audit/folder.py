"""The folder of an audit: its name, whether results may be written there, what they replace."""

import shutil
from collections.abc import Collection, Sequence
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
    # Two files of ids may have one short name, and predictions made elsewhere none.
    return [
        f"{name}-{sources.hash[:8] or number}" if names.count(name) > 1 else name
        for number, (name, sources) in enumerate(zip(names, found, strict=True))
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


def remove_earlier(folder: Path, names: Collection[str]) -> None:
    """Remove what an earlier audit left in a folder that :func:`check_is_audit` accepted.

    Args:
      folder: where several requests have folders, or one its results.
      names: of the folders that were written now; '' for the folder itself.
    """
    for path in folder.iterdir():
        own = path.name in WRITTEN
        stale = "" not in names if own else path.name not in names and _is_audit(path)
        if stale and path.is_dir():
            shutil.rmtree(path)
        elif stale:
            path.unlink()


def _is_audit(folder: Path) -> bool:
    """Whether a folder holds the audit of one request and nothing else."""
    if not (folder / RECORD).is_file():
        return False
    return all(path.name in WRITTEN for path in folder.iterdir())
