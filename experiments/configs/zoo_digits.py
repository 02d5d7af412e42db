"""Digits: one class, and the hardest tenth; every method; three seeds.

Run: ``python -m experiments.run --preset zoo_digits``. Network and training are the quickstart's;
as many images are learnt as there, and 200 others are held out for methods that choose by them.
"""

import dataclasses

from ._zoo import with_every_method
from .quickstart import EXPERIMENT as QUICKSTART

EXPERIMENT = with_every_method(
    dataclasses.replace(
        QUICKSTART,
        hyperparameters="zoo_digits",
        set=(
            # As published for a full class.
            "class/natmu.reinit_linear=true",
            "class/bad_teacher.reinit_linear=true",
            # The published single epoch on 30 % of the data is four steps here.
            "bad_teacher.epochs=5",
            "bad_teacher.retain_fraction=1.0",
            # What is published takes longer than retraining on so few images: as many steps as ten
            # passes over them, and attacks that cost no more than that.
            "sfr_on.iterations=200",
            "amun.attack_steps=10",
            "l2ul.adversaries=4",
            "l2ul.attack_steps=20",
            "l2ul.max_steps=100",
        ),
    ),
    validation_size=200,
)
