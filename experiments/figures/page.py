"""The figures as files, and a page that shows them with captions."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jax_unlearn.data.request_text import describe_request
from jax_unlearn.files import write_whole
from jax_unlearn.report import Picture
from jax_unlearn.report.figures import save
from jax_unlearn.report.markdown import markdown_page
from jax_unlearn.report.page.blocks import Block, Bullets, Paragraph, Section
from jax_unlearn.report.page.html import html_page
from jax_unlearn.report.page.pictures import plain_text

from ..shared.writable import check_writable


class Shown(NamedTuple):
    """One figure on the page.

    Attributes:
      name: what --only calls it.
      picture: the figure.
      caption: what stands above it.
    """

    name: str
    picture: Picture
    caption: str


def write_page(
    shown: Mapping[str, Sequence[Shown]], lines: Mapping[str, Sequence[str]], folder: pathlib.Path
) -> pathlib.Path:
    """Write figures.html, figures.md and figures/*.png and *.svg.

    Args:
      shown: by the request's text.
      lines: what is missing, by the request's text.
      folder: where to; made if missing.

    Returns:
      The HTML page.

    Raises:
      InputError: the folder cannot be written to.
    """
    sections = [_section(text, found, lines[text]) for text, found in shown.items()]
    title = f"Figures: {', '.join(map(describe_request, shown))}"
    with plain_text():
        page = html_page(title, sections)
    check_writable(folder)
    with plain_text():
        for one in (one for found in shown.values() for one in found):
            for kind in ("png", "svg"):
                save(one.picture.figure, folder / "figures" / f"{one.picture.slug}.{kind}")
    write_whole(folder / "figures.md", markdown_page(title, sections))
    return write_whole(folder / "figures.html", page.encode("utf-8", "replace"))


def _section(text: str, found: Sequence[Shown], lines: Sequence[str]) -> Section:
    blocks: list[Block] = []
    for one in found:
        blocks += [Paragraph(one.caption), one.picture]
    if lines:
        blocks.append(Bullets([f"Not drawn in full: {line}" for line in lines]))
    return Section(describe_request(text), blocks)
