"""UNSIR: impair the network with images that stand against a class, then repair the rest."""

import functools
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    Model,
    Pool,
    Problem,
    SearchRange,
    StepInfo,
    check_number,
    concatenate_pools,
    flat_images,
    pool_rows,
    shuffled_rows,
    static,
)
from jax_unlearn.data.dataset import rows_per_class, take
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import (
    DescentState,
    Forward,
    Optimized,
    OptimizerFactory,
    needs_examples,
)
from jax_unlearn.methods.made_images import made_rows, make_images, show_made, with_made


class UNSIR(Optimized):
    """Train on error-maximizing noise labelled with the forgotten class, then on retained images.

    Noise is made into images whose cross-entropy with a forgotten class is as large as can be. For
    an epoch the network learns them as that class, and a part of the retain set (impair), then that
    part alone, with a fresh optimizer (repair). Forget images are not shown.

    Slips of released codes are not imitated: three noise images of each batch serve alone; noise is
    trained in train mode, and its gradients enter the first step; that of two classes is labelled
    as one. Settings are the authors'; SSD's comparison has rates 1e-4, 32 images and 80 copies.

    Attributes:
      repair_rate: ``learning_rate`` while repairing, >= 0; not of an optimizer of one's own.
      noise_images: made for each class.
      noise_steps: updates of the noise, by Adam at ``noise_rate``.
      noise_rate: >= 0.
      noise_penalty: weight of a noise image's squared norm, >= 0.
      copies: how often a pass shows each noise image.
      retain_per_class: retain images of each class that are shown, at most.

    Source: Tarun et al., "Fast Yet Effective Machine Unlearning", TNNLS 2023, arXiv 2111.08947.
    """

    batch_size: int = static(256)
    learning_rate: float = 0.02
    weight_decay: float = 0.0
    optimizer: str | OptimizerFactory = "adam"
    augment: bool = False
    repair_rate: float = 0.01
    noise_images: int = static(256)
    noise_steps: int = static(40)
    noise_rate: float = 0.1
    noise_penalty: float = 0.1
    copies: int = static(20)
    retain_per_class: int = static(1000)

    whole_classes = True
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 1e-1),
        "repair_rate": SearchRange("log", 1e-5, 1e-1),
    }
    title = "UNSIR"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("noise_images", "noise_steps", "copies", "retain_per_class"):
            check_number(name, getattr(self, name), low=1, whole=True)
        for name in ("repair_rate", "noise_rate", "noise_penalty"):
            check_number(name, getattr(self, name), low=0)

    @property
    def num_epochs(self) -> int:
        """One that impairs and one that repairs."""
        return 2

    def extra(self, key: chex.PRNGKey, problem: Problem) -> dict[str, Any]:
        """The noise images float [N, H * W * C], and whether repair has begun."""
        image, labels = needs_examples("forget", problem.forget).image, self.noise_labels(problem)
        shape, dtype = (len(labels), *image.shape[1:]), np.result_type(image.dtype, np.float32)
        rows = (jax.random.normal(key, shape, dtype), labels)
        noise = make_images(
            *(functional.error_maximizing_noise, problem, rows, self.batch_size),
            numbers={"rate": self.noise_rate, "penalty": self.noise_penalty},
            count=self.noise_images,
            steps=self.noise_steps,
        )
        return {"image": flat_images(noise), "repairing": jnp.array(False)}

    def noise_labels(self, problem: Problem) -> np.ndarray:
        """The class int [N] that each noise image stands against, one class after the other."""
        forget = needs_examples("forget", problem.forget)
        return np.repeat(np.unique(forget.label), self.noise_images)

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """A row for each noise image, which lies in the state, then a part of the retain rows."""
        retain = needs_examples("retain", problem.retain)
        order = np.asarray(jax.random.permutation(key, len(retain.label)))
        part = take(retain, rows_per_class(retain.label, order, self.retain_per_class))
        rows = with_made(pool_rows(part, RETAIN, augment=self.augment))
        return concatenate_pools(made_rows(self.noise_labels(problem), retain.image), rows)

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """Noise rows, ``copies`` of each, and retain rows in one order; then retain rows alone."""
        noise, rows = (np.flatnonzero(pool.role == role) for role in (FORGET, RETAIN))
        if epoch == 0:
            rows = np.concatenate([np.tile(noise, self.copies), rows])
        return shuffled_rows(jax.random.fold_in(key, epoch), rows, self.batch_size)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean cross-entropy of noise and retained images."""
        return super().loss(forward, show_made(batch, extra["image"]), extra, info)

    def rate(self, info: StepInfo) -> jax.Array:
        """Learning rate of this step."""
        return jnp.where(info.epoch == 0, super().rate(info), self.repair_rate)

    def step(
        self, model: Model, state: DescentState, batch: Batch, info: StepInfo
    ) -> tuple[DescentState, dict[str, jax.Array]]:
        """One update; the first that repairs begins with a fresh optimizer."""
        begins = (info.epoch > 0) & ~state.extra["repairing"]
        fresh = self.fresh_moments(state.variables, state.extra)
        moments = jax.tree.map(functools.partial(jnp.where, begins), fresh, state.opt_state)
        state, scalars = super().step(model, state._replace(opt_state=moments), batch, info)
        return state._replace(extra={**state.extra, "repairing": info.epoch > 0}), scalars


unsir = constructor(UNSIR)
