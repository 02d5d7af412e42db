"""18,000 CIFAR-10 images on two CPU cores: one class, and the hardest tenth; every method.

Run: ``python -m experiments.run --preset zoo_cifar10_cpu --data-dir DATA``; a run that was cut off
goes on. Network and training are those of ``cifar10_cpu``; as many images are learnt as there, and
500 others are held out for methods that choose by them.
"""

import dataclasses

from ._zoo import with_every_method
from .cifar10_cpu import EXPERIMENT as CIFAR10_CPU

ONE_PASS = (
    "l1_sparse",
    "ugradsl_plus",
    "random_label",
    "scrub",
    "scrub_r",
    "msg",
    "ct",
    "cf_k",
    "eu_k",
    "amun",
)
"""Beside those of ``cifar10_cpu``, methods that pass over the retain set, here once."""

EXPERIMENT = with_every_method(
    dataclasses.replace(
        CIFAR10_CPU,
        requests=("class:0", "hardest:0.1"),
        hyperparameters="zoo_cifar10_cpu",
        set=(
            *CIFAR10_CPU.set,
            *(f"{name}.epochs=1" for name in ONE_PASS),
            # As many steps as one pass over the retain set.
            "sfr_on.iterations=250",
            "negmerge.epochs=2",
            # What is published costs more than retraining on so few images: tens of passes over
            # the retain set for a solution or for attacks. These cost one to three.
            "influence.solver=woodfisher",
            "fisher_forgetting.fisher=expected_batch",
            "amun.radius=0.04",
            "amun.attack_steps=5",
            "l2ul.adversaries=1",
            "l2ul.attack_steps=10",
            "l2ul.max_steps=100",
            "l2ul.adversarial_batch_size=64",
            "jit.samples=5",
        ),
    ),
    validation_size=500,
)
