"""MU-Mis: withdraw what the forget examples contributed, seen in the model's input sensitivity."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.backend import platform
from jax_unlearn.core import (
    FORGET,
    Batch,
    Model,
    Pool,
    Problem,
    SearchRange,
    State,
    StepInfo,
    Variables,
    check_choice,
    check_number,
    shuffled_rows,
    static,
    to_unit,
)
from jax_unlearn.functional.sensitivity import LogitsFn
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Forward, Optimized, needs_examples
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.sharding import batch_sharding

DIFFERENTIATIONS = ("auto", "reverse", "forward")
STOP_CLASSES = ("all", "next")
TERMS = ("both", "target", "irrelevant")


@functools.partial(jax.jit, static_argnames=("model", "num_classes", "stop_classes", "scale"))
def _sensitivities(
    model: Model,
    variables: Variables,
    images: jax.Array,
    labels: jax.Array,
    num_classes: int,
    stop_classes: str,
    scale: float | tuple[float, ...],
) -> dict[str, jax.Array]:
    logits_fn, images = _in_units(functools.partial(model.logits, variables), images, scale)
    if stop_classes == "all":
        irrelevant = functional.mean_irrelevant_sensitivity(logits_fn, images, labels, num_classes)
    else:
        following = (labels + 1) % num_classes
        irrelevant = functional.input_sensitivity(logits_fn, images, following)
    return {
        "sensitivity_label": functional.input_sensitivity(logits_fn, images, labels),
        "sensitivity_irrelevant": irrelevant,
    }


def _in_units(
    logits_fn: LogitsFn, images: jax.Array, scale: float | tuple[float, ...]
) -> tuple[LogitsFn, jax.Array]:
    """Change the unit of the input, uint8 or float in [0, 1], from 1 to ``scale``."""
    images = to_unit(images) if images.dtype == jnp.uint8 else images
    units = jnp.asarray(scale, images.dtype).reshape((1,) * (images.ndim - 1) + (-1,))
    return (lambda x: logits_fn(x * units)), images / units


class MUMis(Optimized):
    """Lower the input sensitivity of the true class against that of an irrelevant class.

    Minimises the mean over the forget set of ``|grad_x f_c|^2 - |grad_x f_c'|^2``: ``f`` are the
    logits, ``x`` the image, ``c`` the label, ``c'`` another class drawn afresh for every example
    at every step. Only the forget set is used. The loss has no lower bound; the stop rule ends the
    run, and past it the model is soon destroyed.

    The stop rule is looked at before the first step and then every ``check_every`` steps. It reads
    the mean over forget examples of ``|grad_x f_c'|^2``, and ends the run when that value is above
    the smallest seen and has reached ``stop_ratio`` times the first. (A ratio of norms that are not
    squared is the square root of this one.)

    We know neither the paper's optimizer, rate and batch size nor its BatchNorm mode, unit of the
    input, ratio and classes of the stop rule. The defaults are our choices: plain SGD, eval mode,
    images in [0, 1], no augmentation, all other classes; rate and ratio need tuning.

    Attributes:
      max_steps: limit on the number of steps.
      stop_ratio: the multiple at which to stop, > 0.
      check_every: steps between looks at the stop rule; looking changes no step.
      check_examples: forget examples that the rule reads, evenly spaced; 0 reads all.
      stop_classes: ``'all'`` other classes are averaged by the rule, or for every example the
        ``'next'`` one, which is cheaper where there are many.
      input_scale: unit of the input, one number or one per channel; a data set's standard
        deviations make ``x`` the normalised image.
      differentiate: ``'reverse'`` (gradient of a gradient), ``'forward'`` (a forward-mode product
        inside a gradient; the same numbers), or ``'auto'``: forward on CPU, where it was measured
        faster, reverse elsewhere, which was not measured.
      terms: ``'both'``, or for ablations ``'target'`` or ``'irrelevant'`` alone.

    With ``train_mode`` an example's gradient also goes through its batch's statistics.

    Source: Cheng, Huang, Huang et al., "Machine Unlearning by Suppressing Sample Contribution",
    2024, arXiv 2402.15109.
    """

    batch_size: int = static(64)
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    momentum: float = 0.0
    train_mode: bool = False
    augment: bool = False
    max_steps: int = 200
    stop_ratio: float = 1.5
    check_every: int = static(5)
    check_examples: int = static(256)
    stop_classes: str = "all"
    input_scale: float | tuple[float, ...] = 1.0
    differentiate: str = "auto"
    terms: str = "both"

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-6, 1e-3),
        "stop_ratio": SearchRange("log", 1.05, 6.0),
    }
    limit_note = "ended at the step limit"
    history_figure = "mumis"
    title = "MU-Mis"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("max_steps", self.max_steps, low=1, whole=True)
        check_number("stop_ratio", self.stop_ratio, above=0)
        check_number("check_every", self.check_every, low=1, whole=True)
        check_number("check_examples", self.check_examples, low=0, whole=True)
        check_choice("stop_classes", self.stop_classes, STOP_CLASSES)
        scales = self.input_scale if isinstance(self.input_scale, tuple) else (self.input_scale,)
        for scale in scales:
            check_number("input_scale", scale, above=0)
        check_choice("differentiate", self.differentiate, DIFFERENTIATIONS)
        check_choice("terms", self.terms, TERMS)

    @property
    def num_epochs(self) -> int:
        """Stretches of ``check_every`` steps; the stop rule is looked at after each."""
        return math.ceil(self.max_steps / self.check_every)

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """The next ``check_every`` steps of passes over the forget set, fewer at the limit."""
        start = epoch * self.check_every
        steps = min(self.check_every, self.max_steps - start)
        rows = jnp.arange(pool.label.shape[0])
        return shuffled_rows(key, rows, self.batch_size, start=start, steps=steps)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean difference of the two sensitivities."""
        del extra
        logits_fn, images = _in_units(forward.as_function(batch), batch.image, self.input_scale)
        logits = forward(batch)
        irrelevant = functional.draw_irrelevant(info.key, batch.label, logits.shape[1])
        differentiate = self.differentiate
        if differentiate == "auto":
            differentiate = "forward" if platform() == "cpu" else "reverse"
        loss = functional.mumis_loss(
            logits_fn,
            images,
            batch.label,
            irrelevant,
            weights=batch.weight,
            differentiate=differentiate,
            terms=self.terms,
        )
        return loss, {}

    def measure(self, model: Model, state: State, problem: Problem) -> dict[str, float]:
        """Mean sensitivities and accuracy (percent) on the forget examples.

        ``sensitivity_irrelevant`` averages over the classes of the stop rule.
        """
        forget = needs_examples("forget", problem.forget)
        size = len(forget.label)
        rows = np.linspace(0, size - 1, min(self.check_examples or size, size)).astype(int)
        images, labels = forget.image[rows], forget.label[rows]
        evaluate = functools.partial(
            _sensitivities,
            model,
            state.variables,
            num_classes=problem.num_classes,
            stop_classes=self.stop_classes,
            scale=self.input_scale,
        )
        # Every example has a row for each other class: keep the rows at once near a thousand.
        others = problem.num_classes - 1 if self.stop_classes == "all" else 1
        means = functional.map_batches(
            evaluate,
            (images, labels),
            min(self.batch_size, max(1, 1024 // others)),
            sharding=batch_sharding(state.variables),
        )
        predicted = predict_logits(model, state.variables, images).argmax(axis=1)
        return {
            **{name: float(np.mean(values)) for name, values in means.items()},
            "checked_accuracy": 100.0 * float(np.mean(predicted == labels)),
        }

    def stop(self, history: Sequence[Mapping[str, float]], problem: Problem) -> bool:
        """Whether the irrelevant sensitivity has turned upward and reached the ratio."""
        del problem
        course = [entry["sensitivity_irrelevant"] for entry in history]
        return course[-1] > min(course) and course[-1] >= self.stop_ratio * course[0]

    def collapsed(self, history: Sequence[Mapping[str, float]], problem: Problem) -> bool:
        """Whether values are no longer finite, or accuracy is at chance.

        Accuracy at chance counts on the retain set where the caller watches it, else on a forget
        set that holds every class; a forget set of few classes is meant to end below chance.
        """
        if super().collapsed(history, problem):
            return True
        last = history[-1]
        chance = 100.0 / problem.num_classes
        if "retain_accuracy" in last:
            return last["retain_accuracy"] <= 1.1 * chance
        forget = needs_examples("forget", problem.forget)
        every_class = len(np.unique(forget.label)) == problem.num_classes
        return every_class and last["checked_accuracy"] <= 1.1 * chance


mumis = constructor(MUMis)
