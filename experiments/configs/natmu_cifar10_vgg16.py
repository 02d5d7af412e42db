"""NatMU, sample-wise: CIFAR-10, VGG16-BN, random and hardest 1 % and 10 %.

Source: He et al., "Towards Natural Machine Unlearning", 2024, arXiv 2405.15495.
Run: ``python -m experiments.run --preset natmu_cifar10_vgg16 --data-dir DATA``

The authors' own forget sets are files of indices, which are requests in place of these:
``--requests ids:cifar10_random_1pct.npy ids:cifar10_hardest_10pct.npy``.
"""

from ..shared.config import Data, Experiment, Network
from ._paper import NATMU_BASELINES, SGD_100, settings

EXPERIMENT = Experiment(
    data=Data(name="cifar10", padding=4),
    network=Network(name="vgg16_bn"),
    training=SGD_100,
    requests=("random:0.01", "random:0.1", "hardest:0.01", "hardest:0.1"),
    methods=NATMU_BASELINES,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
    set=settings(
        128,
        natmu={"learning_rate": 0.001, "weight_decay": 0.002, "delta": -0.19},
        amnesiac={"learning_rate": 1.8e-05, "weight_decay": 0.0004},
        bad_teacher={"learning_rate": 5e-05, "weight_decay": 0.0009, "temperature": 7.2},
        salun={"learning_rate": 5e-05, "weight_decay": 0.0003, "keep": 0.05},
    ),
)
