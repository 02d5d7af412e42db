"""Where each dataset comes from, and how TFDS prepares it without TensorFlow."""

from jax_unlearn.data.builders.cifar import CIFAR10, CIFAR100
from jax_unlearn.data.builders.digits import DIGITS
from jax_unlearn.data.builders.source import Archive, Content, Rows, Source
from jax_unlearn.data.builders.svhn import SVHN
from jax_unlearn.data.builders.tiny_imagenet import TINY_IMAGENET200

SOURCES = {s.name: s for s in (DIGITS, CIFAR10, CIFAR100, SVHN, TINY_IMAGENET200)}
"""Every dataset that the library can prepare, by name."""

__all__ = ["SOURCES", "Archive", "Content", "Rows", "Source"]
