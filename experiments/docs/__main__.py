"""Run the command."""

from ..shared.command import program
from .command import main

if __name__ == "__main__":
    program(main)
