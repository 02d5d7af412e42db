"""Texts of requests that come one after another, and of several draws of one."""

import re
from collections.abc import Iterable, Sequence

from jax_unlearn.data.request_text import DRAWN, OPTIONS, THEN


def steps_of(text: str) -> tuple[str, ...]:
    """The requests that a sequence fulfils on its way, itself the last; of others themselves.

    ``class:3-then-class:5`` first is ``class:3``.
    """
    steps = THEN.split(text)
    return tuple("-then-".join(steps[: number + 1]) for number in range(len(steps)))


def with_steps(texts: Iterable[str]) -> tuple[str, ...]:
    """Requests with those that sequences among them fulfil on their way, each once, in order."""
    return tuple(dict.fromkeys(step for text in texts for step in steps_of(text)))


def with_seeds(texts: Iterable[str], seeds: Sequence[int]) -> tuple[str, ...]:
    """Requests with each of several seeds for what they draw at random.

    A request that draws nothing, or says with which seed, stays as it is. Each comes once.

    Args:
      texts: the requests.
      seeds: of their draws; none leaves all as they are.
    """
    made = [
        "-then-".join(_with_seed(step, seed) for step in THEN.split(text))
        for text in texts
        for seed in seeds or (0,)
    ]
    return tuple(dict.fromkeys(made))


def draws(text: str) -> bool:
    """Whether a request, or a step of a sequence, draws images at random."""
    return any(step.partition(":")[0] in DRAWN for step in THEN.split(text))


def _with_seed(step: str, seed: int) -> str:
    seedless = draws(step) and step == without_seed(step)
    # Without a word on it the seed is 0: one request, one text.
    return f"{step},seed={seed}" if seedless and seed else step


def without_seed(text: str) -> str:
    """A request without the seed that it names for what it draws at random."""
    draws = text.partition(":")[0] in DRAWN
    return re.sub(r",\s*seed\s*=[^,]*", "", text) if draws else text


def without_group(text: str) -> str:
    """A request without which group of it is meant: all that is refined."""
    refined = "group" in OPTIONS.get(text.partition(":")[0], ())
    return re.sub(r",\s*group\s*=[^,]*", "", text) if refined else text


def step_before(text: str) -> str:
    """What a sequence has fulfilled before its last step; '' for a request that is none."""
    return ("", *steps_of(text))[-2]


def last_step(text: str) -> str:
    """What the last step of a sequence asks for; of other requests themselves."""
    return THEN.split(text)[-1]
