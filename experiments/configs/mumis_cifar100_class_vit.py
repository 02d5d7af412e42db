"""MU-Mis, full class: CIFAR-100, ViT-B/16, the class rocket.

Source: Cheng et al., "Machine Unlearning by Suppressing Sample Contribution", 2024,
arXiv 2402.15109.
Run: ``python -m experiments.run --preset mumis_cifar100_class_vit --data-dir DATA``

Originals and oracles are fine-tuned at 224 pixels from weights pretrained on ImageNet-21k. These
come from the hub, by huggingface_hub; ``--network.weights`` takes a folder or a file instead. Which
weights the paper took, its recipe, rate, stop ratio and batch size are not known to us: weights and
recipe are our choice, the rest are the methods' defaults, and ``python -m experiments.search`` with
this preset finds better ones.
"""

from ..shared.config import Data, Experiment
from ._paper import MUMIS_METHODS, VIT_224, VIT_FINE_TUNING

EXPERIMENT = Experiment(
    data=Data(name="cifar100", padding=4),
    network=VIT_224,
    training=VIT_FINE_TUNING,
    requests=("class:rocket",),
    methods=MUMIS_METHODS,
    seeds=(0, 1, 2, 3, 4),
    svc_examples=0,
)
