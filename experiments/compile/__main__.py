"""Run the command, in a process that a compiler may end."""

from .restarting import is_inside, restart_after_crashes

if __name__ == "__main__":
    if is_inside():
        from ..shared.command import program
        from .command import main

        program(main)
    else:
        restart_after_crashes()
