"""MU-Mis, full class: CIFAR-100, ResNet-18, the class rocket.

Source: Cheng et al., "Machine Unlearning by Suppressing Sample Contribution", 2024,
arXiv 2402.15109.
Run: ``python -m experiments.run --preset mumis_cifar100_class --data-dir DATA``

The paper's rate, stop ratio and batch size are not known to us: these are the methods' defaults,
and ``python -m experiments.search`` with this preset finds better ones.
"""

from ..shared.config import Data, Experiment, Network
from ._paper import MUMIS_METHODS, SGD_100

EXPERIMENT = Experiment(
    data=Data(name="cifar100", padding=4),
    network=Network(name="resnet18"),
    training=SGD_100,
    requests=("class:rocket",),
    methods=MUMIS_METHODS,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
)
