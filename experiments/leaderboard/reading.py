"""Reading a finished run for the leaderboard."""

import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jax_unlearn.audit.records.reading import titled
from jax_unlearn.bank.record import digest
from jax_unlearn.core import InputError
from jax_unlearn.data.request_text import describe_request, parse_request
from jax_unlearn.wording import counted

from ..shared.config_file import settings_of
from .entries import GAP, Request, how_chosen, make_absent, make_entry, why_unranked


def read_run(folder: pathlib.Path) -> list[Request]:
    """Read the requests of a finished run.

    Raises:
      InputError: the folder lacks what the leaderboard needs.
    """
    try:
        settings = settings_of(folder / "config.json")
        slugs = [parse_request(text).slug for text in settings["experiment"]["requests"]]
        audits = [json.loads((folder / slug / "audit.json").read_text()) for slug in slugs]
        return [_request(folder.resolve().name, settings, audit) for audit in audits]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        what = error.filename if isinstance(error, OSError) else str(error) or "other contents"
        raise InputError(
            f"run={str(folder)!r}: lacks what a leaderboard needs ({what}): expected the folder of "
            "a finished `python -m experiments.run` with config.json and each request's audit.json"
        ) from error


def _request(run: str, settings: Mapping[str, Any], audit: Mapping[str, Any]) -> Request:
    names = [row["name"] for row in audit["rows"]]
    audit = titled(audit)
    own, request, models = settings["experiment"], audit["request"], audit["models"]
    alike = {
        "data": [settings["data_fingerprint"], own["data"]["padding"], own["data"]["flip"]],
        "network": own["network"],
        "training": own["training"],
        "request": request["ids_hash"],
        "models": [models["original"], models["oracle"]],
        "seeds": [own["seeds"], own.get("unlearning_seeds", [])],
    }
    rows = dict(zip(names, audit["rows"], strict=True))
    files = audit.get("files") or {}
    original, oracle = (
        rows[name] | {"seconds": _median([file["seconds"] for file in files.get(name, ())])}
        for name in ("original", "oracle")
    )
    methods = []
    for name, row in rows.items():
        if row["kind"] == "method":
            told = models["methods"][row["name"]]
            unranked = told["failed"] or why_unranked(name, row, original, oracle)
            chosen = how_chosen(name, settings, request["text"])
            timed = row | {"seconds": _median(told["seconds"])}
            methods.append(make_entry(run, name, timed, settings, chosen, unranked))
    methods += [make_absent(run, absent, settings) for absent in audit.get("unfit", ())]
    return Request(
        alike=digest(alike),
        data=own["data"]["name"],
        title=describe_request(request["text"]),
        setting=(
            f"Forgotten: {request['forget']} of {request['forget'] + request['retain']} training "
            f"images; {own['network']['name']}, {counted(own['training']['epochs'], 'epoch')}; "
            f"{counted(models['original'], 'original')}, {counted(models['oracle'], 'oracle')}."
        ),
        band=_band(audit),
        original=make_entry(run, "original", original, settings),
        oracle=make_entry(run, "oracle", oracle, settings),
        entries=tuple(methods),
        told={"run": run, **audit["provenance"]},
    )


def _median(seconds: Sequence[float | None]) -> dict[str, float | None]:
    """The median time of a row's models, which one that waited for a compiler does not move."""
    known = [one for one in seconds if one is not None]
    return {"value": statistics.median(known) if known else None, "low": None, "high": None}


def _band(audit: Mapping[str, Any]) -> float:
    """Upper end of the null band of the gap."""
    band = audit["bands"].get(GAP) or {}
    if band.get("high") is None:
        raise InputError("a null band of the gap, which takes 4 oracles")
    return float(band["high"])
