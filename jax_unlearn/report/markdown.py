"""Text, tables and pages as Markdown."""

import re
from collections.abc import Sequence

from jax_unlearn.report.page.blocks import (
    MARKS,
    Block,
    Bullets,
    Cell,
    Facts,
    Paragraph,
    Section,
    Table,
)


class MarkdownText(str):
    """Text that a notebook shows as the Markdown that it is."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


def escape(text: object) -> str:
    """Make text stand for itself on one line of Markdown, in a table cell as well."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", " ".join(str(text).split()))


def table(lines: Sequence[Sequence[str]]) -> str:
    """Write a table of texts that are Markdown already; the first line is its head."""
    head, *body = lines
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


def markdown_page(title: str, sections: Sequence[Section]) -> str:
    """Write a whole page; pictures are links to ``figures/<slug>.png``."""
    parts = [f"# {escape(title)}"]
    for section in sections:
        parts += [f"## {escape(section.title)}"] if section.title else []
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return escape(block.text)
    if isinstance(block, Facts):
        return "\n".join(f"- **{escape(name)}:** {escape(text)}" for name, text in block.items)
    if isinstance(block, Bullets):
        return "\n".join(f"- {escape(item)}" for item in block.items)
    if isinstance(block, Table):
        return table([[_cell(cell) for cell in row] for row in (block.head, *block.rows)])
    return f"![{escape(block.text)}](figures/{block.slug}.png)"


def _cell(cell: Cell) -> str:
    mark = f"{MARKS[cell.mark]} {cell.mark}" if cell.mark else ""
    parts = list(filter(None, [mark, escape(cell.detail)]))
    if not cell.text:
        return ": ".join(parts)
    small = ", ".join(parts)
    return f"{escape(cell.text)} ({small})" if small else escape(cell.text)
