"""MU-Mis: withdraw what the forget examples contributed, seen in the model's input sensitivity."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    Batch,
    Examples,
    InputError,
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
    split_variables,
    static,
    to_unit,
)
from jax_unlearn.functional.sensitivity import DIFFERENTIATIONS, LogitsFn
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Forward, needs_examples
from jax_unlearn.methods.input_scale import InputScale, check_channels, check_scale, unit_for
from jax_unlearn.methods.last_layer import last_linear_layer, scale_outside
from jax_unlearn.methods.stretches import Stretches
from jax_unlearn.sharding import batch_sharding
from jax_unlearn.warn import warn_user

STOP_CLASSES = ("one", "all")
TERMS = ("both", "target", "irrelevant")

START_EXAMPLES = 1000
"""Examples, and pairs of an example and another class, by which the original is measured at most:
sensitivities vary by about their mean from pair to pair, so a thousand give it to 3 percent."""

HARD = {0.1: 4.0, 0.0: 1.5}
"""By the body rate from which it holds: the ratio of the original's sensitivities below which an
original is hard. On digits (classes 3 and 8) body rate 1 lost 3 to 24 points of average gap at
ratios of 1.7 to 2.9 and 0.1 to 5 at 5 to 8, with the best of all stops; rate 0.03 lost at most 0.4
from 1.7 on, and was not tried below 1.4."""


@functools.partial(jax.jit, static_argnames=("model", "scale", "at_once"))
def _sensitivities(
    model: Model,
    variables: Variables,
    images: jax.Array,
    classes: jax.Array,
    scale: float | tuple[float, ...],
    at_once: int,
) -> tuple[jax.Array, jax.Array]:
    """Sensitivity float [B, M] of every example's classes int [B, M], and class predicted."""
    logits_fn, images = _in_units(functools.partial(model.logits, variables), images, scale)
    sensitivities = functional.class_sensitivities(logits_fn, images, classes, at_once=at_once)
    # The compiler merges this forward pass with the other.
    return sensitivities, logits_fn(images).argmax(axis=1)


def _in_units(
    logits_fn: LogitsFn, images: jax.Array, scale: InputScale
) -> tuple[LogitsFn, jax.Array]:
    """Change the unit of the input, uint8 or float in [0, 1], from 1 to ``scale``."""
    images = to_unit(images) if images.dtype == jnp.uint8 else images
    unit = unit_for(images, scale)
    return (lambda x: logits_fn(x * unit)), images / unit


