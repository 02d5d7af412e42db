"""A run's ``config.json``: its settings, who began it, and who went on with it."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from jax_unlearn.core import InputError
from jax_unlearn.engine.agreement import differences
from jax_unlearn.files import write_whole

from .config_json import HOW, what_is_computed
from .provenance import provenance

FORMAT = 2
"""Version of the folder's layout; folders of others are refused."""


def why_not(config: pathlib.Path, settings: Mapping[str, Any]) -> str:
    """Why a run with these settings cannot go on in a folder; '' if it can."""
    version = json.loads(config.read_text()).get("format", 1)
    if version != FORMAT:
        return f"of another version (format {version}, expected {FORMAT})"
    theirs = settings_of(config)
    changed = [
        name
        for name, digest in settings.get("sources", {}).items()
        if theirs.get("sources", {}).get(name, digest) != digest
    ]
    if changed:
        return f"of {', '.join(changed)} before its source was changed"
    data = "data_fingerprint"
    if _same_data(theirs, settings) and theirs.get(data) != settings.get(data):
        return f"on {settings['experiment']['data']['name']} before its images were changed"
    found = _differences(theirs, settings)
    return f"with other settings: {', '.join(found)}" if found else ""


def _same_data(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    """Whether both settings ask for the same data."""
    one, other = (
        side["experiment"].get("data") if isinstance(side.get("experiment"), dict) else None
        for side in (theirs, mine)
    )
    return one is not None and one == other


def _differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """Say where settings differ that results depend on; first those that a flag gives."""
    one, other = (
        what_is_computed(side["experiment"]) if isinstance(side.get("experiment"), dict) else {}
        for side in (theirs, mine)
    )
    found = differences(one, other)
    their_rest, my_rest = (
        {key: value for key, value in side.items() if key != "experiment"}
        for side in (theirs, mine)
    )
    # What else differs mostly follows from those, and would hide them.
    return found or differences(their_rest, my_rest)


def write_config(config: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Record who begins a run, or, under ``continued``, who goes on with it elsewhere or later."""
    given = settings.get("experiment", {})
    now = provenance() | {"execution": {name: given[name] for name in HOW if name in given}}
    if not config.is_file():
        record = {"format": FORMAT, "settings": settings, **now}
    else:
        record = json.loads(config.read_text())
        last = record.get("continued", [record])[-1]
        if all(last.get(key, value) == value for key, value in now.items()):
            return
        record.setdefault("continued", []).append(now)
    write_whole(config, json.dumps(record, indent=2) + "\n")


def settings_of(config: pathlib.Path) -> Any:
    """The settings that a run's file holds; InputError where the file is no run's."""
    try:
        found = json.loads(config.read_text())
        # Other programs have a config.json too: all of ours say what a number must be read with.
        return [dict(found[key]) for key in ("versions", "hardware", "settings")][-1]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"out={str(config.parent)!r}: its config.json is not that of a run; name another folder"
        ) from error
