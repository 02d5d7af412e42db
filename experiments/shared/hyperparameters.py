"""Hyperparameters of an experiment's methods: from a file, from single settings, to a method."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import jax_unlearn as ju
from jax_unlearn.bank.plan import Named
from jax_unlearn.core import InputError, check_choice
from jax_unlearn.data.request_text import OPTIONS
from jax_unlearn.display import DEFAULTS, method_of
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method
from jax_unlearn.user_code import is_reference

from .config import Experiment
from .hyperparameter_file import read_hyperparameters
from .naming import naming
from .sources import source_of


def method_arguments(experiment: Experiment, request: str) -> dict[str, dict[str, Any]]:
    """Each row's hyperparameters for a request, where they differ from the method's defaults.

    Those of the file come first (its entry for the request, else for ``'*'``), then ``set``. With
    ``show_defaults`` a method that collapsed at its defaults in the search has a second row, which
    takes nothing from it.

    Raises:
      InputError: the file is missing or malformed, or has no entry for the request.
    """
    entry = _entry(experiment, request)
    arguments: dict[str, dict[str, Any]] = {}
    for name in experiment.methods:
        found = entry.get(name, {})
        arguments[name] = dict(found.get("arguments", {}))
        row = name + DEFAULTS
        if experiment.show_defaults and (found.get("collapses") or row in entry):
            arguments[row] = dict(entry.get(row, {}).get("arguments", {}))
    for text in experiment.set:
        kind, method, field, value = parse_setting(text)
        if kind in ("", request.partition(":")[0]):
            for row in {method, method + DEFAULTS} & set(arguments):
                arguments[row][field] = value
    return arguments


def failed_methods(experiment: Experiment, request: str) -> dict[str, str]:
    """By method why its hyperparameters stand for none that work, as their search says it.

    Nothing is said of a method whose hyperparameters ``set`` changes from those searched.

    Raises:
      InputError: as :func:`method_arguments`.
    """
    entry = _entry(experiment, request)
    used = method_arguments(experiment, request)
    return {
        name: str(entry[name]["failed"])
        for name in experiment.methods
        if name in entry and entry[name]["failed"] and used[name] == entry[name]["arguments"]
    }


def _entry(experiment: Experiment, request: str) -> Mapping[str, Any]:
    """What the file of hyperparameters has for a request, by method."""
    file = experiment.hyperparameters
    found = read_hyperparameters(file) if file else {"*": {}}
    entry = found.get(request, found.get("*"))
    if entry is None:
        raise InputError(
            f"hyperparameters={file!r}: has no entry for {request!r}, only for "
            f"{', '.join(found)}; search for it, or pass --hyperparameters '' for the "
            "methods' own defaults"
        )
    return entry


def name_method(name: str, arguments: Mapping[str, Any], failed: str = "") -> Named:
    """A method under the name of its row.

    Raises:
      InputError: as :func:`build_method`.
    """
    return Named(name, build_method(name, arguments), source_of(method_of(name)), failed)


def build_method(name: str, arguments: Mapping[str, Any]) -> ju.Unlearner:
    """Construct a method by its name or that of its row.

    Raises:
      InputError: unknown method or hyperparameter (with near names), or a value out of range.
    """
    constructor = find_method(method_of(name))
    fields = dataclasses.fields(method_class(constructor))
    defaults = {field.name: field.default for field in fields}
    given = {}
    for field, value in arguments.items():
        check_choice(f"hyperparameter of {name}", field, defaults)
        default = defaults[field]
        if isinstance(default, bool) and not isinstance(value, bool):
            raise InputError(f"{name}.{field}={value!r}: expected true or false")
        # A whole number may be written as 1e2: JSON makes that a float.
        whole = isinstance(default, int) and isinstance(value, float) and value.is_integer()
        given[field] = int(value) if whole else value
    with naming(f"{name}."):
        return constructor(**given)


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
