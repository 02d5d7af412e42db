"""A method of one's own, alone in a run: in the place of all others, and on their leaderboard."""

import dataclasses
import pathlib
from collections.abc import Callable

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.methods import method_class
from jax_unlearn.registry import METHODS, find_method

from ..leaderboard.command import RESULTS, write_board
from ..shared.config import Experiment


def alone(experiment: Experiment, method: str) -> Experiment:
    """An experiment with one method in the place of its own, in batches of training's size.

    Raises:
      InputError: there is no such method, or it is shown under the name of one of the library's.
    """
    found = method_class(find_method(method, argument="method"))
    title = found.title or display_name(method)
    taken = {display_name(name).casefold(): name for name in METHODS}
    known = taken.get(title.casefold())
    if known is not None and found is not method_class(METHODS[known]):
        raise InputError(
            f"method={method!r}: shown as {title}, the name of the library's {known}: expected one "
            "of its own; rename the class, or give it a title"
        )
    # First of all, so that what is set by hand comes later and counts.
    batches = f"{method}.batch_size={experiment.training.batch_size}"
    return dataclasses.replace(experiment, methods=(method,), set=(batches, *experiment.set))


def rank_among_all(
    folder: pathlib.Path, method: str, preset: str, tell: Callable[[str], None]
) -> None:
    """Write the leaderboard with a finished run's method on it, where the preset's results are.

    Args:
      folder: of the run.
      method: as given; the library's stand on the board already.
      preset: that the run began with.
      tell: told where the leaderboard is, or why there is none.
    """
    results = RESULTS / preset
    if method not in METHODS and preset and (results / "config.json").is_file():
        out = folder / "leaderboard.md"
        try:
            write_board([results, folder], out)
            tell(f"leaderboard: {out}")
        except InputError as error:
            # The verdict stands without it.
            tell(f"no leaderboard: {error}")
