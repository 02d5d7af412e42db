"""Blocks as one HTML file that needs nothing else: no network, no font, no foreign script."""

import base64
import functools
import hashlib
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
from markupsafe import Markup, escape

from jax_unlearn.report.page.blocks import MARKS, Block, Picture, Section

_SORT = Path(__file__).parents[1] / "templates" / "sort.js"

_PERCENT = re.compile(r"(?<=\d) %")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def html_page(title: str, sections: Sequence[Section]) -> str:
    """Write a whole page; every text in it is escaped, and its one script sorts tables."""
    sorts = any(getattr(block, "sortable", False) for s in sections for block in s.blocks)
    script = Markup(_SORT.read_text("utf-8").strip()) if sorts else ""
    page = _templates().get_template("page.html")
    return page.render(title=title, sections=sections, script=script)


def printable(text: object) -> object:
    """Replace the characters that no page may hold; what is no text stays as it is."""
    return _UNPRINTABLE.sub("\ufffd", text) if type(text) is str else text


def _set(text: object) -> object:
    """Make a text printable, its numbers on one line with the sign of percent."""
    text = printable(text)
    return _PERCENT.sub("\u00a0%", text) if type(text) is str else text


def inline_svg(picture: Picture) -> Markup:
    """Draw a figure as an SVG element whose ids are its own in a page of several.

    Words stay words, so that they can be found and read aloud; the same figure gives the same text.
    """
    buffer = io.StringIO()
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": picture.slug}
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(settings):
        picture.figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for before, after in ((r'\bid="', '"'), (r'href="#', '"'), (r"url\(#", r"\)")):
        text = re.sub(f"({before})([^\"')]+)(?={after})", rf"\g<1>{picture.slug}-\g<2>", text)
    label = escape(printable(picture.text))
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).rstrip())


def _groups(blocks: Iterable[Block]) -> Iterator[tuple[bool, list[Block]]]:
    """Gather pictures that follow each other: they share a box that sets them in columns."""

    def narrow(block: Block) -> bool:
        return isinstance(block, Picture) and not block.wide

    for together, group in itertools.groupby(blocks, narrow):
        yield together, list(group)


def _digest(script: str) -> str:
    """Sha256 by which the page allows a script, and no other."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jax_unlearn.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_set,
        keep_trailing_newline=True,
    )
    environment.globals.update(marks=MARKS, svg=inline_svg, groups=_groups, digest=_digest)
    return environment
