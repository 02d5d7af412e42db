"""18,000 CIFAR-10 images on two CPU cores: one class, and the hardest tenth; every method.

Run: ``python -m experiments.run --preset zoo_cifar10_cpu --data-dir DATA``; a run that was cut off
goes on. Network and training are those of ``cifar10_cpu``; as many images are learnt as there, and
500 others are held out for methods that choose by them.
"""

import dataclasses

from ._zoo import with_every_method
from .cifar10_cpu import EXPERIMENT as CIFAR10_CPU

EXPERIMENT = with_every_method(
    # No search has been made for the hardest tenth.
    dataclasses.replace(CIFAR10_CPU, requests=("class:0", "hardest:0.1"), hyperparameters=""),
    validation_size=500,
)
