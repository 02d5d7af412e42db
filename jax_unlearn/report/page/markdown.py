"""Blocks as Markdown."""

from collections.abc import Sequence

from jax_unlearn.report.markdown import escape
from jax_unlearn.report.page.blocks import (
    MARKS,
    Block,
    Bullets,
    Cell,
    Paragraph,
    Section,
    Table,
)


def markdown_page(title: str, sections: Sequence[Section]) -> str:
    """Write a whole page; pictures are links to ``figures/<slug>.png``."""
    parts = [f"# {escape(title)}"]
    for section in sections:
        parts.append(f"## {escape(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return escape(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {escape(item)}" for item in block.items)
    if isinstance(block, Table):
        lines = [[_cell(cell) for cell in row] for row in (block.head, *block.rows)]
        lines.insert(1, ["---"] * len(block.head))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"![{escape(block.text)}](figures/{block.slug}.png)"


def _cell(cell: Cell) -> str:
    mark = f"{MARKS[cell.mark]} {cell.mark}" if cell.mark else ""
    small = ", ".join(filter(None, [mark, escape(cell.detail)]))
    return f"{escape(cell.text)} ({small})" if small else escape(cell.text)
