"""See the whole job in three minutes: `python -m experiments.quickstart`.

Digits: forget one class, and the hardest tenth, with nine methods and three seeds; a table on the
terminal, a report with figures in the folder. Everything else is `python -m experiments.run`.
"""

import dataclasses

from .configs import preset
from .run.command import Command, execute
from .shared.command import console, guarded, program
from .shared.command_line import parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quickstart:
    """Run the quickstart.

    Attributes:
      out: folder of the run; new, or one that the same command began.
      overwrite: empty a folder that holds another run.
    """

    out: str = "runs/quickstart"
    overwrite: bool = False


def main() -> None:
    """Read the command line and run."""

    def run() -> None:
        given = parse(Quickstart, "experiments.quickstart", __doc__ or "")
        execute(Command(experiment=preset("quickstart"), **dataclasses.asdict(given)), console())

    guarded(run)


if __name__ == "__main__":
    program(main)
