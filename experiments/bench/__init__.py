r"""Measure how fast this machine trains and unlearns: `python -m experiments.bench --out FOLDER`.

The folder gets bench.json and bench.md: every figure with its unit, the command, date, versions and
hardware. What is measured is kept: the same command goes on where it was cut off. `--only` names
benchmarks, `--quick` takes small settings, to see that everything runs.

  python -m experiments.bench --accelerator --minutes 8 --data-dir DATA --out runs/accelerator

spends so many minutes on a GPU or TPU, on what tells most first, and keeps each figure at once.
"""
