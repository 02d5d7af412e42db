"""MU-Mis, full class: Tiny ImageNet-200, ResNet-18, one class.

Source: Cheng et al., "Machine Unlearning by Suppressing Sample Contribution", 2024,
arXiv 2402.15109.
Run: ``python -m experiments.run --preset mumis_tiny_class --data-dir DATA``

The paper's rate, stop ratio and batch size are not known to us: these are the methods' defaults,
and ``python -m experiments.search`` with this preset finds better ones.
"""

import dataclasses

from ..shared.config import Data, Experiment, Network
from ._paper import MUMIS_METHODS, SGD_100

EXPERIMENT = Experiment(
    data=Data(name="tiny_imagenet200", padding=8),
    network=Network(name="resnet18"),
    training=dataclasses.replace(SGD_100, batch_size=256),
    requests=("class:0",),
    methods=MUMIS_METHODS,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
)
