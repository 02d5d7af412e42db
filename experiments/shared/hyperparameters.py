"""Hyperparameters of an experiment's methods: from a file, from single settings, to a method."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax_unlearn as ju
from jax_unlearn.bank.plan import Named
from jax_unlearn.core import InputError, check_choice
from jax_unlearn.data import last_step, steps_of, with_steps, without_group, without_seed
from jax_unlearn.display import DEFAULTS, method_of
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method
from jax_unlearn.user_code import is_reference
from jax_unlearn.warn import warn_user

from .composed import method_at, methods_in
from .config import Experiment
from .hyperparameter_file import read_hyperparameters
from .naming import naming
from .setting_text import parse_setting
from .sources import method_source

NOTHING: Mapping[str, Any] = {"arguments": {}, "failed": "", "collapses": False}
"""What a file says of a method that it does not name."""


def method_arguments(experiment: Experiment, request: str) -> dict[str, dict[str, Any]]:
    """Each row's hyperparameters for a request, where they differ from the method's defaults.

    Of a name that is several methods, those of the one of the request's last step.

    Those of the file come first (its entry for the request, of a sequence else for its last step,
    else for that with any seed or all groups, else for ``'*'``), then ``set``. With
    ``show_defaults`` a method that collapsed at its defaults in the search has a second row, which
    takes nothing from it.

    Raises:
      InputError: the file is missing or malformed, or has no entry for the request.
    """
    entry = _entry(experiment, request)
    arguments: dict[str, dict[str, Any]] = {}
    for name in experiment.methods:
        arguments[name] = dict(_found(entry, name, request)["arguments"])
        if experiment.show_defaults and _shows_defaults(experiment, name, request):
            row = name + DEFAULTS
            arguments[row] = dict(entry.get(row, NOTHING)["arguments"])
    for text in experiment.set:
        kind, method, field, value = parse_setting(text)
        if kind in ("", last_step(request).partition(":")[0]):
            for row, given in arguments.items():
                if method_at(row, request) == method:
                    given[field] = value
    return arguments


def check_used(texts: Sequence[str], experiment: Experiment) -> None:
    """Warn of ``set`` entries of methods or kinds of request that nothing asks for.

    Args:
      texts: entries to check; those that come with a preset may be of methods that it is run
        without.
      experiment: whose methods and requests they are for. Where it has a method that nobody knows,
        nothing is said: that comes first.

    Raises:
      InputError: an entry is of a method that nobody knows, or of the oracle.
    """
    if not experiment.methods or not all(map(_is_known, experiment.methods)):
        return
    parts = {part for name in experiment.methods for part in methods_in(name)}
    kinds = {last_step(r).partition(":")[0] for r in with_steps(experiment.requests)}
    for text in texts:
        kind, method, _, _ = parse_setting(text)
        if method == "retrain":
            raise InputError(
                f"set={text!r}: the oracle's settings are those of training: expected a method's; "
                "pass --training.NAME"
            )
        if not is_reference(method):
            # Of a name that no method has the line says which there are.
            check_choice(f"set={text!r}: method", method, [*ju.METHODS, *parts])
        if kind and kind not in kinds:
            warn_user(
                f"set={text!r}: none of the requests is of the kind {kind}: it changes nothing"
            )
        elif method not in parts:
            told = ", ".join(experiment.methods)
            warn_user(f"set={text!r}: {method} is not among the methods {told}: it changes nothing")


def _is_known(name: str) -> bool:
    try:
        for part in methods_in(name):
            find_method(part)
    except InputError:
        return False
    return True


def failed_methods(experiment: Experiment, request: str) -> dict[str, str]:
    """By method why its hyperparameters stand for none that work, as their search says it.

    Nothing is said of a method whose hyperparameters ``set`` changes from those searched.

    Raises:
      InputError: as :func:`method_arguments`.
    """
    entry = _entry(experiment, request)
    used = method_arguments(experiment, request)
    found = {name: _found(entry, name, request) for name in experiment.methods}
    return {
        name: str(told["failed"])
        for name, told in found.items()
        if told["failed"] and used[name] == told["arguments"]
    }


def _found(entry: Mapping[str, Any], name: str, request: str) -> Mapping[str, Any]:
    """What the file has for a name: a run's settings by itself, a search's by its method."""
    return entry.get(name, entry.get(method_at(name, request), NOTHING))


def _shows_defaults(experiment: Experiment, name: str, request: str) -> bool:
    """Whether a method collapsed at its defaults, in any step of a sequence that is asked for.

    A step goes on from what the same row left, so that such a row is there from the first step on.
    """
    sequences = [text for text in experiment.requests if request in steps_of(text)]
    for step in {step for text in (request, *sequences) for step in steps_of(text)}:
        entry = _entry(experiment, step)
        if _found(entry, name, step)["collapses"] or name + DEFAULTS in entry:
            return True
    return False


def _entry(experiment: Experiment, request: str) -> Mapping[str, Any]:
    """What the file of hyperparameters has for a request, by method."""
    file = experiment.hyperparameters
    found = read_hyperparameters(file) if file else {"*": {}}
    step = last_step(request)
    whole = without_group(step)
    names = (request, step, without_seed(step), whole, without_seed(whole), "*")
    entry = next((found[name] for name in names if name in found), None)
    if entry is None:
        raise InputError(
            f"hyperparameters={file!r}: has no entry for {request!r}, only for "
            f"{', '.join(found)}; search for it, or pass --hyperparameters '' for the "
            "methods' own defaults"
        )
    return entry


def name_method(name: str, request: str, arguments: Mapping[str, Any], failed: str = "") -> Named:
    """The method of a request's last step, under the name of its row.

    Raises:
      InputError: as :func:`build_method`.
    """
    method = method_at(name, request)
    return Named(name, build_method(method, arguments), method_source(method), failed)


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
