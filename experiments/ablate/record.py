"""What an ablation found on one request, as JSON values."""

from collections.abc import Mapping, Sequence
from typing import Any

from jax_unlearn.audit import AuditRow, Measure, MeasureResult, NullBand
from jax_unlearn.audit.records.writing import number
from jax_unlearn.hyperparameters import describe

from .running import Found
from .settings import Asked, Setting

FORMAT = 1
"""Version of the record."""


def make_record(
    found: Found, asked: Asked, settings: Sequence[Setting], seeds: Sequence[int]
) -> dict[str, Any]:
    """The record of a request.

    Args:
      found: what came of the settings.
      asked: what was varied.
      settings: in the order of the table.
      seeds: of the originals, and of the models of each setting.

    Returns:
      ``rows``, the original's and the oracles' first, each with ``name``, ``kind``, ``values`` of
      the swept fields, ``results`` by measure and ``note``; ``bands``, where a row of as many
      further oracles would fall; ``measures`` with their units; ``notes`` on all of it.
    """
    comparison, forgetting = found.comparison, found.forgetting
    by_name = {setting.name: setting for setting in settings}
    rows = {row.group.name: _row(row, by_name, found.notes) for row in comparison.rows}
    rows |= {
        name: {"kind": "setting", **_values(by_name[name]), "results": {}, "note": why}
        for name, why in found.refused.items()
    }
    first = [name for name in rows if name not in by_name]
    return {
        "format": FORMAT,
        "request": {"text": forgetting.text, "slug": forgetting.slug},
        "forget": len(forgetting.forget.label),
        "retain": len(forgetting.retain.label),
        "method": asked.method,
        "fields": list(asked.fields),
        "one_at_a_time": asked.study is not None,
        "sampled": asked.sampled,
        "seeds": list(seeds),
        "measures": {m.name: {"title": m.title, "unit": m.unit} for m in comparison.measures},
        "bands": {
            m.name: _band(comparison.bands[m.name], m)
            for m in comparison.measures
            if m.name in comparison.bands
        },
        "rows": [{"name": name, **rows[name]} for name in (*first, *by_name)],
        "notes": [note for note in comparison.notes if not note.startswith("Left out")],
    }


def _row(row: AuditRow, settings: Mapping[str, Setting], notes: Mapping[str, str]) -> dict:
    name = row.group.name
    values = _values(settings[name]) if name in settings else {"values": {}}
    flags = [*row.group.flags, notes.get(name, "")]
    return {
        "kind": "setting" if name in settings else row.group.kind,
        **values,
        "results": {key: _result(result) for key, result in row.results.items()},
        "seconds": number(row.seconds.mean),
        "note": "; ".join(filter(None, flags)),
    }


def _band(band: NullBand, measure: Measure) -> list[float | None]:
    """Ends of a null band; no distance is too small to be retraining."""
    low = measure.low if measure.outside == "above" else band.low
    return [number(low), number(band.high)]


def _values(setting: Setting) -> dict[str, Any]:
    return {"values": {f: _plain(v) for f, v in setting.values.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return describe(value) if callable(value) else value


def _result(result: MeasureResult) -> dict[str, Any]:
    return {
        "value": number(result.value),
        "low": number(result.low),
        "high": number(result.high),
        "n": result.n,
        "verdict": result.verdict,
        "by_seed": [number(value) for value in result.values],
        "seeds": list(result.seeds),
    }
