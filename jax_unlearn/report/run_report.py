"""The report of a run in words: every sentence follows from the numbers it is given.

The audit's table stays as it is. This module adds what was forgotten, a summary of the average
gaps, and links to the figures, as one Markdown file.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.files import write_whole
from jax_unlearn.report.formats import duration, percent
from jax_unlearn.report.markdown import escape


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowSummary:
    """One row of the audit's table, as far as words are made of it.

    Attributes:
      name: of the method, or ``'original'``.
      gap: average gap to the oracle, percentage points, mean over seeds; NaN where unknown.
      gap_low: lower end of its 95 % interval; NaN where unknown.
      gap_high: upper end.
      inside_null_band: whether the gap lies in the null band; None if there is no band.
      seconds: wall time of the unlearning without compilation, mean over seeds, or None.
      flags: what the audit warns of, such as ``'collapsed'`` or ``'no-op'``.
    """

    name: str
    gap: float
    gap_low: float = math.nan
    gap_high: float = math.nan
    inside_null_band: bool | None = None
    seconds: float | None = None
    flags: Sequence[str] = ()

    @property
    def collapsed(self) -> bool:
        """Whether a flag says so, of any number of its seeds."""
        return any("collaps" in flag.lower() for flag in self.flags)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """One forget request and what came of it.

    Attributes:
      title: heading, such as ``'digits, hardest 10 %'``.
      request: how the forget set was chosen, with its arguments.
      forgotten: number of examples forgotten.
      training: number of training examples, the forgotten ones included.
      request_hash: the request's hash.
      seeds: number of seeds behind every mean.
      gap_terms: the measures whose absolute differences the average gap averages.
      table: the audit's table, Markdown, inserted as it is.
      rows: the methods.
      original: the model that nothing was unlearned from, or None.
      null_high: upper end of the null band of the average gap, percentage points, or None.
      retrain_seconds: wall time of retraining, or None.
      figures: description -> path, absolute or relative to the report.
    """

    title: str
    request: str
    forgotten: int
    training: int
    request_hash: str
    seeds: int
    gap_terms: Sequence[str]
    table: str
    rows: Sequence[RowSummary]
    original: RowSummary | None = None
    null_high: float | None = None
    retrain_seconds: float | None = None
    figures: Mapping[str, str | os.PathLike] = dataclasses.field(default_factory=dict)


def summary(section: Section) -> list[str]:
    """Say in sentences what the section's numbers show: null band, order, warnings, time.

    Collapsed runs and runs without a gap are named, but take no part in the order.
    """
    sound = [row for row in section.rows if not row.collapsed and math.isfinite(row.gap)]
    sound.sort(key=lambda row: row.gap)
    return [
        *_band_sentences(section, sound),
        *_order_sentences(section, sound),
        *_warning_sentences(section),
        *_time_sentences(section, sound),
    ]


def report_markdown(
    *,
    title: str,
    config: Mapping[str, Any],
    requests: Sequence[Section],
    folder: str | os.PathLike = ".",
) -> str:
    """Compose the report.

    Args:
      title: heading.
      config: what the run was made with; nested mappings are shown with dotted names.
      requests: one section each.
      folder: where the report will lie; absolute figure paths become relative to it.

    Raises:
      InputError: if there is no section.
    """
    if not requests:
        raise InputError("requests=[]: expected at least one section to report on")
    lines = [
        f"# {escape(title)}",
        "",
        "Unlearning aims at the oracle: the same recipe, trained without the forget set. The "
        "average gap is the distance to it in percentage points; 0 is the oracle itself.",
    ]
    for section in requests:
        lines += ["", *_section_lines(section, folder)]
    lines += ["", "## Configuration", "", "| setting | value |", "|---|---|"]
    lines += [f"| {escape(key)} | {escape(value)} |" for key, value in _flat(config)]
    return "\n".join(lines) + "\n"


def write_report(
    path: str | os.PathLike,
    *,
    title: str,
    config: Mapping[str, Any],
    requests: Sequence[Section],
) -> Path:
    """Write the report to ``path``, whole or not at all; return the path.

    Args:
      path: of the Markdown file.
      title: heading.
      config: what the run was made with.
      requests: one section each.

    Raises:
      InputError: if there is no section.
    """
    folder = Path(path).parent
    text = report_markdown(title=title, config=config, requests=requests, folder=folder)
    return write_whole(path, text)


def _section_lines(section: Section, folder: str | os.PathLike) -> list[str]:
    """Compose one request: what was forgotten, the summary, the table, the figures."""
    share = percent(section.forgotten / section.training)
    seeds = f"{section.seeds} seed" + "s" * (section.seeds != 1)
    lines = [
        f"## {escape(section.title)}",
        "",
        f"Forgotten: {escape(section.request)}; {section.forgotten} of {section.training} "
        f"training examples ({share}); request hash {escape(section.request_hash)}. "
        f"Average gap over {escape(', '.join(section.gap_terms))}; {seeds}.",
        "",
        *(f"- {sentence}" for sentence in summary(section)),
        "",
        section.table.strip("\n"),
    ]
    for text, path in section.figures.items():
        lines += ["", f"![{escape(text)}]({_link(path, folder)})"]
    return lines


def _band_sentences(section: Section, sound: Sequence[RowSummary]) -> list[str]:
    """Say who lies inside the null band, and whether the measure has power at all."""
    judged = [row for row in sound if row.inside_null_band is not None]
    if not judged:
        return ["There is no null band: how far oracles differ among themselves is not known here."]
    band = "the null band"
    if section.null_high is not None:
        band += f" (95 % of retrained models' mean gaps fall below {section.null_high:.2f} points)"
    inside = [row for row in judged if row.inside_null_band]
    if inside:
        text = f"Inside {band}, not to be told from retraining by this measure: {_gaps(inside)}."
    else:
        text = f"No method lies inside {band}."
    if section.original is not None and section.original.inside_null_band:
        text += (
            " The original model lies inside it as well: on this request the average gap cannot "
            "tell unlearned from not unlearned."
        )
    return [text]


def _order_sentences(section: Section, sound: Sequence[RowSummary]) -> list[str]:
    """Say who is nearest, how sure that is, the order, and who did worse than doing nothing."""
    if not sound:
        return ["No method gave a result that can be ordered."]
    best = sound[0]
    text = f"Nearest to the oracle: {_name(best)}, {best.gap:.2f} points"
    if math.isfinite(best.gap_low) and math.isfinite(best.gap_high):
        text += f", 95 % interval {best.gap_low:.2f} to {best.gap_high:.2f}"
        rivals = [row for row in sound[1:] if row.gap_low <= best.gap_high]
        if rivals:
            text += f"; the intervals of {_names(rivals)} overlap it, so the lead is not settled"
    sentences = [text + "."]
    if len(sound) > 1:
        sentences.append(f"From near to far: {_gaps(sound)}.")
    original = section.original
    if original is not None and math.isfinite(original.gap):
        worse = [row for row in sound if row.gap > original.gap]
        if worse:
            sentences.append(
                f"Farther from the oracle than the original model ({original.gap:.2f}), from "
                f"which nothing was unlearned: {_gaps(worse)}."
            )
    return sentences


def _warning_sentences(section: Section) -> list[str]:
    """List every flag with the methods that carry it, and gaps that are missing."""
    sentences = []
    collapsed = [row for row in section.rows if row.collapsed]
    if collapsed:
        sentences.append(f"Collapsed, and left out of the order: {_names(collapsed)}.")
    others: dict[str, list[RowSummary]] = {}
    for row in section.rows:
        for flag in row.flags:
            if "collaps" not in flag.lower():
                others.setdefault(flag, []).append(row)
    sentences += [f"Flagged {escape(flag)}: {_names(rows)}." for flag, rows in others.items()]
    unknown = [row for row in section.rows if not row.collapsed and not math.isfinite(row.gap)]
    if unknown:
        sentences.append(f"Without a measured gap: {_names(unknown)}.")
    return sentences


def _time_sentences(section: Section, sound: Sequence[RowSummary]) -> list[str]:
    """Name the fastest method, and those that retraining would have beaten."""
    timed = [row for row in sound if row.seconds is not None and math.isfinite(row.seconds)]
    if not timed:
        return []
    fastest = min(timed, key=lambda row: row.seconds)
    text = f"Fastest: {_name(fastest)}, {duration(fastest.seconds)}"
    retrain = section.retrain_seconds
    if retrain is None:
        return [text + "."]
    share = percent(fastest.seconds / retrain)
    text += f", {share} of retraining ({duration(retrain)})."
    slower = [row for row in timed if row.seconds >= retrain]
    if slower:
        text += f" Not faster than retraining: {_names(slower)}."
    return [text]


def _name(row: RowSummary) -> str:
    return escape(display_name(row.name))


def _names(rows: Iterable[RowSummary]) -> str:
    return ", ".join(_name(row) for row in rows)


def _gaps(rows: Iterable[RowSummary]) -> str:
    return ", ".join(f"{_name(row)} {row.gap:.2f}" for row in rows)


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """List settings as (dotted name, value) in the order given."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            rows.append((f"{prefix}{key}", text))
    return rows


def _link(path: str | os.PathLike, folder: str | os.PathLike) -> str:
    """Make a link from the report's folder, with characters that would end it encoded."""
    path = Path(path)
    if path.is_absolute():
        path = Path(os.path.relpath(path, Path(folder).absolute()))
    return quote(path.as_posix())
