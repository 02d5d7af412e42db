"""The settings of an ablation: a grid, a sample of one, or a study around one setting."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

from jax_unlearn.core import InputError, Unlearner, check_choice
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method

from ..shared.hyperparameters import build_method
from ..shared.setting_text import parse_setting
from .grids import Axes, describe_values, grid_points, read_over, sample_points
from .studies import Study, Times, find_study

CENTRE = "as set"
"""Name of the setting that a study varies."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting of the method.

    Attributes:
      name: shown in tables, as 'num=4, delta=-0.2'.
      values: of all swept fields.
      arguments: all that differ from the method's defaults.
      unlearner: the method with them.
    """

    name: str
    values: dict[str, Any]
    arguments: dict[str, Any]
    unlearner: Unlearner


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is to be varied, before a request says around which setting.

    Attributes:
      method: the name.
      study: a study, or None.
      points: values of the swept fields in a grid or a sample; empty for a study.
      sampled: whether points were drawn.
    """

    method: str
    study: Study | None
    points: tuple[dict[str, Any], ...] = ()
    sampled: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The swept fields."""
        return tuple(self.study.fields if self.study else self.points[0])


def read_asked(
    method: str, over: tuple[str, ...], study: str, sample: int, sample_seed: int
) -> Asked:
    """Read what a command line asks for.

    Raises:
      InputError: it is contradictory, or a field or value is none.
    """
    if study:
        for name, given in (("method", method), ("over", over), ("sample", sample)):
            if given:
                raise InputError(f"{name}={given!r}: a study has its own; leave out --{name}")
        found = find_study(study)
        _check_fields(found.method, found.fields)
        return Asked(found.method, found)
    if not method or not over:
        raise InputError(
            f"method={method!r}, over={over}: expected --method NAME and --over FIELD=VALUES, or "
            "--study NAME"
        )
    axes = read_over(over)
    _check_fields(method, axes)
    if not sample:
        return Asked(method, None, tuple(grid_points(axes)))
    return Asked(method, None, _sampled(method, axes, sample, sample_seed), sampled=True)


def _sampled(method: str, axes: Axes, count: int, seed: int) -> tuple[dict[str, Any], ...]:
    fields = dataclasses.fields(method_class(find_method(method)))
    whole = [field.name for field in fields if field.type is int]
    return tuple(sample_points(axes, count, seed, whole))


def _check_fields(method: str, fields: Mapping[str, Any]) -> None:
    known = [f.name for f in dataclasses.fields(method_class(find_method(method)))]
    for field in fields:
        check_choice(f"over: hyperparameter of {method}", field, known)


def make_settings(asked: Asked, arguments: Mapping[str, Any]) -> list[Setting]:
    """The settings for a request, all of them checked.

    Args:
      asked: what is to be varied.
      arguments: the method's hyperparameters for the request, where they differ from its defaults.

    Raises:
      InputError: a value is out of range.
    """
    if asked.study is None:
        settings = [_setting(asked, arguments, point) for point in asked.points]
    else:
        settings = _around(asked, asked.study, arguments)
    for name, count in Counter(setting.name for setting in settings).items():
        if count > 1:
            raise InputError(f"over: {name}: comes twice; expected each setting once")
    return settings


def _setting(
    asked: Asked, arguments: Mapping[str, Any], values: Mapping[str, Any], name: str = ""
) -> Setting:
    """The setting with these values; its name is that of the fields unless one is given."""
    changed = {**arguments, **values}
    unlearner = build_method(asked.method, changed)
    # As the method has them: 2.0 is 2 where a whole number is meant.
    taken = {field: getattr(unlearner, field) for field in values}
    swept = {field: getattr(unlearner, field) for field in asked.fields}
    return Setting(name or describe_values(taken), swept, {**arguments, **taken}, unlearner)


def _around(asked: Asked, study: Study, arguments: Mapping[str, Any]) -> list[Setting]:
    """What is set, then one field after the other at its other values."""
    centre = _setting(asked, arguments, {}, CENTRE)
    settings = [centre]
    for field, given in study.fields.items():
        own = centre.values[field]
        values = given.of(own) if isinstance(given, Times) else given
        settings += [_setting(asked, arguments, {field: v}) for v in values if v != own]
    return settings


def check_fixed(asked: Asked, fixed: tuple[str, ...]) -> None:
    """Raise InputError if a field that is varied is fixed, too."""
    for text in fixed:
        _, method, field, _ = parse_setting(text)
        if method == asked.method and field in asked.fields:
            raise InputError(f"set={text!r}: {field} is fixed, and varied; give it once")
