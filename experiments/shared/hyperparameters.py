"""Hyperparameters of an experiment's methods: from a file, from single settings, to a method."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax_unlearn as ju
from jax_unlearn.core import InputError, check_choice
from jax_unlearn.data import last_step, without_seed
from jax_unlearn.data.request_text import OPTIONS
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method
from jax_unlearn.user_code import is_reference

from .composed import method_at
from .config import Experiment
from .naming import naming


def method_arguments(experiment: Experiment, request: str) -> dict[str, dict[str, Any]]:
    """Each method's hyperparameters for a request, where they differ from the defaults.

    Of a name that is several methods, those of the one of the request's last step.

    Those of the file come first (its entry for the request, of a sequence else for its last step,
    else for that with any seed, else for ``'*'``), then ``set``.

    Raises:
      InputError: the file is missing or malformed, or has no entry for the request.
    """
    entry = _entry(experiment, request)
    methods = {name: method_at(name, request) for name in experiment.methods}
    arguments = {
        name: dict(entry.get(method, {}).get("arguments", {})) for name, method in methods.items()
    }
    for text in experiment.set:
        kind, wanted, field, value = parse_setting(text)
        for name, method in methods.items():
            if method == wanted and kind in ("", last_step(request).partition(":")[0]):
                arguments[name][field] = value
    return arguments


def failed_methods(experiment: Experiment, request: str) -> dict[str, str]:
    """By method why its hyperparameters stand for none that work, as their search says it.

    Nothing is said of a method whose hyperparameters ``set`` changes.

    Raises:
      InputError: as :func:`method_arguments`.
    """
    entry = _entry(experiment, request)
    methods = {name: method_at(name, request) for name in experiment.methods}
    told = {name: str(entry.get(m, {}).get("failed", "")) for name, m in methods.items()}
    changed = [parse_setting(text)[:2] for text in experiment.set]
    kinds = ("", last_step(request).partition(":")[0])
    own = {method for kind, method in changed if kind in kinds}
    return {name: why for name, why in told.items() if why and methods[name] not in own}


def _entry(experiment: Experiment, request: str) -> Mapping[str, Any]:
    """What the file of hyperparameters has for a request, by method."""
    file = experiment.hyperparameters
    found = _read_hyperparameters(file) if file else {"*": {}}
    step = last_step(request)
    names = (request, step, without_seed(step), "*")
    entry = next((found[name] for name in names if name in found), None)
    if entry is None:
        raise InputError(
            f"hyperparameters={file!r}: has no entry for {request!r}, only for "
            f"{', '.join(found)}; search for it, or pass --hyperparameters '' for the "
            "methods' own defaults"
        )
    return entry


def build_method(name: str, arguments: Mapping[str, Any]) -> ju.Unlearner:
    """Construct a method by name.

    Raises:
      InputError: unknown method or hyperparameter (with near names), or a value out of range.
    """
    constructor = find_method(name)
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


def _read_hyperparameters(name: str) -> Mapping[str, Any]:
    configs = pathlib.Path(__file__).parents[1] / "configs"
    shipped = {path.stem: path for path in sorted(configs.glob("*.json"))}
    try:
        found = json.loads(shipped.get(name, pathlib.Path(name)).read_text())
        entries = found.get("settings", found)["requests"]
        return {
            request: {
                method: {"arguments": dict(result["arguments"]), "failed": result.get("failed", "")}
                for method, result in methods.items()
            }
            for request, methods in entries.items()
        }
    except OSError as error:
        raise InputError(
            f"hyperparameters={name!r}: cannot be read ({error.strerror}); expected a path, or one "
            f"of {', '.join(shipped)}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"hyperparameters={name!r}: not a file that `python -m experiments.search` wrote"
        ) from error
