"""NatMU, sub-class: CIFAR-20 (CIFAR-100 with superclass labels), ResNet-18.

Source: He et al., "Towards Natural Machine Unlearning", 2024, arXiv 2405.15495.
Run: ``python -m experiments.run --preset natmu_cifar20_subclass --data-dir DATA``
"""

from ..shared.config import Data, Experiment, Network
from ._paper import NATMU_BASELINES, SGD_100, settings

EXPERIMENT = Experiment(
    data=Data(name="cifar20", padding=4),
    network=Network(name="resnet18"),
    training=SGD_100,
    requests=(
        "subclass:rocket",
        "subclass:mushroom",
        "subclass:baby",
        "subclass:lamp",
        "subclass:sea",
        "subclass:cattle",
    ),
    methods=NATMU_BASELINES,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
    set=settings(
        128,
        natmu={"learning_rate": 0.0009, "weight_decay": 0.00037, "delta": -0.053},
        amnesiac={"learning_rate": 1.8e-05, "weight_decay": 0.00037, "reinit_linear": True},
        bad_teacher={"learning_rate": 7.4e-05, "weight_decay": 0.0, "temperature": 0.72},
        salun={"learning_rate": 0.00017, "weight_decay": 0.0, "keep": 0.01},
    ),
)
