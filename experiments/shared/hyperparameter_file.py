"""A file of hyperparameters: what a search wrote, or the settings of a run."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from jax_unlearn.core import InputError


def read_hyperparameters(name: str) -> Mapping[str, Any]:
    """Read by request and row ``arguments``, ``failed``, and whether its method ``collapses``.

    Args:
      name: a path, or the name of a file that ships in experiments/configs.

    Raises:
      InputError: there is no such file, or a search wrote none of this form.
    """
    configs = pathlib.Path(__file__).parents[1] / "configs"
    shipped = {path.stem: path for path in sorted(configs.glob("*.json"))}
    try:
        found = json.loads(shipped.get(name, pathlib.Path(name)).read_text())
        entries = found.get("settings", found)["requests"]
        return {
            request: {
                method: {
                    "arguments": dict(result["arguments"]),
                    "failed": result.get("failed", ""),
                    # At its defaults.
                    "collapses": result.get("published", {}).get("collapsed", False),
                }
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
