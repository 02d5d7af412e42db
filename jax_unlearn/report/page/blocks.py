"""What a report is made of, before anyone decides whether it becomes HTML or Markdown.

All text is plain: whoever writes a block escapes it.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A few sentences."""

    form: ClassVar[str] = "paragraph"

    text: str


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A list of sentences or facts."""

    form: ClassVar[str] = "bullets"

    items: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
      text: what it says first.
      detail: what it adds in small print, '' for nothing.
      mark: 'inside', 'outside', 'uninformative' or '' for none.
    """

    text: str
    detail: str = ""
    mark: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
      head: of the columns.
      rows: each as long as the head.
      kind: of the cells, which decides how narrow a column may get: 'measures', 'prose',
        'methods' or ''.
    """

    form: ClassVar[str] = "table"

    head: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    kind: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
      slug: of its file and of the ids in it, unlike those of the other pictures.
      text: what it shows, for those who do not see it.
      figure: the figure.
      wide: whether it takes the whole width of the page.
    """

    form: ClassVar[str] = "picture"

    slug: str
    text: str
    figure: Figure
    wide: bool = False


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading with what belongs to it.

    Attributes:
      title: the heading.
      blocks: its contents.
      folded: whether it stays closed on a screen until someone opens it.
    """

    title: str
    blocks: Sequence["Block"]
    folded: bool = False


Block = Paragraph | Bullets | Table | Picture

MARKS = {"inside": "\u25cf", "outside": "\u25b2", "uninformative": "\u25cb"}
"""The shape of each mark, which says the same as its colour and its word."""
