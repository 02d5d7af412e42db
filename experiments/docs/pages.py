"""What pdoc knows of the packages, completed by what it does not see."""

import importlib
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..shared.help_text import explained
from .signatures import readable, renamed, shown

if TYPE_CHECKING:
    import pdoc.doc

PACKAGES = (
    *("data", "models", "methods", "functional", "engine", "bank", "audit", "report"),
    *("core", "registry", "testing"),
)
"""What a user imports from, beside `jax_unlearn` itself; in the order of the page's list."""


def read_packages() -> "dict[str, pdoc.doc.Module]":
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
        member.signature = readable(member.signature)
    elif isinstance(member, doc.Variable):
        if member.annotation_str:
            member.annotation_str = f": {shown(member.annotation)}"
        member.default_value_str = renamed(member.default_value_str)
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
