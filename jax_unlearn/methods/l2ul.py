"""L2UL: ascend on the forget set, held back by adversarial images and by unimportant weights."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    Batch,
    Pool,
    Problem,
    SearchRange,
    StepInfo,
    check_number,
    concatenate_pools,
    flat_images,
    pool_rows,
    shuffled_rows,
    split_variables,
    static,
)
from jax_unlearn.data.dataset import take
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Forward, needs_examples
from jax_unlearn.methods.edit import EvalLoss, over_devices
from jax_unlearn.methods.made_images import MADE, made_rows, make_images, show_made, with_made
from jax_unlearn.methods.turns import apart, in_turn
from jax_unlearn.methods.until_forgotten import UntilForgotten


def _norm(logits: jax.Array) -> jax.Array:
    return jnp.sqrt(functional.squared_norm(logits))


class L2UL(UntilForgotten):
    """Raise the forget set's loss; keep adversarial images, and weights that it does not use.

    A step's loss is -CE of forget rows and CE of adversarial images with their targets, all rows
    counting alike, and ``pull`` times half the weighted squared distance from the original.
    Adversarial images are made once, by targeted L2 attacks on forget images; targets are other
    classes, drawn evenly. The distance weighs 1 where the original's logits on forget images depend
    on a weight least in its array, 0 where most: by the mean of absolute gradients of their norm.

    Defaults are the released settings for CIFAR-10, where 16 examples are looked at after every
    step. That code sums a batch's gradients, in train mode, with those of the batches before, and
    puts class K // 2 for a target that is the true class, though it may be K // 2, too: slips.

    Attributes:
      batch_size: forget rows of a step.
      adversarial_batch_size: adversarial images of a step.
      adversaries: made of each forget image; 200 for the paper's data sets but CIFAR-10.
      radius: of the attack's L2 ball, > 0; pixels are in [0, 1].
      attack_step: length of each of the attack's steps, > 0.
      attack_steps: their number.
      pull: weight of the distance, >= 0.

    Source: Cha et al., "Learning to Unlearn: Instance-wise Unlearning for Pre-trained Classifiers",
    AAAI 2024, arXiv 2301.11578.
    """

    batch_size: int = static(32)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    augment: bool = False
    adversarial_batch_size: int = static(256)
    adversaries: int = static(20)
    radius: float = 4.0
    attack_step: float = 0.1
    attack_steps: int = static(100)
    pull: float = 1.0

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 1e-1),
        "pull": SearchRange("log", 1e-2, 1e3),
    }
    title = "L2UL"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("adversarial_batch_size", "adversaries", "attack_steps"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_number("radius", self.radius, above=0)
        check_number("attack_step", self.attack_step, above=0)
        check_number("pull", self.pull, low=0)

    def extra(self, key: chex.PRNGKey, problem: Problem) -> dict[str, Any]:
        """Adversarial images and targets, the original's weights and how much each is held."""
        forget = needs_examples("forget", problem.forget)
        target_key, start_key = jax.random.split(key)
        sources = take(forget, np.repeat(np.arange(len(forget.label)), self.adversaries))
        labels = jnp.asarray(sources.label, jnp.int32)
        targets = functional.draw_irrelevant(target_key, labels, problem.num_classes)
        rows = (sources.image, targets, jax.random.split(start_key, len(labels)))
        made = make_images(
            *(functional.targeted_adversaries, problem, rows, self.adversarial_batch_size),
            numbers={"radius": self.radius, "step": self.attack_step},
            steps=self.attack_steps,
        )
        start, held = split_variables(problem.variables)[0], self.held(problem)
        return {"image": flat_images(made), "target": targets, "start": start, "held": held}

    def held(self, problem: Problem) -> Any:
        """How much each weight is held, in [0, 1]: a pytree like the parameters."""
        importance = functional.exact_importance(
            EvalLoss(problem.model, _norm),
            problem.variables,
            (needs_examples("forget", problem.forget).image,),
            measure=jnp.abs,
            **over_devices(problem),
        )
        return functional.hold_unimportant(importance)

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The forget rows, then a row for each adversarial image, which lies in the state."""
        del key
        forget = needs_examples("forget", problem.forget)
        made = made_rows(np.repeat(forget.label, self.adversaries), forget.image)
        return concatenate_pools(with_made(pool_rows(forget, FORGET, augment=self.augment)), made)

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """Rows of the next steps in turn: int32 [steps, adversarial_batch_size + batch_size]."""
        made, keys = np.asarray(pool.extra[MADE]) >= 0, jax.random.split(key)
        start, steps = self.steps_of(epoch)

        def deal(key: chex.PRNGKey, chosen: np.ndarray, size: int) -> jax.Array:
            return shuffled_rows(key, np.flatnonzero(chosen), size, start=start, steps=steps)

        sizes = (self.adversarial_batch_size, self.batch_size)
        return jnp.asarray(in_turn(*map(deal, keys, (made, ~made), sizes)))

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Adversarial images first, then forget rows; devices exchange rows of neither."""
        batch = show_made(batch, extra["image"], extra["target"])
        kept, forget = apart(batch, self.adversarial_batch_size, self.batch_size)
        each = [(functional.cross_entropy(forward(x), x.label), x.weight) for x in (kept, forget)]
        # Not one mean of all rows: to join them, devices would send theirs around.
        down, up = (functional.weighted_mean(*part) for part in each)
        share = jnp.divide(*(x.weight.sum().astype(down.dtype) for x in (kept, batch)))
        distance = functional.weighted_distance(forward.params, extra["start"], extra["held"])
        return share * down - (1 - share) * up + self.pull * distance, {"distance": distance}


l2ul = constructor(L2UL)
