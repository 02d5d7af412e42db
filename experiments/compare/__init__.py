r"""Set runs and methods side by side on one page: `python -m experiments.compare RUN...`.

RUN is the folder of a run, the folder of an audit, or an audit.json. Requests that forget the same
examples share a table, which sorts by any column, and a list of the examples on which the methods
differ most, with their images where the run's data is at hand. Nothing is trained.

  python -m experiments.compare runs/one runs/two --out runs/compare.html
"""
