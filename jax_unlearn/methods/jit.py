"""JiT: forget by making the output on the forget set smooth in the input."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    Batch,
    Problem,
    SearchRange,
    StepInfo,
    Variables,
    check_choice,
    check_number,
    static,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, Forward, as_before, needs_examples
from jax_unlearn.methods.input_scale import InputScale, check_channels, check_scale, unit_for

REDUCTIONS = ("sum", "mean")
GRADIENTS = ("clean", "both")


class JiT(Descent):
    """Just-in-time unlearning: lower the local Lipschitz constant around every forget example.

    The loss of an example x is the mean, over ``samples`` draws of Gaussian noise n, of
    |f(x) - f(x_n)| / |x - x_n|, with x_n = x + sigma * n cut to the range of the batch's pixels
    and f the logits; there is no retain set and no label. One pass, plain SGD, eval mode.

    As in the released code, no gradient goes through f(x_n) (``gradient='clean'``), and a batch's
    loss is the sum over its examples (``reduction='sum'``), so the published rates belong to sums.
    Two slips of that code are left out, and can be had: it never zeroes gradients, so update k
    takes g_1 + ... + g_k, which is ``momentum=1``; and it leaves the network in train mode, where
    each of the 1 + ``samples`` passes moves BatchNorm's statistics, which is ``train_mode=True``.

    The published numbers are of normalised pixels, so noise and distances are in units of
    ``input_scale``.

    Attributes:
      sigma: standard deviation of the noise, > 0, in units of ``input_scale``.
      input_scale: unit of the input, one number or one per channel: a data set's standard
        deviation, which is about 0.25 on CIFAR-10.
      samples: draws of noise for each example at every step; in eval mode all go through the
        network at once, without gradients unless ``gradient='both'``.
      reduction: over a batch's examples, ``'sum'`` or ``'mean'``.
      gradient: ``'clean'``, through f(x) alone, or ``'both'``.
      clip: whether x_n is cut to the range of the batch's pixels.

    Source: Foster, Fogarty, Schoepf et al., "Zero-Shot Machine Unlearning at Scale via Lipschitz
    Regularization", 2024, arXiv 2402.01401; rate and sigma as published for VGG16.
    """

    epochs: int = 1
    batch_size: int = static(64)
    learning_rate: float = 3e-4
    weight_decay: float = 0.0
    momentum: float = 0.0
    train_mode: bool = False
    augment: bool = False
    sigma: float = 0.01
    input_scale: InputScale = 0.25
    samples: int = static(25)
    reduction: str = "sum"
    gradient: str = "clean"
    clip: bool = True

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-7, 1e-1),
        "sigma": SearchRange("log", 1e-3, 1.0),
        "epochs": SearchRange("int", 1, 10),
    }
    title = "JiT"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("sigma", self.sigma, above=0)
        check_scale(self.input_scale)
        check_number("samples", self.samples, low=1, whole=True)
        check_choice("reduction", self.reduction, REDUCTIONS)
        check_choice("gradient", self.gradient, GRADIENTS)

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """Raise InputError where the unit's numbers are not those of the channels."""
        super().check(problem, exact=exact)
        check_channels(self.input_scale, needs_examples("forget", problem.forget))

    def noise(self, batch: Batch, info: StepInfo) -> jax.Array:
        """Standard normal numbers [B, samples, H, W, C] for this step."""
        count, *shape = batch.image.shape
        return jax.random.normal(info.key, (count, self.samples, *shape), batch.image.dtype)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Sum or mean over the batch of the examples' mean slopes."""
        del extra
        weight = batch.weight if self.clip else None
        noise = self.noise(batch, info)
        noise = noise * unit_for(noise, self.input_scale)
        noisy = functional.perturb(batch.image, noise, self.sigma, weight)
        logits = forward(batch)
        others = _logits_of_all(forward, batch, noisy)
        if self.gradient == "clean":
            others = jax.lax.stop_gradient(others)
        here, there = (x / unit_for(x, self.input_scale) for x in (batch.image, noisy))
        slopes = functional.local_lipschitz(logits, others, here, there).mean(axis=1)
        loss = functional.weighted_mean(slopes, batch.weight)
        if self.reduction == "sum":
            loss = loss * batch.weight.sum().astype(loss.dtype)
        return loss, {}


def _logits_of_all(forward: Forward, batch: Batch, noisy: jax.Array) -> chex.Array:
    """Logits [B, N, K] of images [B, N, H, W, C]."""
    count, samples, *shape = noisy.shape
    if forward.train:
        # Each draw with its own batch statistics; a loop, so that the program holds one pass.
        def show(variables: Variables, draw: Any) -> tuple[Variables, jax.Array]:
            images, key = draw
            one = Forward(forward.model, variables, train=True, key=key)
            logits = one(batch._replace(image=images))
            return as_before(one.variables, variables), logits

        key = forward.next_key()
        keys = None if key is None else jax.random.split(key, samples)
        draws = (jnp.moveaxis(noisy, 1, 0), keys)
        forward.variables, passes = jax.lax.scan(show, forward.variables, draws)
        return jnp.moveaxis(passes, 0, 1)
    # Rows first, as they lie on the devices.
    rows = noisy.reshape(count * samples, *shape)
    logits = forward.as_function(batch)(rows)
    return logits.reshape(count, samples, -1)


jit = constructor(JiT)
