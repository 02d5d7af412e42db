"""The report of an audit, for reading: one HTML file that needs nothing else, and Markdown.

Both come from the audit's record alone. Numbers are those of the record, sentences follow from
them, and what the record does not hold is said to be missing.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jax_unlearn.core import InputError
from jax_unlearn.files import write_whole
from jax_unlearn.report.figures.style import save
from jax_unlearn.report.page import tables, words
from jax_unlearn.report.page.blocks import Bullets, Paragraph, Picture, Section
from jax_unlearn.report.page.html import html_page
from jax_unlearn.report.page.markdown import markdown_page
from jax_unlearn.report.page.pictures import pictures, plain_text

FORMAT = 2
"""The version of the audit's record that this module reads."""

_PARTS = (
    *("request", "models", "measures", "rows", "bands", "uninformative", "ranking"),
    *("curves", "summary", "notes", "protocol", "provenance", "level"),
)


def write_report(
    audit: Mapping[str, Any], folder: str | os.PathLike, *, figures: Sequence[Picture] = ()
) -> dict[str, Path]:
    """Write the report of one audit as ``report.html``, ``report.md`` and ``figures/*.png``.

    Args:
      audit: the audit's record, as in ``audit.json``; what it holds under ``settings`` becomes a
        section of its own.
      folder: where to; made if missing.
      figures: what only the caller can draw, such as a method's hybrids; shown after the others.

    Returns:
      What was written: ``'html'`` and ``'markdown'``.

    Raises:
      InputError: if ``audit`` is of another format or lacks a part.
    """
    folder = Path(folder)
    title, sections = report_sections(audit, figures)
    drawn = [block for s in sections for block in s.blocks if isinstance(block, Picture)]
    with plain_text():
        for picture in drawn:
            save(picture.figure, folder / "figures" / f"{picture.slug}.png")
        page = html_page(title, sections)
    texts = {"html": page, "markdown": markdown_page(title, sections)}
    names = {"html": "report.html", "markdown": "report.md"}
    return {
        kind: write_whole(folder / names[kind], text.encode("utf-8", "replace"))
        for kind, text in texts.items()
    }


def report_sections(
    audit: Mapping[str, Any], figures: Sequence[Picture] = ()
) -> tuple[str, list[Section]]:
    """Compose the report: its title and its sections, most important first.

    Args:
      audit: the audit's record.
      figures: further ones, each with a slug of its own.

    Raises:
      InputError: if ``audit`` is of another format or lacks a part.
    """
    if audit.get("format") != FORMAT:
        raise InputError(
            f"audit: format {audit.get('format')!r}: expected {FORMAT}; make it again with this "
            "version of experiments.audit"
        )
    missing = [part for part in _PARTS if part not in audit]
    if missing:
        raise InputError(
            f"audit: lacks {', '.join(missing)}: expected the record that experiments.audit writes "
            "as audit.json"
        )
    request, settings = audit["request"], audit.get("settings") or {}
    drawn, omitted = pictures(audit)
    sections = [
        Section("What was compared", [Bullets(_compared(audit))]),
        Section("Summary", [Bullets(audit["summary"])]) if audit["summary"] else None,
        Section("Row by row", [Bullets(_verdicts(audit))]),
        Section("Measures", tables.measure_blocks(audit)),
        Section("Ranking", tables.ranking_blocks(audit)),
        Section("Figures", [*drawn, *figures, *([Bullets(omitted)] if omitted else [])]),
        Section("Methods", tables.method_blocks(audit)),
        Section("Arguments of the methods", tables.argument_blocks(audit), folded=True),
        Section("Notes", [Bullets(audit["notes"]) if audit["notes"] else Paragraph("None.")]),
        Section("What the measures mean", tables.legend_blocks(audit), folded=True),
        Section("Protocol", tables.settings_blocks(audit["protocol"]), folded=True),
        Section("Settings", tables.settings_blocks(settings), folded=True) if settings else None,
        Section("Provenance", tables.settings_blocks(audit["provenance"]), folded=True),
        Section("Predictions behind this audit", tables.file_blocks(audit), folded=True),
    ]
    return f"Audit of unlearning: {request['text']}", [s for s in sections if s is not None]


def _compared(audit: Mapping[str, Any]) -> list[str]:
    """Say what was forgotten, how, and by whom it was compared."""
    request = audit["request"]
    return [
        words.forgotten_sentence(request),
        *[f"Hash of the request: {request['hash']}."] * bool(request["hash"]),
        f"Hash of the forgotten ids: {request['ids_hash']}.",
        words.methods_sentence(audit["models"]),
        *words.compared_sentences(audit),
    ]


def _verdicts(audit: Mapping[str, Any]) -> list[str]:
    """Say how every row fares, which measures have power, and what time it took."""
    return [
        *words.verdict_sentences(audit),
        words.power_sentence(audit),
        *words.time_sentences(audit["curves"].get("seconds") or {}),
    ]
