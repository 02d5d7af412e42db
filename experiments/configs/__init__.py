"""Presets: one module for each published setting and for each run of ours.

Of MU-Mis's settings PinsFace has no builder here (give it as .npz), and sequential requests are one
command each.
"""

import importlib
import pkgutil

from jax_unlearn.core import check_choice

from ..shared.config import Experiment


def preset_names() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(
        sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    )


def preset(name: str) -> Experiment:
    """The preset of a name.

    Raises:
      InputError: there is none; the message has the near names.
    """
    check_choice("preset", name, preset_names())
    return importlib.import_module(f"{__name__}.{name}").EXPERIMENT


def describe_presets() -> str:
    """One line for each preset: its name and what it is."""
    texts = {
        name: importlib.import_module(f"{__name__}.{name}").__doc__ or "" for name in preset_names()
    }
    width = max(map(len, texts))
    return "\n".join(
        f"  {name:{width}}  {text.partition(chr(10))[0]}" for name, text in texts.items()
    )
