"""Blocks as one HTML file that needs nothing else: no network, no script, no font."""

import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib

from jax_unlearn.report.page.blocks import (
    MARKS,
    Block,
    Bullets,
    Cell,
    Paragraph,
    Picture,
    Section,
    Table,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Tells the browser to refuse whatever a hostile name might yet have smuggled in."""


def html_page(title: str, sections: Sequence[Section]) -> str:
    """Write a whole page."""
    style = (Path(__file__).parent / "page.css").read_text()
    body = "\n".join(_section(section) for section in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{body}
</main>
</body>
</html>
"""


def escape(text: str) -> str:
    """Make text stand for itself, in an attribute as well; control characters are replaced."""
    return html.escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\ufffd", str(text)))


def inline_svg(picture: Picture) -> str:
    """Draw a figure as an SVG element whose ids are its own in a page of several.

    Words stay words, so that they can be found and read aloud; the same figure gives the same text.
    """
    buffer = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": picture.slug}
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(settings):
        picture.figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for before, after in ((r'\bid="', '"'), (r'href="#', '"'), (r"url\(#", r"\)")):
        text = re.sub(f"({before})([^\"')]+)(?={after})", rf"\g<1>{picture.slug}-\g<2>", text)
    label = escape(picture.text)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).rstrip()


def _section(section: Section) -> str:
    """Write a section; pictures that follow each other share a box that sets them in columns."""
    parts: list[str] = []
    columns = False
    for block in section.blocks:
        narrow = isinstance(block, Picture) and not block.wide
        if narrow != columns:
            parts.append('<div class="pictures">' if narrow else "</div>")
            columns = narrow
        parts.append(_block(block))
    if columns:
        parts.append("</div>")
    body = "\n".join(parts)
    title = escape(section.title)
    if section.folded:
        return f"<details>\n<summary><h2>{title}</h2></summary>\n{body}\n</details>"
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>"


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Bullets):
        items = "\n".join(f"<li>{escape(item)}</li>" for item in block.items)
        return f"<ul>\n{items}\n</ul>"
    if isinstance(block, Table):
        return _table(block)
    kind = ' class="wide"' if block.wide else ""
    return f"<figure{kind}>\n{inline_svg(block)}\n</figure>"


def _table(table: Table) -> str:
    """Write a table in a box of its own that scrolls, reachable by keyboard."""
    head = "".join(f'<th scope="col">{_cell(cell)}</th>' for cell in table.head)
    rows = []
    for first, *others in table.rows:
        cells = "".join(f"<td{_class(cell)}>{_cell(cell)}</td>" for cell in others)
        rows.append(f'<tr><th scope="row">{_cell(first)}</th>{cells}</tr>')
    body = "\n".join(rows)
    kind = f' class="{table.kind}"' if table.kind else ""
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="table">\n<table{kind}>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _class(cell: Cell) -> str:
    return f' class="{cell.mark.replace(" ", "-")}"' if cell.mark else ""


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.mark:
        mark = f"{MARKS[cell.mark]}\u00a0{cell.mark.replace(' ', chr(0xA0))}"
        text = f'<b>{text}</b> <span class="mark">{mark}</span>'
    return f"{text}<small>{escape(cell.detail)}</small>" if cell.detail else text
