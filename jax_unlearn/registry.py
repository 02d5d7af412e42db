"""Methods by name: the built-in ones, a user's own, and those of installed packages."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jax_unlearn.core import InputError, Unlearner
from jax_unlearn.methods.amnesiac import amnesiac
from jax_unlearn.methods.amun import amun
from jax_unlearn.methods.bad_teacher import bad_teacher
from jax_unlearn.methods.boundary_expand import boundary_expand
from jax_unlearn.methods.boundary_shrink import boundary_shrink
from jax_unlearn.methods.cf_k import cf_k
from jax_unlearn.methods.constructors import checked, constructor, method_class
from jax_unlearn.methods.ct import ct
from jax_unlearn.methods.delete import delete
from jax_unlearn.methods.eu_k import eu_k
from jax_unlearn.methods.finetune import finetune
from jax_unlearn.methods.fisher_forgetting import fisher_forgetting
from jax_unlearn.methods.gradient_ascent import gradient_ascent
from jax_unlearn.methods.influence import influence
from jax_unlearn.methods.jit import jit
from jax_unlearn.methods.l1_sparse import l1_sparse
from jax_unlearn.methods.l2ul import l2ul
from jax_unlearn.methods.lfssd import lfssd
from jax_unlearn.methods.msg import msg
from jax_unlearn.methods.mumis import mumis, mumis_last_layer
from jax_unlearn.methods.natmu import natmu
from jax_unlearn.methods.neggrad_plus import neggrad_plus
from jax_unlearn.methods.negmerge import negmerge
from jax_unlearn.methods.random_label import random_label
from jax_unlearn.methods.retrain import retrain
from jax_unlearn.methods.salun import salun
from jax_unlearn.methods.scrub import scrub
from jax_unlearn.methods.scrub_r import scrub_r
from jax_unlearn.methods.sfr_on import sfr_on
from jax_unlearn.methods.ssd import ssd
from jax_unlearn.methods.ugradsl import ugradsl
from jax_unlearn.methods.ugradsl_plus import ugradsl_plus
from jax_unlearn.methods.unsir import unsir
from jax_unlearn.user_code import find_object

Constructor = Callable[..., Unlearner]

ENTRY_POINTS = "jax_unlearn.methods"
"""Group of entry points by which an installed package offers methods."""

_CONSTRUCTORS: dict[str, Constructor] = {
    "retrain": retrain,
    "finetune": finetune,
    "l1_sparse": l1_sparse,
    "gradient_ascent": gradient_ascent,
    "neggrad_plus": neggrad_plus,
    "ugradsl": ugradsl,
    "ugradsl_plus": ugradsl_plus,
    "random_label": random_label,
    "amnesiac": amnesiac,
    "bad_teacher": bad_teacher,
    "salun": salun,
    "scrub": scrub,
    "scrub_r": scrub_r,
    "delete": delete,
    "msg": msg,
    "ct": ct,
    "cf_k": cf_k,
    "eu_k": eu_k,
    "natmu": natmu,
    "mumis": mumis,
    "mumis_last_layer": mumis_last_layer,
    "ssd": ssd,
    "lfssd": lfssd,
    "fisher_forgetting": fisher_forgetting,
    "influence": influence,
    "sfr_on": sfr_on,
    "jit": jit,
    "boundary_shrink": boundary_shrink,
    "boundary_expand": boundary_expand,
    "amun": amun,
    "unsir": unsir,
    "l2ul": l2ul,
    "negmerge": negmerge,
}


class _Methods(Mapping[str, Constructor]):
    """A view of the registered methods, in the order in which they were registered."""

    def __getitem__(self, name: str) -> Constructor:
        return _CONSTRUCTORS[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_CONSTRUCTORS)

    def __len__(self) -> int:
        return len(_CONSTRUCTORS)

    def __repr__(self) -> str:
        return f"METHODS({', '.join(self)})"


METHODS: Mapping[str, Constructor] = _Methods()
"""Constructor of each registered method by name; see :func:`register_method`."""


def register_method(made_by: Any, name: str = "") -> Constructor:
    """Give a method a name, under which every command and ``METHODS`` find it.

    Args:
      made_by: a class derived from :class:`~jax_unlearn.core.Unlearner`, its constructor, or a
        function without arguments that returns a method.
      name: an identifier; '' takes the constructor's name, or the class's in lower case
        (``MyMethod`` is ``my_method``).

    Returns:
      The constructor that was registered.

    Raises:
      InputError: ``made_by`` makes no method, ``name`` is no identifier, or another method has it.
    """
    made_by = checked(made_by, "method")
    cls = method_class(made_by)
    if made_by is cls:
        made_by = constructor(cls, name)
    name = name or made_by.__name__
    if not name.isidentifier():
        raise InputError(f"name={name!r}: expected an identifier, such as my_method")
    known = _CONSTRUCTORS.get(name)
    if known is not None and method_class(known) is not cls:
        raise InputError(
            f"name={name!r}: {method_class(known).__name__} has it: expected a name that no other "
            "method has; take another"
        )
    return _CONSTRUCTORS.setdefault(name, made_by)


def find_method(text: str, *, argument: str = "method") -> Constructor:
    """Find a method's constructor.

    Args:
      text: the name of a registered method or of an installed package's entry point in the group
        ``jax_unlearn.methods``; or ``FILE.py:NAME`` or ``pkg.module:NAME`` of a class, a
        constructor or a function without arguments that returns a method, of your own.
      argument: what the text was given for, for error messages.

    Raises:
      InputError: there is no such method, or what the text names makes none.
    """
    found = find_object(text, _CONSTRUCTORS, ENTRY_POINTS, argument=argument)
    return _constructor(checked(found, argument, text))


def _constructor(made_by: Any) -> Constructor:
    return constructor(made_by) if method_class(made_by) is made_by else made_by
