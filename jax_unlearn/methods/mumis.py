"""MU-Mis: withdraw what the forget examples contributed, seen in the model's input sensitivity."""

import functools
import math
from typing import ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    Pool,
    Problem,
    Unlearner,
    check_choice,
    check_number,
    method,
    pool_rows,
    shuffled_rows,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.methods.descent import DescentState, needs_examples
from jax_unlearn.models.predict import batch_sharding, predict_logits, to_unit

DIFFERENTIATIONS = ("auto", "reverse", "forward")
TERMS = ("both", "target", "irrelevant")


@functools.partial(jax.jit, static_argnames=("model", "num_classes"))
def _sensitivities(model, variables, images, labels, num_classes):
    logits_fn, images = functools.partial(model.logits, variables), to_unit(images)
    return {
        "sensitivity_label": functional.input_sensitivity(logits_fn, images, labels),
        "sensitivity_irrelevant": functional.mean_irrelevant_sensitivity(
            logits_fn, images, labels, num_classes
        ),
    }


@method
class MUMis(Unlearner):
    """Lower the input sensitivity of the true class against that of an irrelevant class.

    Minimises the mean over the forget set of ``|grad_x f_c|^2 - |grad_x f_c'|^2`` with plain SGD:
    ``f`` are the logits in eval mode, ``x`` the image in [0, 1], ``c`` the label, ``c'`` another
    class drawn afresh for every example at every step. Only the forget set is used. The loss has
    no lower bound; the stop rule ends the run, and past it the model is soon destroyed.

    The stop rule is looked at before the first step and then every ``check_every`` steps. It reads
    the mean, over forget examples and all their other classes, of ``|grad_x f_c'|^2``, and ends
    the run when that value is above the smallest seen and has reached ``stop_ratio`` times the
    first.

    The paper leaves open to us: the optimizer, rate, ratio, batch size, BatchNorm mode and which
    classes the rule averages over. These are our choices; ``stop_ratio`` and the rate need tuning.

    Attributes:
      max_steps: limit on the number of steps.
      learning_rate: of SGD; constant.
      momentum: of SGD, in [0, 1].
      stop_ratio: the multiple at which to stop, > 0.
      check_every: steps between looks at the stop rule.
      check_examples: forget examples that the rule reads, the first so many; 0 reads all.
      differentiate: ``'reverse'`` (gradient of a gradient), ``'forward'`` (a forward-mode product
        inside a gradient; the same numbers), or ``'auto'``: forward on CPU, where it was measured
        faster, reverse elsewhere.
      terms: ``'both'``, or for ablations ``'target'`` or ``'irrelevant'`` alone.

    Source: Cheng, Huang, Huang et al., "Machine Unlearning by Suppressing Sample Contribution",
    2024, arXiv 2402.15109.
    """

    batch_size: int = static(64)
    max_steps: int = 200
    learning_rate: float = 1e-4
    momentum: float = 0.0
    stop_ratio: float = 1.5
    check_every: int = static(5)
    check_examples: int = static(256)
    differentiate: str = static("auto")
    terms: str = static("both")

    needs_retain: ClassVar[bool] = False

    def __post_init__(self):
        check_number("batch_size", self.batch_size, low=1, whole=True)
        check_number("max_steps", self.max_steps, low=1, whole=True)
        check_number("learning_rate", self.learning_rate, low=0)
        check_number("momentum", self.momentum, low=0, high=1)
        check_number("stop_ratio", self.stop_ratio, above=0)
        check_number("check_every", self.check_every, low=1, whole=True)
        check_number("check_examples", self.check_examples, low=0, whole=True)
        check_choice("differentiate", self.differentiate, DIFFERENTIATIONS)
        check_choice("terms", self.terms, TERMS)

    @property
    def num_epochs(self) -> int:
        """Stretches of ``check_every`` steps; the stop rule is looked at after each."""
        return math.ceil(self.max_steps / self.check_every)

    def init(self, key: chex.PRNGKey, problem: Problem) -> DescentState:
        """Build the state from the original weights."""
        del key
        params, _ = split_variables(problem.variables)
        return DescentState(problem.variables, optax.trace(self.momentum).init(params))

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The forget rows, never augmented."""
        del key
        needs_examples("forget", problem.forget)
        return pool_rows(problem.forget, FORGET, augment=False)

    def order(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """The next ``check_every`` steps of passes over the forget set, fewer at the limit."""
        steps = min(self.check_every, self.max_steps - epoch * self.check_every)
        return shuffled_rows(key, jnp.arange(pool.label.shape[0]), self.batch_size, steps=steps)

    def step(self, model, key, state, batch, clock):
        """One step of SGD on the sensitivity difference."""
        del clock
        params, _ = split_variables(state.variables)
        classes = jax.eval_shape(model.logits, state.variables, batch.image).shape[1]
        irrelevant = functional.draw_irrelevant(key, batch.label, classes)
        differentiate = self.differentiate
        if differentiate == "auto":
            differentiate = "forward" if jax.default_backend() == "cpu" else "reverse"

        def objective(params):
            return functional.mumis_loss(
                functools.partial(model.logits, with_params(state.variables, params)),
                batch.image,
                batch.label,
                irrelevant,
                weights=batch.weight,
                differentiate=differentiate,
                terms=self.terms,
            )

        loss, gradients = jax.value_and_grad(objective)(params)
        updates, opt_state = optax.trace(self.momentum).update(gradients, state.opt_state)
        params = jax.tree.map(
            lambda p, u: p - (self.learning_rate * u).astype(p.dtype), params, updates
        )
        return DescentState(with_params(state.variables, params), opt_state), {"loss": loss}

    def measure(self, model, state, problem):
        """Mean sensitivities and accuracy (percent) on the forget examples.

        ``sensitivity_irrelevant`` averages over all other classes; ``forget_classes`` is how many
        classes the forget set holds.
        """
        count = self.check_examples or len(problem.forget.label)
        images, labels = problem.forget.image[:count], problem.forget.label[:count]
        evaluate = functools.partial(
            _sensitivities, model, state.variables, num_classes=problem.num_classes
        )
        # Every example has a row for each other class: keep the rows at once near a thousand.
        batch_size = min(self.batch_size, max(1, 1024 // (problem.num_classes - 1)))
        means = functional.map_batches(
            evaluate, (images, labels), batch_size, sharding=batch_sharding(state.variables)
        )
        predicted = predict_logits(model, state.variables, images).argmax(axis=1)
        return {
            **{name: float(np.mean(values)) for name, values in means.items()},
            "checked_accuracy": 100.0 * float(np.mean(predicted == labels)),
            "forget_classes": float(len(np.unique(problem.forget.label))),
            "num_classes": float(problem.num_classes),
        }

    def stop(self, history):
        """Whether the irrelevant sensitivity has turned upward and reached the ratio."""
        course = [entry["sensitivity_irrelevant"] for entry in history]
        return course[-1] > min(course) and course[-1] >= self.stop_ratio * course[0]

    def collapsed(self, history):
        """Whether values are no longer finite, or accuracy is at chance.

        Accuracy at chance counts on the retain set where the caller watches it, else on a forget
        set that holds every class; a forget set of few classes is meant to end below chance.
        """
        if super().collapsed(history):
            return True
        last = history[-1]
        chance = 100.0 / last["num_classes"]
        if "retain_accuracy" in last:
            return last["retain_accuracy"] <= 1.1 * chance
        every_class = last["forget_classes"] == last["num_classes"]
        return every_class and last["checked_accuracy"] <= 1.1 * chance


mumis = MUMis
