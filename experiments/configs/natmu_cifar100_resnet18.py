"""NatMU, sample-wise: CIFAR-100, ResNet-18, random and hardest 1 % and 10 %.

Source: He et al., "Towards Natural Machine Unlearning", 2024, arXiv 2405.15495.
Run: ``python -m experiments.run --preset natmu_cifar100_resnet18 --data-dir DATA``

The authors' own forget sets are files of indices, which are requests in place of these:
``--requests ids:cifar100_random_1pct.npy ids:cifar100_hardest_10pct.npy``.
"""

from ..shared.config import Data, Experiment, Network
from ._paper import NATMU_BASELINES, SGD_100, settings

EXPERIMENT = Experiment(
    data=Data(name="cifar100", padding=4),
    network=Network(name="resnet18"),
    training=SGD_100,
    requests=("random:0.01", "random:0.1", "hardest:0.01", "hardest:0.1"),
    methods=NATMU_BASELINES,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
    set=settings(
        128,
        natmu={"learning_rate": 0.0011, "weight_decay": 0.0005, "delta": -0.03},
        amnesiac={"learning_rate": 1.9e-05, "weight_decay": 0.0008},
        bad_teacher={"learning_rate": 0.00028, "weight_decay": 0.0009, "temperature": 2.4},
        salun={"learning_rate": 5.7e-05, "weight_decay": 0.001, "keep": 0.21},
    ),
)
