"""A method for each step of a sequence, as ``finetune-then-salun``; RUM is one use."""

import pathlib

from jax_unlearn.core import InputError
from jax_unlearn.data import steps_of
from jax_unlearn.display import method_of

THEN = "-then-"


def methods_in(name: str) -> list[str]:
    """The methods that a name is made of, in order; itself where it is one."""
    # A file of one's own may be called so.
    own = pathlib.Path(name.rpartition(":")[0]).is_file()
    return [name] if own else name.split(THEN)


def method_at(name: str, request: str) -> str:
    """The method of a request's last step, by the name given or that of its row."""
    methods = methods_in(method_of(name))
    return methods[len(steps_of(request)) - 1] if len(methods) > 1 else methods[0]


def check_composed(name: str, request: str) -> None:
    """Raise InputError unless a name is one method, or one for each step of a request."""
    methods, steps = len(methods_in(name)), len(steps_of(request))
    if methods not in (1, steps):
        raise InputError(
            f"methods={name!r}: is {methods} methods, and {request!r} has "
            f"{'one step' if steps == 1 else f'{steps} steps'}: expected one method, or one for "
            "each step"
        )