class MUMis(Stretches):
    """Lower the input sensitivity of the true class against that of an irrelevant class.

    Minimises the mean over the forget set of ``|grad_x f_c|^2 - |grad_x f_c'|^2``, divided by the
    first term's value for the original: ``f`` are the logits, ``x`` the image, ``c`` the label,
    ``c'`` another class drawn afresh for every example at every step. Only the forget set is used.
    The division makes one rate serve networks whose sensitivities differ by powers of ten: neither
    the scale of the logits nor that of the pixels changes the run.

    The loss has no lower bound; the stop rule ends the run, and past it the model is soon
    destroyed. It is looked at before the first step and then every ``check_every`` steps, on the
    same forget examples and other classes each time. It ends the run when the norm of the
    irrelevant classes' gradients is above the smallest seen and has reached ``stop_ratio`` times
    the first. That norm is of all their gradients as one vector: the root of the mean of
    ``|grad_x f_c'|^2``.

    How well the original was trained decides what can be reached: ``sensitivity_ratio`` in the
    history is the original's mean of ``|grad_x f_c|^2`` over that of ``|grad_x f_c'|^2``. In a
    converged network, trained with weight decay, the label's stands out; where it does not, other
    classes are lost with the forgotten one, and a warning says so before the first step.
    Sensitivities in the history are squared norms, in units of the original's for the label.

    We know neither the paper's optimizer, rates and batch size nor its BatchNorm mode, unit of the
    input, ratio and classes of the stop rule. The defaults are ours, found on other seeds than any
    table's: SGD with momentum, eval mode, images in [0, 1], no augmentation, and all weights move,
    those before the last linear layer at 0.03 of its rate. One rate for all (``body_rate`` 1, with
    ``learning_rate`` 1e-3) costs several times as many points of retain and test accuracy.

    On random samples, which leave every class behind, it does not work: forget, retain and test
    accuracy fall together.

    Attributes:
      stop_ratio: multiple of their first norm that the irrelevant classes' gradients must reach,
        > 0; the norms are not squared.
      stop_accuracy: ends the run too once the accuracy on the examples that are looked at, in
        percent, is at or below it; None leaves that to ``stop_ratio``.
      check_every: steps between looks at the stop rule; looking changes no step.
      check_examples: forget examples that a look reads, evenly spaced; 0 reads all.
      stop_classes: ``'one'`` other class of every example is read, all classes in turn, or for
        every example ``'all'`` of them.
      body_rate: factor of the gradient of everything outside the last linear layer, momentum and
        decay included: 1 moves all weights at one rate, 0 the last linear layer alone. It is ours,
        not the paper's. Where no last linear layer can be told, only 1 works.
      last_layer: name or path of the last linear layer in the tree of parameters, such as
        ``'fc'``; '' finds it. Read only where ``body_rate`` is not 1.
      input_scale: unit of the input, one number or one per channel; a data set's standard
        deviations make ``x`` the normalised image.
      differentiate: ``'forward'`` (gradient of the slope along the input gradient) or
        ``'reverse'`` (gradient of a gradient), the same numbers, see
        :func:`~jax_unlearn.functional.mumis_terms`. Forward has as few operations, and no larger
        convolutions than the network's own, on every platform.
      terms: ``'both'``, or for ablations ``'target'`` or ``'irrelevant'`` alone.

    With ``train_mode`` an example's gradient also goes through its batch's statistics.

    Source: Cheng, Huang, Huang et al., "Machine Unlearning by Suppressing Sample Contribution",
    2024, arXiv 2402.15109.
    """

    batch_size: int = static(64)
    learning_rate: float = 0.02
    weight_decay: float = 0.0
    train_mode: bool = False
    augment: bool = False
    max_steps: int = 200
    stop_ratio: float = 1.75
    stop_accuracy: float | None = None
    check_every: int = static(2)
    check_examples: int = static(32)
    stop_classes: str = "one"
    body_rate: float = 0.03
    last_layer: str = ""
    input_scale: InputScale = 1.0
    differentiate: str = "forward"
    terms: str = "both"

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-3, 0.3),
        "stop_ratio": SearchRange("log", 1.05, 4.0),
        "body_rate": SearchRange("log", 3e-3, 1.0),
    }
    history_figure = "mumis"
    title = "MU-Mis"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("stop_ratio", self.stop_ratio, above=0)
        if self.stop_accuracy is not None:
            check_number("stop_accuracy", self.stop_accuracy, low=0, high=100)
        check_number("check_examples", self.check_examples, low=0, whole=True)
        check_choice("stop_classes", self.stop_classes, STOP_CLASSES)
        check_number("body_rate", self.body_rate, low=0)
        check_scale(self.input_scale)
        check_choice("differentiate", self.differentiate, DIFFERENTIATIONS)
        check_choice("terms", self.terms, TERMS)

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """Raise InputError where the last linear layer is to move faster, and none can be told."""
        super().check(problem, exact=exact)
        if self.body_rate != 1:
            last_linear_layer(problem, self.last_layer)
        check_channels(self.input_scale, _forget(problem))

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """The next ``check_every`` steps of passes over the forget set, fewer at the limit."""
        start, steps = self.steps_of(epoch)
        rows = jnp.arange(pool.label.shape[0])
        return shuffled_rows(key, rows, self.batch_size, start=start, steps=steps)

    def extra(self, key: chex.PRNGKey, problem: Problem) -> dict[str, Any]:
        """The original's two sensitivities, and where the last linear layer is.

        The one is the mean over forget examples, the other over pairs of an example and another
        class, evenly spaced where there are more than a thousand.
        """
        del key
        others = problem.num_classes - 1
        count = min(others, math.ceil(START_EXAMPLES / len(_forget(problem).label)))
        found, _ = self._read(problem, problem.variables, START_EXAMPLES, count, label=True)
        of_label, of_irrelevant = found[:, 0].mean(), found[:, 1:].mean()
        # Traced, for its shapes alone, an original has no numbers.
        if not isinstance(found, jax.core.Tracer):
            _warn_if_hard(float(of_label) / max(float(of_irrelevant), 1e-30), self.body_rate)
        try:
            layer = last_linear_layer(problem, self.last_layer)
        except InputError:
            # At a body rate of 1 it makes no difference.
            if self.body_rate != 1:
                raise
            layer = jax.tree.map(lambda _: True, split_variables(problem.variables)[0])
        return {
            # A network that does not look at its input has no unit, and nothing to unlearn.
            "of_label": jnp.where(of_label == 0, 1.0, of_label).astype(jnp.float32),
            "of_irrelevant": jnp.asarray(of_irrelevant, jnp.float32),
            "layer": jax.tree.map(jnp.asarray, layer),
        }

    def transform(
        self, optimizer: optax.GradientTransformation, extra: Any
    ) -> optax.GradientTransformation:
        """Outside the last linear layer gradients are multiplied by ``body_rate``.

        So are the moments and the decay that the optimizer adds. (Its direction is multiplied,
        which for SGD is the same as multiplying before momentum; Adam would undo that.)
        """

        def scale(updates: Any, params: Any = None) -> Any:
            del params
            return scale_outside(extra["layer"], self.body_rate, updates)

        return optax.chain(optimizer, optax.stateless(scale))

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean difference of the two sensitivities, and the first of them, by the original's."""
        logits_fn, images = _in_units(forward.as_function(batch), batch.image, self.input_scale)
        num_classes = jax.eval_shape(logits_fn, images).shape[1]
        irrelevant = functional.draw_irrelevant(info.key, batch.label, num_classes)
        terms = functional.mumis_terms(
            logits_fn, images, batch.label, irrelevant, differentiate=self.differentiate
        )
        target, other = (
            functional.weighted_mean(term, batch.weight) / extra["of_label"].astype(term.dtype)
            for term in terms
        )
        loss = {"both": target - other, "target": target, "irrelevant": -other}[self.terms]
        return loss, {"sensitivity_label": target}

    def measure(self, model: Model, state: State, problem: Problem) -> dict[str, float]:
        """Of the checked examples: the irrelevant classes' mean sensitivity, accuracy in percent.

        ``sensitivity_ratio`` is the original's.
        """
        del model
        count = problem.num_classes - 1 if self.stop_classes == "all" else 1
        found, right = self._read(problem, state.variables, self.check_examples, count)
        of_label, of_irrelevant = jax.device_get(
            [state.extra[name] for name in ("of_label", "of_irrelevant")]
        )
        return {
            "sensitivity_irrelevant": float(found.mean()) / float(of_label),
            "checked_accuracy": 100.0 * float(np.mean(right)),
            "sensitivity_ratio": float(of_label) / max(float(of_irrelevant), 1e-30),
        }

    def _read(
        self, problem: Problem, variables: Variables, limit: int, count: int, *, label: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sensitivities of ``count`` other classes of forget examples, and who is recognised.

        Args:
          problem: which network and examples.
          variables: weights, of the original or later.
          limit: at most so many examples, evenly spaced; 0 takes all.
          count: other classes of each.
          label: whether the label's own comes first.

        Returns:
          float [N, count], or [N, 1 + count] with the label's, and bool [N].
        """
        forget = _forget(problem)
        size = len(forget.label)
        rows = np.linspace(0, size - 1, min(limit or size, size)).astype(int)
        images, labels = forget.image[rows], np.asarray(forget.label[rows], np.int32)
        classes = np.asarray(functional.other_classes(labels, problem.num_classes, count))
        if label:
            classes = np.concatenate([labels[:, None], classes], axis=1)
        # Every example has a row for each class. A step of a whole batch fits, and keeps more.
        most = max(self.batch_size, functional.rows_at_once(images.shape[1:]))
        size = min(self.batch_size, max(1, most // classes.shape[1]))
        found, predicted = functional.map_batches(
            functools.partial(
                _sensitivities,
                problem.model,
                variables,
                scale=self.input_scale,
                at_once=most // size,
            ),
            (images, classes),
            size,
            sharding=batch_sharding(variables),
        )
        return found, predicted == labels

    def stop(self, history: Sequence[Mapping[str, float]], problem: Problem) -> bool:
        """Whether the irrelevant classes' norm has turned upward and reached the ratio."""
        del problem
        limit = self.stop_accuracy
        if limit is not None and history[-1]["checked_accuracy"] <= limit:
            return True
        course = [math.sqrt(entry["sensitivity_irrelevant"]) for entry in history]
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
        return _of_every_class(problem) and last["checked_accuracy"] <= 1.1 * chance

    def note(self, status: str, problem: Problem) -> str:
        """Says where the method does not work, what it cannot do, and that it met its limit."""
        if status == "collapsed":
            return ""
        if _of_every_class(problem):
            return "MU-Mis does not work on samples of every class: all are lost together"
        if status == "finished":
            return "ended at the step limit"
        return _KEPT if self.body_rate == 0 else ""


class MUMisLastLayer(MUMis):
    """MU-Mis that moves the last linear layer alone.

    Ours, not the paper's: :class:`MUMis` with ``body_rate`` 0. It needs no converged original. What
    it cannot do: the features stay the original's, so the network still computes all that it knew
    of the forget set, and whoever reads its features or trains a new last layer has it back.
    """

    learning_rate: float = 0.1
    stop_ratio: float = 1.1
    body_rate: float = 0.0

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-3, 1.0),
        "stop_ratio": SearchRange("log", 1.02, 4.0),
    }
    title = "MU-Mis, last layer"


_KEPT = "kept the original's features: only the last linear layer moved"

mumis = constructor(MUMis)
mumis_last_layer = constructor(MUMisLastLayer, "mumis_last_layer")


def _forget(problem: Problem) -> Examples:
    return needs_examples("forget", problem.forget)


def _of_every_class(problem: Problem) -> bool:
    return len(np.unique(_forget(problem).label)) == problem.num_classes


def _warn_if_hard(ratio: float, body_rate: float) -> None:
    """Warn of an original whose label is hardly more sensitive than other classes."""
    needed = next((needed for above, needed in HARD.items() if body_rate > above), 0.0)
    if ratio < needed:
        warn_user(
            f"sensitivity_ratio={ratio:.2g}: this original is hard for MU-Mis: the labels' logits "
            "are hardly more sensitive to the forget images than those of other classes, which are "
            f"lost with them; expected at least {needed:g} at body_rate={body_rate:g}; train it "
            "longer and with weight decay, or lower body_rate"
        )
