"""Whether a bank holds the models of random halves that requests choose by, before all else."""

import pathlib

from jax_unlearn import data
from jax_unlearn.audit.measures.measure import MIN_SUBSETS
from jax_unlearn.bank.data import HEADER
from jax_unlearn.bank.plan import silent
from jax_unlearn.bank.scoring import halves
from jax_unlearn.core import InputError

from .naming import as_typed
from .planning import make_plan, open_bank_of
from .setting_up import Setup


def check_halves(
    setup: Setup, bank: str, *, to_come: int = 0, flag: str = "bank"
) -> dict[str, list[int]]:
    """Raise InputError where a request needs models of random halves that a bank lacks.

    Args:
      setup: the experiment.
      bank: folder of the bank; empty for none.
      to_come: how many of them, of seeds 0, 1, ..., the command itself will train.
      flag: which flag names the folder.

    Returns:
      What requests depend on beside the experiment's settings, as one of these: ``halves``, the
      seeds of those models. More of them in the bank are another run. Empty where none are needed.
    """
    found: dict[str, list[int]] = {}
    for text in setup.experiment.requests:
        if to_come >= MIN_SUBSETS or not data.parse_request(text).by_halves:
            continue
        if not bank or not (pathlib.Path(bank) / HEADER).is_file():
            raise InputError(
                f"requests={text!r}: chooses by models of random halves of the data, and no bank "
                f"holds any: expected one as --{flag}; fill it by python -m experiments.bank with "
                "--subsets 64"
            )
        opened = open_bank_of(bank, setup.dataset, flag=flag)
        plan = make_plan(setup, opened, silent, lambda line: None, watch=False)
        with as_typed(request="requests"):
            records = halves(plan, text, to_come)
        found["halves"] = [record.ingredients["seed"] for record in records]
    return found
