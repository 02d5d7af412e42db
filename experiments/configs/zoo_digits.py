"""Digits: one class, and the hardest tenth; every method; three seeds.

Run: ``python -m experiments.run --preset zoo_digits``. Network and training are the quickstart's;
as many images are learnt as there, and 200 others are held out for methods that choose by them.
"""

from ._zoo import with_every_method
from .quickstart import EXPERIMENT as QUICKSTART

EXPERIMENT = with_every_method(QUICKSTART, validation_size=200)
