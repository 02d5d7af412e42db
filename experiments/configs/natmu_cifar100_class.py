"""NatMU, full class: CIFAR-100, ResNet-18, one class at a time.

Source: He et al., "Towards Natural Machine Unlearning", 2024, arXiv 2405.15495.
Run: ``python -m experiments.run --preset natmu_cifar100_class --data-dir DATA``
"""

from ..shared.config import Data, Experiment, Network
from ._paper import NATMU_BASELINES, SGD_100, settings

EXPERIMENT = Experiment(
    data=Data(name="cifar100", padding=4),
    network=Network(name="resnet18"),
    training=SGD_100,
    requests=(
        "class:rocket",
        "class:mushroom",
        "class:baby",
        "class:lamp",
        "class:sea",
        "class:cattle",
    ),
    methods=NATMU_BASELINES,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
    set=settings(
        128,
        natmu={
            "learning_rate": 0.00028,
            "weight_decay": 0.0,
            "delta": -0.053,
            "reinit_linear": True,
        },
        amnesiac={"learning_rate": 0.000145, "weight_decay": 8e-05},
        bad_teacher={
            "learning_rate": 3.4e-05,
            "weight_decay": 0.0,
            "temperature": 0.77,
            "reinit_linear": True,
        },
        salun={"learning_rate": 0.00013, "weight_decay": 0.0, "keep": 0.7},
    ),
)
