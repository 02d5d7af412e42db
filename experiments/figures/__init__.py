r"""Draw every figure of a finished run, without training: `python -m experiments.figures RUN`.

What the run's folder holds is enough: its models with their weights, what they predict and how they
got there. Where a part is missing, a line says which, and the command that adds it. Writes
figures.html, figures.md and figures/*.png and *.svg into the run's folder, or into --out.

  python -m experiments.figures runs/quickstart
  python -m experiments.figures runs/natmu --data-dir DATA --only entropy attention --out paper/
"""
