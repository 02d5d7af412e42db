"""Names of methods as a reader knows them, for records, reports and figures alike."""

from collections.abc import Mapping

from jax_unlearn.methods.constructors import method_class
from jax_unlearn.registry import METHODS
from jax_unlearn.user_code import is_reference

DEFAULTS = ", defaults"
"""Ends the name of the row that shows a method at its defaults, beside one at settings found."""


def method_of(row: str) -> str:
    """Name of the method that a row shows: of ``'natmu, defaults'``, too, it is ``'natmu'``."""
    return row.removesuffix(DEFAULTS)


def display_name(name: str) -> str:
    """Name a method as a reader knows it: by what its class declares, else by its words.

    ``'natmu'`` is NatMU, ``'gradient_ascent'`` gradient ascent, ``'FILE.py:MyMethod'`` MyMethod,
    ``'finetune-then-salun'``, a method for each step of a sequence, fine-tune, then SalUn.
    A user's code is not imported for it: a title that it declares comes with its models, see
    :attr:`jax_unlearn.bank.plan.Named.title`.
    """
    if name.endswith(DEFAULTS):
        return display_name(method_of(name)) + DEFAULTS
    if "-then-" in name:
        return ", then ".join(display_name(part) for part in name.split("-then-"))
    if is_reference(name):
        name = name.rpartition(":")[2]
    if name in METHODS:
        return _declared(name) or name.replace("_", " ")
    return " ".join(_declared(word) or word for word in name.split("_"))


def history_unit(name: str) -> str:
    """Name what passes between two entries of a method's history: ``'epoch'``, MU-Mis's look."""
    return method_class(METHODS[name]).history_unit if name in METHODS else "epoch"


def row_titles(declared: Mapping[str, str]) -> dict[str, str]:
    """Titles of the methods of an audit, no two the same: the second that has one is 'NatMU 2'.

    Args:
      declared: what a method's class declares, by the name of its row; '' for nothing.
    """
    taken = {"original", "oracle"}
    titles: dict[str, str] = {}
    for name, given in declared.items():
        shown = given + DEFAULTS if given and name.endswith(DEFAULTS) else given
        title = first = shown or display_name(name)
        number = 1
        while title in taken:
            number += 1
            title = f"{first} {number}"
        titles[name] = title
        taken.add(title)
    return titles


def _declared(name: str) -> str:
    return str(method_class(METHODS[name]).title) if name in METHODS else ""
