"""What an ablation works on where neither a preset nor an earlier run is given."""

import argparse
import dataclasses
from collections.abc import Sequence

from ..configs import preset
from ..shared.config import Experiment

DEFAULT = dataclasses.replace(preset("quickstart"), requests=("class:3",))
"""What is worked on without a preset, on digits."""


def begin_with(arguments: Sequence[str]) -> Experiment:
    """Settings to begin with: what was found for digits is nothing to other data."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data.name", nargs="?", dest="name", default=DEFAULT.data.name)
    name = parser.parse_known_args(arguments)[0].name
    return DEFAULT if name == DEFAULT.data.name else Experiment(requests=DEFAULT.requests)
