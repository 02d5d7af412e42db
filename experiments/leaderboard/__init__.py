r"""Rank all methods from the results of runs: `python -m experiments.leaderboard`.

Runs whose data, network, training, request and numbers of originals and oracles are the same stand
in one table: a method of your own beside those of the library.

  python -m experiments.run --method my_file.py:MyMethod --preset zoo_digits --out runs/mine
  python -m experiments.leaderboard runs/mine --out runs/leaderboard.md

Without a run the board is made of those in experiments/results whose names begin with zoo_; those
that are named join them.
"""
