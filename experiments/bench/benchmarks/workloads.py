"""What is measured at: a network and what it is fed, and the steps whose speed is reported."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import jax_unlearn as ju

NUM_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Workload:
    """A network and what it is fed.

    Attributes:
      network: a name in :data:`jax_unlearn.MODELS`.
      batch: images per step.
      side: height and width of the images.
      channels: of the images.
      width: channels of the first layer; None takes the network's own.
      dtype: what it computes in.
    """

    network: str
    batch: int
    side: int = 32
    channels: int = 3
    width: int | None = None
    dtype: str = "float32"

    def __str__(self) -> str:
        width = "" if self.width is None else f" w{self.width}"
        return f"{self.network}{width} {self.side}x{self.side} {self.dtype} b{self.batch}"

    def model(self) -> ju.Model:
        """The network."""
        shape = (self.side, self.side, self.channels)
        return ju.make_model(self.network, NUM_CLASSES, shape, width=self.width, dtype=self.dtype)

    def problem(self, forget: int, retain: int) -> ju.Problem:
        """Random images, the same in every process, and fresh weights.

        Args:
          forget: number of forget images; 0 leaves the set out.
          retain: number of retain images; 0 leaves the set out.
        """
        rng = np.random.default_rng(0)
        model = self.model()
        shape = (forget + retain, self.side, self.side, self.channels)
        examples = ju.Examples(
            rng.integers(0, 256, shape, dtype=np.uint8),
            (np.arange(forget + retain) % NUM_CLASSES).astype(np.int32),
            np.arange(forget + retain),
        )
        first, second = (
            ju.Examples(*(column[rows] for column in examples))
            for rows in (slice(forget), slice(forget, None))
        )
        initial = model.init(jax.random.key(0))
        return ju.Problem(
            model=model,
            variables=initial,
            forget=first if forget else None,
            retain=second if retain else None,
            num_classes=NUM_CLASSES,
            initial=initial,
        )

    def to_json(self) -> dict[str, Any]:
        """The fields, to be handed to another process."""
        return dataclasses.asdict(self)


DIGITS = Workload("convnet", 128, side=8, channels=1)
"""The network of the quickstart on 8x8 images."""

RESNET8 = Workload("resnet8", 128)
"""A three-stage ResNet of width 16 that a CPU can train."""


def training(load: Workload, **arguments: Any) -> tuple[ju.Unlearner, ju.Problem]:
    """Training by the standard recipe, and data for it."""
    method = ju.retrain(batch_size=load.batch, **arguments)
    return method, load.problem(0, 4 * load.batch)


def natural(load: Workload) -> tuple[ju.Unlearner, ju.Problem]:
    """NatMU, and data for it: as many hybrids as a batch has images."""
    return ju.natmu(batch_size=load.batch), load.problem(load.batch // 4, 4 * load.batch)


def suppression(load: Workload, **arguments: Any) -> tuple[ju.Unlearner, ju.Problem]:
    """MU-Mis, and data for it; at a rate at which it does not run away."""
    method = ju.mumis(batch_size=load.batch, learning_rate=1e-8, **arguments)
    return method, load.problem(load.batch, 0)


STEPS: Mapping[str, Callable[[Workload], tuple[ju.Unlearner, ju.Problem]]] = {
    "training": training,
    "NatMU": natural,
    "MU-Mis": suppression,
}
"""The steps whose speed is reported."""
