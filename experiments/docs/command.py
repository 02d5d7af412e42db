"""The command: docstrings in, pages out."""

import dataclasses
from pathlib import Path

import jax_unlearn
from jax_unlearn.core import InputError

from ..shared.command import console, guarded
from ..shared.command_line import parse
from ..shared.writable import check_writable
from . import __doc__ as description
from .pages import read_packages


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Write the API reference.

    Attributes:
      out: folder to write; pages that stand in it are replaced.
    """

    out: str = "runs/docs"


def write_reference(out: Path) -> list[Path]:
    """Write the pages, and return them, that of `jax_unlearn` first.

    Warns of what cannot be documented, such as a name in an `__all__` that does not exist.

    Raises:
      InputError: pdoc is missing.
    """
    try:
        from pdoc import render
    except ImportError:
        raise InputError(
            "docs: expected the package pdoc; pip install 'jax_unlearn[docs]'"
        ) from None
    render.configure(
        docformat="google", show_source=False, footer_text=f"jax_unlearn {jax_unlearn.__version__}"
    )
    pages = read_packages()
    written = []
    for name, page in pages.items():
        written.append(out / f"{name.replace('.', '/')}.html")
        _write(written[-1], render.html_module(page, pages))
    _write(out / "index.html", render.html_index(pages))
    _write(out / "search.js", render.search_index(pages))
    return written


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line and write the reference."""

    def run() -> None:
        out = Path(parse(Command, "experiments.docs", description).out)
        check_writable(out)
        written = write_reference(out)
        console().print(
            f"wrote {len(written)} pages; open {out / 'index.html'}", markup=False, soft_wrap=True
        )

    guarded(run)
