"""A hyperparameter as it is written on the command line: METHOD.NAME=VALUE."""

import json
from typing import Any

from jax_unlearn.core import InputError
from jax_unlearn.data.request_text import OPTIONS
from jax_unlearn.user_code import is_reference


def parse_setting(text: str) -> tuple[str, str, str, Any]:
    """Kind of request ('' for all), method, hyperparameter and value of a ``set`` entry."""
    name, equals, value = text.partition("=")
    kind, slash, method = name.partition("/")
    if not slash or kind not in OPTIONS:
        # A path of a method of one's own has slashes, too.
        kind, method = ("", name) if is_reference(name.rpartition(".")[0]) else (kind, method)
    if not slash:
        kind, method = "", name
    method, dot, field = method.rpartition(".")
    if not (equals and dot and method and field):
        raise InputError(f"set={text!r}: expected METHOD.NAME=VALUE, such as natmu.delta=-0.1")
    try:
        return kind, method, field, json.loads(value)
    except json.JSONDecodeError:
        return kind, method, field, value
