"""Boundary Shrink: give every forget image to the class that lies nearest across the boundary."""

from typing import ClassVar

import chex
import jax
import jax.numpy as jnp

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    Pool,
    Problem,
    SearchRange,
    check_number,
    static,
)
from jax_unlearn.functional.sensitivity import LogitsFn
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, needs_examples
from jax_unlearn.methods.made_images import make_images


def _nearest_classes(
    logits_fn: LogitsFn,
    images: jax.Array,
    labels: jax.Array,
    *,
    bound: jax.Array,
    rounded: bool,
) -> jax.Array:
    """Class int32 [B] that the network sees one step of size ``bound`` away from each image."""
    attacked = functional.fgsm(logits_fn, images, labels, bound)
    if rounded:
        attacked = jnp.round(attacked * 255) / 255
    return jnp.argmax(logits_fn(attacked), axis=1).astype(jnp.int32)


class BoundaryShrink(Descent):
    """Relabel the forget set with its nearest other classes, and train on it alone.

    The nearest class of an image is what the original sees in it after one step of the fast
    gradient sign method. It may be the image's own, where one step does not cross the boundary.
    The classes are found once, of images that are not augmented.

    The first release (rate 1e-5, no weight decay) takes its step in units of the normalised image
    with a mistyped mean, about a quarter of the range of a pixel, and never clips it to real
    pixels; SalUn's (weight decay 5e-4, its frame's rates and epochs) takes the paper's step and
    rounds to 8 bits. AMUN's tables have a form of their own that also passes over the retain set
    and asks the network under way, afresh in every epoch.

    Attributes:
      bound: step of the attack, in pixels of range 1, >= 0.
      rounded: whether the attacked image is rounded to 8 bits, as in SalUn's release. Moved by
        0.1, 25.5 of 255, every pixel of an 8-bit image then lies between two values.

    Source: Chen et al., "Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the
    Decision Boundary", CVPR 2023, arXiv 2303.11570.
    """

    batch_size: int = static(64)
    learning_rate: float = 1e-5
    weight_decay: float = 0.0
    augment: bool = False
    bound: float = 0.1
    rounded: bool = False

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-6, 3e-1),
        "bound": SearchRange("log", 0.01, 0.5),
    }
    title = "Boundary Shrink"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("bound", self.bound, low=0)

    def nearest_classes(self, problem: Problem) -> jax.Array:
        """What the original sees in every attacked forget image: int32 [F]."""
        forget = needs_examples("forget", problem.forget)
        return make_images(
            _nearest_classes,
            problem,
            (forget.image, forget.label),
            self.batch_size,
            numbers={"bound": self.bound},
            rounded=self.rounded,
        )

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The forget rows, labelled with their nearest classes."""
        return super().pool(key, problem)._replace(label=self.nearest_classes(problem))

    def count_rows(self, problem: Problem) -> int:
        """The forget rows."""
        return len(needs_examples("forget", problem.forget).label)


boundary_shrink = constructor(BoundaryShrink)
