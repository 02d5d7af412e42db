"""Settings that share a compiled program, so that their models can be made side by side."""

from collections.abc import Sequence

from jax_unlearn.hyperparameters import describe

from .grids import describe_values
from .settings import Setting


def by_program(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Settings that share a compiled program together."""
    groups: dict[tuple[str, ...], list[Setting]] = {}
    for setting in settings:
        unlearner = setting.unlearner
        program = (describe(getattr(unlearner, name)) for name in unlearner.static_fields)
        groups.setdefault(tuple(program), []).append(setting)
    return list(groups.values())


def title_of(alike: Sequence[Setting]) -> str:
    """What settings have in common, or the one there is."""
    if len(alike) == 1:
        return alike[0].name
    static = type(alike[0].unlearner).static_fields
    common = {f: v for f, v in alike[0].values.items() if f in static}
    return ", ".join(filter(None, [describe_values(common), f"{len(alike)} settings"]))
