"""Write the API reference from the docstrings: `python -m experiments.docs`.

One page a package, with a search over all of them; open index.html in the folder. What is shown is
what each package names in its `__all__`.
"""

import dataclasses
import importlib
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chex
import jax
import optax

import jax_unlearn
from jax_unlearn.core import InputError

from .shared.command import console, guarded, program
from .shared.command_line import parse
from .shared.help_text import explained
from .shared.writable import check_writable

if TYPE_CHECKING:
    import pdoc.doc

PACKAGES = (
    *("data", "models", "methods", "functional", "engine", "bank", "audit", "report"),
    *("core", "registry", "testing"),
)
"""What a user imports from, beside `jax_unlearn` itself; in the order of the page's list."""

PUBLIC = {
    "jax.Array": jax.Array,
    "jax.Device": jax.Device,
    "jax.sharding.Mesh": jax.sharding.Mesh,
    "jax.sharding.Sharding": jax.sharding.Sharding,
    "optax.GradientTransformation": optax.GradientTransformation,
    "optax.OptState": optax.OptState,
    "chex.Numeric": chex.Numeric,
    "chex.ArrayTree": chex.ArrayTree,
}
"""Types by the names that their users import; they call themselves by where they are defined."""


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
    pages = _read_packages()
    written = []
    for name, page in pages.items():
        written.append(out / f"{name.replace('.', '/')}.html")
        _write(written[-1], render.html_module(page, pages))
    _write(out / "index.html", render.html_index(pages))
    _write(out / "search.js", render.search_index(pages))
    return written


def _read_packages() -> "dict[str, pdoc.doc.Module]":
    """What pdoc knows of each package, completed by what it does not see."""
    from pdoc import doc

    names = ["jax_unlearn", *(f"jax_unlearn.{package}" for package in PACKAGES)]
    modules = {name: importlib.import_module(name) for name in names}
    for module in modules.values():
        for name in getattr(module, "__all__", ()):
            # pdoc sees what a module holds; what is imported when it is asked for must be there.
            vars(module).setdefault(name, getattr(module, name))
    pages = {name: doc.Module(module) for name, module in modules.items()}
    # `__all__` has what `import *` brings, which packages need not be among.
    pages["jax_unlearn"].submodules = list(pages.values())[1:]
    with warnings.catch_warnings():
        # A type of chex that refers to itself by a name of chex's own.
        warnings.filterwarnings("ignore", ".*Import of ArrayTree failed")
        for member in [one for page in pages.values() for one in _members(page)]:
            _complete(member)
    return pages


def _members(page: "pdoc.doc.Namespace[Any]") -> "Iterator[pdoc.doc.Doc[Any]]":
    from pdoc import doc

    for member in page.members.values():
        yield member
        if isinstance(member, doc.Class):
            _explain_fields(member)
            yield from _members(member)


def _explain_fields(cls: "pdoc.doc.Class") -> None:
    """Put what a class says of its attributes below each of them, too."""
    texts = explained(cls.obj)
    for name in texts.keys() & cls.members.keys():
        cls.members[name].docstring = texts[name]


def _complete(member: "pdoc.doc.Doc[Any]") -> None:
    """Give types their public names, and a constant the text where it is defined."""
    from pdoc import doc

    # Python's own words about named tuples say nothing.
    if member.docstring.startswith(("Alias for field number", "Create new instance of")):
        member.docstring = ""
    if isinstance(member, doc.Function):
        member.signature = _readable(member.signature)
    elif isinstance(member, doc.Variable):
        if member.annotation_str:
            member.annotation_str = f": {_shown(member.annotation)}"
        member.default_value_str = _renamed(member.default_value_str)
        member.docstring = member.docstring or _said_at_home(member)
    # Sphinx's mark for a name without its module, which pdoc takes for a part of the name.
    member.docstring = member.docstring.replace("`~", "`")


def _said_at_home(constant: "pdoc.doc.Variable") -> str:
    """What stands below a constant in the module that defines it; '' where nothing does."""
    from pdoc import doc

    for name, module in sorted(sys.modules.items()):
        if name.startswith("jax_unlearn.") and constant.name in vars(module):
            same = vars(module)[constant.name] is constant.default_value
            there = doc.Module(module).get(constant.name) if same else None
            if there is not None and there.docstring:
                return there.docstring
    return ""


def _readable(signature: inspect.Signature) -> inspect.Signature:
    parameters = [
        parameter.replace(annotation=_shown(parameter.annotation))
        for parameter in signature.parameters.values()
    ]
    returned = _shown(signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=returned)


class _Shown:
    """An annotation of which only the text is wanted."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _shown(annotation: Any) -> Any:
    if annotation is inspect.Signature.empty:
        return annotation
    return _Shown(_renamed(inspect.formatannotation(annotation)))


def _renamed(text: str) -> str:
    for long, public in _own_names().items():
        text = text.replace(long, public)
    return text.replace("collections.abc.", "").replace("typing.", "")


def _own_names() -> Mapping[str, str]:
    """How types call themselves, with their public names; long ones first, which hold others."""
    names = {inspect.formatannotation(kind): name for name, kind in PUBLIC.items()}
    return dict(sorted(names.items(), key=lambda item: -len(item[0])))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line and write the reference."""

    def run() -> None:
        out = Path(parse(Command, "experiments.docs", __doc__).out)
        check_writable(out)
        written = write_reference(out)
        console().print(
            f"wrote {len(written)} pages; open {out / 'index.html'}", markup=False, soft_wrap=True
        )

    guarded(run)


if __name__ == "__main__":
    program(main)
