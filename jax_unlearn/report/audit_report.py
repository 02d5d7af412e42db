"""The report of an audit, for reading: one HTML file that needs nothing else, and Markdown.

Both come from the audit's record alone. Numbers are those of the record, sentences follow from
them, and what the record does not hold is said to be missing.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jax_unlearn.audit.records.reading import titled
from jax_unlearn.core import InputError
from jax_unlearn.files import write_whole
from jax_unlearn.report.figures.style import save
from jax_unlearn.report.markdown import markdown_page
from jax_unlearn.report.page import tables, words
from jax_unlearn.report.page.blocks import Block, Bullets, Picture, Section
from jax_unlearn.report.page.html import html_page
from jax_unlearn.report.page.lead import headline, lead_blocks
from jax_unlearn.report.page.pictures import pictures, plain_text


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
      InputError: if ``audit`` is of another format or lacks a part, or two figures share a slug.
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
      InputError: if ``audit`` is of another format or lacks a part, or two figures share a slug.
    """
    audit = titled(audit)
    settings = audit.get("settings") or {}
    drawn, omitted = pictures(audit)
    courses = tables.course_blocks(audit)
    sections = [
        Section("", lead_blocks(audit)),
        Section("Every measure", tables.measure_blocks(audit), folded=True),
        Section("Ranking", tables.ranking_blocks(audit), folded=True),
        Section("Figures", [*drawn, *figures, *_bullets(omitted)], folded=True),
        Section("What was compared", [Bullets(_compared(audit))], folded=True),
        Section("Methods", tables.method_blocks(audit), folded=True),
        Section("On the way", courses, folded=True) if courses else None,
        Section("Arguments of the methods", tables.argument_blocks(audit), folded=True),
        Section("Notes", _bullets(audit["notes"]), folded=True) if audit["notes"] else None,
        Section("What the measures mean", tables.legend_blocks(audit), folded=True),
        Section("Protocol", tables.settings_blocks(_protocol(audit)), folded=True),
        Section("Settings", tables.settings_blocks(settings), folded=True) if settings else None,
        Section("Provenance", tables.settings_blocks(audit["provenance"]), folded=True),
        Section("Predictions behind this audit", tables.file_blocks(audit), folded=True),
    ]
    chosen = [section for section in sections if section is not None]
    _check_slugs(block.slug for s in chosen for block in s.blocks if isinstance(block, Picture))
    return headline(audit), chosen


def _check_slugs(slugs: Iterable[str]) -> None:
    """Refuse a figure that would overwrite another one."""
    seen: set[str] = set()
    for slug in slugs:
        if slug in seen:
            raise InputError(
                f"figures: slug={slug!r}: expected one that no other figure of the report has; "
                "choose another"
            )
        seen.add(slug)


def _bullets(items: Sequence[str]) -> list[Block]:
    return [Bullets(items)] if items else []


def _compared(audit: Mapping[str, Any]) -> list[str]:
    """Say what was forgotten, how, and what it was compared with; verdicts stand in their table."""
    reasons = {row["verdict"]["reason"] for row in audit["rows"]} - {""}
    said = [text for text in audit["summary"] if not any(reason in text for reason in reasons)]
    return [
        words.forgotten_sentence(audit["request"]),
        words.methods_sentence(audit["models"]),
        *words.compared_sentences(audit),
        *filter(None, [words.accuracy_sentence(audit)]),
        words.uninformative_sentence(audit),
        *said,
    ]


def _protocol(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Gather what identifies the audit, beside the choices that its numbers depend on."""
    request = audit["request"]
    hashes = {"hash of the request": request["hash"], "hash of the ids": request["ids_hash"]}
    known = {name: value for name, value in hashes.items() if value}
    return {"level": audit["level"], **known, **audit["protocol"]}
