"""NatMU, sample-wise: Tiny ImageNet-200, ResNet-34, random and hardest 1 % and 10 %.

Source: He et al., "Towards Natural Machine Unlearning", 2024, arXiv 2405.15495.
Run: ``python -m experiments.run --preset natmu_tiny_resnet34 --data-dir DATA``

The authors' own forget sets are files of indices, which are requests in place of these:
``--requests ids:tinyimagenet_random_1pct.npy ids:tinyimagenet_hardest_10pct.npy``.
"""

import dataclasses

from ..shared.config import Data, Experiment, Network
from ._paper import NATMU_BASELINES, SGD_100, settings

EXPERIMENT = Experiment(
    data=Data(name="tiny_imagenet200", padding=8),
    network=Network(name="resnet34"),
    training=dataclasses.replace(SGD_100, batch_size=256),
    requests=("random:0.01", "random:0.1", "hardest:0.01", "hardest:0.1"),
    methods=NATMU_BASELINES,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
    set=settings(
        256,
        natmu={"learning_rate": 0.00083, "weight_decay": 7e-05, "delta": 0.045},
        amnesiac={"learning_rate": 1.5e-05, "weight_decay": 0.00056},
        bad_teacher={"learning_rate": 0.00027, "weight_decay": 0.00075, "temperature": 1.8},
        salun={"learning_rate": 5.5e-05, "weight_decay": 0.00053, "keep": 0.2},
    ),
)
