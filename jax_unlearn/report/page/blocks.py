"""What a report is made of, before anyone decides whether it becomes HTML or Markdown.

All text is plain: whoever writes a block escapes it.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from jax_unlearn.core import InputError

if TYPE_CHECKING:
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
class Facts:
    """What a reader wants to know first: a word and a sentence each."""

    form: ClassVar[str] = "facts"

    items: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
      text: what it says first.
      detail: what it adds in small print, '' for nothing.
      mark: a key of :data:`MARKS`, or '' for none.
      order: what a sortable table sorts it by; None takes the text, NaN stands last.
      image: a data URI of an image that stands above the text, '' for none; HTML alone shows it.
    """

    text: str
    detail: str = ""
    mark: str = ""
    order: float | None = None
    image: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
      head: of the columns.
      rows: each as long as the head.
      kind: of the cells, which decides how narrow a column may get: 'measures', 'prose',
        'methods' or ''.
      sortable: whether HTML lets a reader sort by a column; only such a page runs a script.
    """

    form: ClassVar[str] = "table"

    head: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    kind: str = ""
    sortable: bool = False


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
      slug: of its file and of the ids in it, of a-z, 0-9 and -; unlike those of the others.
      text: what it shows, for those who do not see it.
      figure: the figure.
      wide: whether it takes the whole width of the page.

    Raises:
      InputError: if ``slug`` holds other characters or none.
    """

    form: ClassVar[str] = "picture"

    slug: str
    text: str
    figure: "Figure"
    wide: bool = False

    def __post_init__(self) -> None:
        # It becomes part of a path and of attributes of the page.
        if not (isinstance(self.slug, str) and re.fullmatch("[a-z0-9-]+", self.slug)):
            raise InputError(
                f"slug={self.slug!r}: expected one or more of a-z, 0-9 and -; choose another"
            )


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading with what belongs to it.

    Attributes:
      title: the heading; '' for the first section, which the page's own heading belongs to. There
        a table and a figure stand side by side where the screen is wide enough.
      blocks: its contents.
      folded: whether it stays closed on a screen until someone opens it.
    """

    title: str
    blocks: Sequence["Block"]
    folded: bool = False


Block = Paragraph | Bullets | Facts | Table | Picture

MARKS = {
    "inside": "\u25cf",
    "outside": "\u25b2",
    "uninformative": "\u25cb",
    "passes": "\u2713",
    "fails": "\u2717",
    "cannot be judged": "?",
}
"""The shape of each mark, which says the same as its colour and its word."""
