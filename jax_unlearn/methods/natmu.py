"""NatMU: blend correct information from the retain set into the forget images, then fine-tune."""

from typing import ClassVar, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    HYBRID,
    RETAIN,
    InputError,
    Pool,
    Problem,
    SearchRange,
    check_choice,
    check_number,
    concatenate_pools,
    pool_rows,
    static,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, OptimizerFactory, Schedule, needs_examples
from jax_unlearn.models.predict import predict_logits

MASK_FAMILIES = ("gradual", "patches", "uniform")
TARGETS = ("top", "random")
HYBRID_LABELS = ("retain", "random_wrong")


class Hybrids(NamedTuple):
    """Forget images blended with retain images; ``num`` hybrids for each of F forget images.

    Attributes:
      image: uint8 [F, num, H, W, C].
      label: int32 [F, num], what the network is taught about each.
      partner: int32 [F, num], row of the retain set that each was blended with.
      mask: float32 [num, H, W, 1], weight of the forget image.
    """

    image: jax.Array
    label: jax.Array
    partner: jax.Array
    mask: jax.Array


class NatMU(Descent):
    """Fine-tune on the retain set plus hybrids of forget and retain images, labelled truthfully.

    Each forget image is blended with one retain image of each of the ``num`` classes that the
    original model finds most probable after the true one. No retain image serves twice. Forget
    images are served in order, and a class that has run out is passed over: partners stand in
    falling order of probability, the k-th found is blended with mask k. The hybrids are built
    once, are never augmented, and carry the retain image's label. The forget images themselves are
    not shown.

    Defaults are the paper's for CIFAR-10 with VGG16; ``experiments/configs`` has its other rows.

    Attributes:
      delta: added to every mask before it is clipped to [0, 1], in [-1, 1]; at 1 every hybrid is
        the forget image itself, which is plain relabelling.
      num: hybrids per forget image, from 1 to the number of other classes. The paper has four
        masks; beyond four they are used again in the same order, each time with the next class.
      masks: ``'gradual'`` (the paper's), or for ablations ``'patches'`` (binary) or ``'uniform'``
        (one weight everywhere, the gradual masks' mean before ``delta``).
      targets: ``'top'`` most probable other classes, or ``'random'`` other classes.
      hybrid_label: ``'retain'`` image's label, or a ``'random_wrong'`` one for the forget image.
      inject: whether the retain image is blended in; without it a hybrid is the masked forget
        image on black.

    Source: He, Li, Cheng, Huang, Huang, "Towards Natural Machine Unlearning", 2024,
    arXiv 2405.15495.
    """

    epochs: int = 5
    learning_rate: float = 1e-3
    weight_decay: float = 2e-3
    optimizer: str | OptimizerFactory = "adamw"
    schedule: str | Schedule = "cosine"
    delta: float = -0.19
    num: int = static(4)
    masks: str = "gradual"
    targets: str = "top"
    hybrid_label: str = "retain"
    inject: bool = True

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-4, 1e-1),
        "delta": SearchRange("float", -0.4, 0.4),
    }
    title = "NatMU"
    pool_figure = "hybrids"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("delta", self.delta, low=-1, high=1)
        check_number("num", self.num, low=1, whole=True)
        check_choice("masks", self.masks, MASK_FAMILIES)
        check_choice("targets", self.targets, TARGETS)
        check_choice("hybrid_label", self.hybrid_label, HYBRID_LABELS)

    def check_sizes(self, forget: int, retain: int, num_classes: int) -> None:
        """Raise InputError where numbers of examples and classes alone show a lack of partners."""
        others = num_classes - 1
        if self.num > others:
            raise InputError(
                f"num={self.num}: expected at most {others}, the number of other classes; lower num"
            )
        wanted = self.num * forget
        if wanted > retain:
            raise InputError(
                f"num={self.num}: {forget} forget images need {wanted} retain images and there are "
                f"{retain}; lower num or forget fewer"
            )

    def check_supply(self, problem: Problem) -> None:
        """Raise InputError where the labels alone show that partners will not suffice.

        The model is not asked. What passes may still run out, if many forget images prefer the same
        classes; :meth:`hybrids` then says so.
        """
        forget = needs_examples("forget", problem.forget).label
        retain = needs_examples("retain", problem.retain).label
        self.check_sizes(len(forget), len(retain), problem.num_classes)
        there = np.bincount(retain, minlength=problem.num_classes)
        each = np.bincount(forget, minlength=problem.num_classes)
        # An image takes at most one partner of a class, and none of its own: looked at for the
        # forget images of each class apart, then for all of them.
        groups = np.concatenate([np.diag(each), each[None]])
        takers = groups.sum(axis=1, keepdims=True) - groups
        found = np.minimum(there, takers).sum(axis=1)
        lack = self.num * groups.sum(axis=1) - found
        if lack.max() > 0:
            worst = int(lack.argmax())
            images = int(groups[worst].sum())
            raise InputError(
                f"num={self.num}: {images} forget images need {self.num * images} partners, each "
                f"{self.num} of different classes, and the retain set has {found[worst]} for them; "
                "lower num or forget fewer"
            )

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """Raise InputError where the retain set is too small for ``num`` partners per image."""
        if exact:
            self.check_supply(problem)
        else:
            forget = needs_examples("forget", problem.forget)
            retain = needs_examples("retain", problem.retain)
            self.check_sizes(len(forget.label), len(retain.label), problem.num_classes)

    def count_rows(self, problem: Problem) -> int:
        """Retain rows and ``num`` hybrids per forget image."""
        forget = needs_examples("forget", problem.forget)
        return len(needs_examples("retain", problem.retain).label) + self.num * len(forget.label)

    def hybrids(self, key: chex.PRNGKey, problem: Problem) -> Hybrids:
        """Blend every forget image with its partners.

        Raises:
          InputError: the retain set is too small, or has too few classes, for ``num`` partners per
            forget image.
        """
        retain = needs_examples("retain", problem.retain)
        forget = needs_examples("forget", problem.forget)
        class_key, partner_key, label_key = jax.random.split(key, 3)
        self.check_supply(problem)
        labels = jnp.asarray(forget.label, jnp.int32)
        if self.targets == "top":
            logits = jnp.asarray(predict_logits(problem.model, problem.variables, forget.image))
        else:
            logits = jax.random.uniform(class_key, (len(labels), problem.num_classes))
        preferences = functional.target_classes(logits, labels, problem.num_classes - 1)
        retain_labels = jnp.asarray(retain.label, jnp.int32)
        partner = functional.draw_partners(partner_key, preferences, retain_labels, self.num)
        _check_partners(np.asarray(partner), self.num)
        mask = self._mask(*forget.image.shape[1:3])
        retain_image = retain.image[np.asarray(partner)]
        image = functional.mix(
            jnp.asarray(forget.image),
            jnp.asarray(retain_image if self.inject else np.zeros_like(retain_image)),
            mask,
        )
        if self.hybrid_label == "retain":
            label = retain_labels[partner]
        else:
            repeated = jnp.repeat(labels, self.num)
            label = functional.draw_irrelevant(label_key, repeated, problem.num_classes)
            label = label.reshape(-1, self.num)
        return Hybrids(image, label, partner, mask)

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The retain rows, augmented, then the hybrids, as they are."""
        hybrids = self.hybrids(key, problem)
        count = hybrids.label.size
        blended = Pool(
            image=hybrids.image.reshape(count, *hybrids.image.shape[2:]),
            label=hybrids.label.reshape(count),
            role=jnp.full(count, HYBRID, jnp.int32),
            augment=jnp.zeros(count, bool),
        )
        retain = needs_examples("retain", problem.retain)
        return concatenate_pools(pool_rows(retain, RETAIN, augment=self.augment), blended)

    def _mask(self, height: int, width: int) -> jax.Array:
        if self.masks == "gradual":
            masks = functional.mixing_masks(height, width, self.delta)
        elif self.masks == "patches":
            masks = functional.patch_masks(height, width)
        else:
            mean = jnp.mean(functional.mixing_masks(height, width, 0.0))
            masks = functional.uniform_masks(height, width, jnp.clip(mean + self.delta, 0.0, 1.0))
        return masks[np.arange(self.num) % len(masks)]


def _check_partners(partner: np.ndarray, num: int) -> None:
    short = int((partner < 0).any(axis=1).sum())
    if short:
        raise InputError(
            f"num={num}: the retain set ran out of images of other classes for {short} of "
            f"{len(partner)} forget images, each of which needs {num} partners of different "
            "classes; lower num or forget fewer"
        )


natmu = constructor(NatMU)
