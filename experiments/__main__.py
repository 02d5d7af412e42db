"""List the commands with a line each: `python -m experiments`."""

from jax_unlearn.cli import main

if __name__ == "__main__":
    main()
