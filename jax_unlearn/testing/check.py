"""The battery: which checks a method passes, and in which order."""

import warnings
from collections.abc import Callable
from typing import Any

from jax_unlearn.core import Unlearner
from jax_unlearn.testing import fields, refusals, runs, steps
from jax_unlearn.testing.battery import Battery
from jax_unlearn.user_code import briefly

ONE_SHOT = (
    fields.is_a_pytree,
    runs.keeps_structure,
    runs.leaves_the_original_alone,
    runs.follows_its_key,
    runs.devices_agree,
    runs.placements_agree,
    fields.numbers_compile_once,
    refusals.missing_sets,
)
"""Of a method that edits the weights once."""

CHECKS = (
    fields.is_a_pytree,
    # What a single step shows comes before what whole runs show: it names the fault.
    steps.rows_of_an_epoch,
    steps.step_is_pure,
    steps.state_keeps_its_types,
    steps.mixes_no_types,
    steps.lets_the_network_draw,
    steps.padding_changes_nothing,
    fields.takes_traced_numbers,
    runs.keeps_structure,
    runs.leaves_the_original_alone,
    runs.follows_its_key,
    runs.loops_agree,
    runs.devices_agree,
    runs.placements_agree,
    runs.resumes,
    fields.numbers_compile_once,
    refusals.missing_sets,
    refusals.large_batches,
    runs.collapses_are_caught,
)
"""Of a method that takes steps."""


def check_method(constructor: Callable[..., Unlearner], **arguments: Any) -> None:
    """Check that a method keeps what the engine promises of every method.

    It is pure: traced anew, in one compiled loop, spread over devices and fed from the host it
    gives the same result; the same key gives the same bits, another key others; a
    resumed run equals an uninterrupted one; numbers that are traced compile nothing anew; rows that
    pad a batch change nothing; the state's types stay; the original's weights and the examples are
    left alone and the unlearned weights are finite and of the same structure; missing or empty sets
    are refused before anything runs, or make no difference; what diverges ends as collapsed, with
    sound weights.
    Of a method that edits once it is what applies: same bits, devices, placement, the original left
    alone, nothing compiled anew for other numbers, missing sets. With a single device a warning
    says that several are not tried.

    Args:
      constructor: the method's class or constructor, or a function that returns the method.
      **arguments: its hyperparameters, to make a short run; ``batch_size`` is 10, ``epochs`` 2 and
        ``optimizer`` ``'sgd'`` where the method has them and nothing is said. There are 10 forget
        and 60 retain images of 5 classes.

    Raises:
      AssertionError: a fact does not hold, or one of the method's functions raises something; the
        message is a sentence about it.
      InputError: what is given makes no method, or has no such hyperparameter.
    """
    battery = Battery.of(constructor, arguments)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*collapsed by step")
        for check in CHECKS if battery.unlearner.num_epochs else ONE_SHOT:
            try:
                check(battery)
            except AssertionError:
                raise
            except Exception as error:  # a user's code can raise anything
                raise AssertionError(f"{battery.name}: {_raised(check, error)}") from error


def _raised(check: Callable[..., None], error: Exception) -> str:
    """What a method raised where, in a line."""
    where = check.__name__.replace("_", " ")
    return f"the check of {where} ends in {type(error).__name__}: {briefly(error)}"
