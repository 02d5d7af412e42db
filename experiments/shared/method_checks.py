"""Whether a method can work on a request, as far as sizes tell."""

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.core import InputError

from .dry_run import of_user
from .naming import naming


def why_unfit(name: str, method: ju.Unlearner, text: str, problem: ju.Problem) -> str:
    """Why a method cannot work on a request; '' where it can."""
    with of_user(name, "check"):
        try:
            method.check(problem, exact=data.parse_request(text).exact)
        except InputError as error:
            return str(error)
    return ""


def check_method(name: str, method: ju.Unlearner, text: str, problem: ju.Problem) -> list[str]:
    """Check a method on a request; what is to be said of its batch size."""
    with naming(f"{name}."), of_user(name, "check or pool"):
        method.check(problem, exact=data.parse_request(text).exact)
        rows = method.count_rows(problem)
    return too_large_batch(name, method.batch_size, rows, text)


def too_large_batch(owner: str, batch_size: int, rows: int, whose: str) -> list[str]:
    """What to say of a batch that is larger than what it is drawn from; nothing of others."""
    if batch_size <= rows:
        return []
    return [
        f"{owner}.batch_size={batch_size}: there are only {rows} examples to draw from for "
        f"{whose}; use at most {rows}"
    ]
