"""AMUN: fine-tune on the nearest adversarial image of every forget example."""

from typing import ClassVar

import chex
import jax
import jax.numpy as jnp

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    Pool,
    Problem,
    SearchRange,
    StepInfo,
    check_choice,
    check_number,
    concatenate_pools,
    flat_images,
    pool_rows,
    static,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, Forward, needs_examples
from jax_unlearn.methods.made_images import MADE, made_rows, make_images, show_made, with_made

BESIDE = {
    "retain": (RETAIN,),
    "retain_and_forget": (RETAIN, FORGET),
    "forget": (FORGET,),
    "nothing": (),
}


class AMUN(Descent):
    """Train on with the retain set and an adversarial image of every forget example.

    An example's adversarial image is the first one that the original takes for another class, in
    an L2 ball that doubles until there is one; it is shown with that other class, and never
    augmented. An image for which none is found is not shown.

    The paper fine-tunes on the retain set and the adversarial images. What its release calls
    ``amun`` also shows the forget set with its true labels: ``beside='retain_and_forget'``, and
    without retain data ``beside='forget'``; the paper's is the release's ``advonly``. The release
    begins its balls at 0.04, whatever its argument says, and cuts the rate to a tenth after every
    epoch, every fifth or never, as a search decides; here it is constant.

    Attributes:
      beside: what is shown beside the adversarial images: ``'retain'``, ``'retain_and_forget'``,
        ``'forget'`` (needs no retain set) or ``'nothing'`` (needs none either).
      radius: of the first ball, > 0; pixels are in [0, 1].
      attack_steps: in each ball, each a tenth of its radius long.
      doublings: how often a ball doubles before the search is given up.

    Source: Ebrahimpour-Boroojeny, Sundaram, Chandrasekaran, "Not All Wrong is Bad: Using
    Adversarial Examples for Unlearning", ICML 2025, arXiv 2503.00917.
    """

    beside: str = "retain"
    radius: float = 0.01
    attack_steps: int = static(50)
    doublings: int = static(12)

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-4, 3e-1),
        "weight_decay": SearchRange("log", 1e-5, 1e-1),
    }
    title = "AMUN"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("beside", self.beside, tuple(BESIDE))
        check_number("radius", self.radius, above=0)
        check_number("attack_steps", self.attack_steps, low=1, whole=True)
        check_number("doublings", self.doublings, low=0, whole=True)

    @property
    def needs_retain(self) -> bool:  # type: ignore[override]
        """Whether retain rows are shown."""
        return RETAIN in BESIDE[self.beside]

    def extra(self, key: chex.PRNGKey, problem: Problem) -> functional.Adversaries:
        """The adversarial images of the forget set, with the classes that they are taken for.

        The images lie as rows of pixels, see :func:`jax_unlearn.core.flat_images`.
        """
        del key
        forget = needs_examples("forget", problem.forget)
        found = make_images(
            functional.nearest_adversaries,
            problem,
            (forget.image, forget.label),
            self.batch_size,
            numbers={"radius": self.radius},
            steps=self.attack_steps,
            doublings=self.doublings,
        )
        return found._replace(image=flat_images(found.image))

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The rows beside, then a row for every adversarial image, which lies in the state."""
        del key
        forget = needs_examples("forget", problem.forget)
        made = made_rows(forget.label, forget.image)
        pools = []
        for role in BESIDE[self.beside]:
            examples = forget if role == FORGET else needs_examples("retain", problem.retain)
            pools.append(with_made(pool_rows(examples, role, augment=self.augment)))
        return concatenate_pools(*pools, made) if pools else made

    def loss(
        self, forward: Forward, batch: Batch, extra: functional.Adversaries, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean cross-entropy; an adversarial image has the class that it was taken for."""
        del info
        number = batch.extra[MADE]
        missing = (number >= 0) & ~extra.found[jnp.maximum(number, 0)]
        weight = jnp.where(missing, 0, batch.weight)
        shown = show_made(batch, extra.image, extra.label)._replace(weight=weight)
        losses = functional.cross_entropy(forward(shown), shown.label)
        return functional.weighted_mean(losses, weight), {}


amun = constructor(AMUN)
