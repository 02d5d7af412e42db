"""Amnesiac unlearning: train on with random wrong labels on the forget set."""

from typing import ClassVar

from jax_unlearn.core import SearchRange, static
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import OptimizerFactory, Schedule
from jax_unlearn.methods.random_label import RandomLabel


class Amnesiac(RandomLabel):
    """Fine-tune on retain rows and, with a random wrong label each, on forget rows.

    Each forget example's label is drawn once, and both sets are shuffled into one stream. It is
    :class:`~jax_unlearn.methods.random_label.RandomLabel` in this form and in the frame of arXiv
    2405.15495; the authors of SSD run it with ``optimizer='adam', learning_rate=1e-4, epochs=3``
    and a constant rate.

    Sources: Graves, Nagisetty, Ganesh, "Amnesiac Machine Learning", AAAI 2021, arXiv 2010.10981;
    rates (CIFAR-10, VGG16) and frame of He et al., 2024, arXiv 2405.15495.
    """

    epochs: int = 5
    batch_size: int = static(128)
    learning_rate: float = 1.8e-5
    weight_decay: float = 4e-4
    optimizer: str | OptimizerFactory = "adamw"
    schedule: str | Schedule = "cosine"
    augment: bool = False
    relabel: str = "once"
    labels: str = "wrong"
    stream: str = "shuffled"

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 3e-1),
        "weight_decay": SearchRange("log", 1e-5, 1e-1),
    }


amnesiac = constructor(Amnesiac)
