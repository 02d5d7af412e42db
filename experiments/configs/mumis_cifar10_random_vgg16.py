"""MU-Mis, random 10 %: CIFAR-10, VGG16-BN.

Source: Cheng et al., "Machine Unlearning by Suppressing Sample Contribution", 2024,
arXiv 2402.15109.
Run: ``python -m experiments.run --preset mumis_cifar10_random_vgg16 --data-dir DATA``

The paper's rate, stop ratio and batch size are not known to us: these are the methods' defaults,
and ``python -m experiments.search`` with this preset finds better ones.
"""

from ..shared.config import Data, Experiment, Network
from ._paper import MUMIS_METHODS, SGD_100

EXPERIMENT = Experiment(
    data=Data(name="cifar10", padding=4),
    network=Network(name="vgg16_bn"),
    training=SGD_100,
    requests=("random:0.1",),
    methods=MUMIS_METHODS,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
)
