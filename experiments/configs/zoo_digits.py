"""Digits: one class, and the hardest tenth; every method; three seeds.

Run: ``python -m experiments.run --preset zoo_digits``. Data, network and training are the
quickstart's, so that one bank serves both.
"""

from ._zoo import with_every_method
from .quickstart import EXPERIMENT as QUICKSTART

EXPERIMENT = with_every_method(QUICKSTART)
