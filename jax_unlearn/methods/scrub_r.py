"""SCRUB+R: SCRUB, rewound to the epoch that forgets no more than validation data shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import Batch, Examples, InputError, Model, Problem, StepInfo, Variables
from jax_unlearn.data.dataset import take
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import DescentState, needs_examples
from jax_unlearn.methods.scrub import SCRUB
from jax_unlearn.models.predict import predict_logits


class SCRUBR(SCRUB):
    """SCRUB that keeps its weights after every epoch and returns those that forget just enough.

    When it has ended, the error of its last weights on validation examples of the classes to be
    forgotten is what the error on the forget set should be: of all epochs, the original counted
    as one, those weights are returned whose forget error is nearest, the first of equals. The
    validation examples are ``Problem.validation``, held out of the training data.

    The released code breaks where the original itself is nearest; here it is returned. Where a
    whole class is forgotten, several epochs may have an error of 100 %: the first of them has
    recovered the least of the retain set. The state holds ``epochs + 1`` networks.

    Source: Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023,
    arXiv 2302.09880.
    """

    title = "SCRUB+R"

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """There must be validation examples, and some of them of the forget set's classes."""
        super().check(problem, exact=exact)
        if problem.validation is None:
            raise InputError(
                "validation=None: SCRUB+R needs validation examples; hold some out of the training "
                "data before the original is trained, in commands by --data.validation-size"
            )
        if not len(_of_forget_classes(problem).label):
            raise InputError(
                "validation: none of its examples is of a class of the forget set: expected some "
                "to compare with; hold out more"
            )

    def extra(self, key: chex.PRNGKey, problem: Problem) -> dict[str, Any]:
        """Room for the weights after every epoch, [epochs + 1, ...], the original's in each."""
        places = self.epochs + 1
        kept = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (places, *jnp.shape(x))), problem.variables
        )
        return {**super().extra(key, problem), "kept": kept}

    def step(
        self, model: Model, state: DescentState, batch: Batch, info: StepInfo
    ) -> tuple[DescentState, dict[str, jax.Array]]:
        """One update; the weights of the epoch's last one stay in its place."""
        state, scalars = super().step(model, state, batch, info)
        kept = jax.tree.map(
            lambda places, x: jax.lax.dynamic_update_index_in_dim(places, x, info.epoch + 1, 0),
            state.extra["kept"],
            state.variables,
        )
        return state._replace(extra={**state.extra, "kept": kept}), scalars

    def measure(self, model: Model, state: DescentState, problem: Problem) -> dict[str, float]:
        """Errors in percent on the forget set and on validation examples of its classes."""
        sets = {
            "forget_error": needs_examples("forget", problem.forget),
            "validation_error": _of_forget_classes(problem),
        }
        return {
            name: _error(predict_logits(model, state.variables, examples.image), examples.label)
            for name, examples in sets.items()
        }

    def finish(self, state: DescentState, history: Sequence[Mapping[str, float]]) -> Variables:
        """The weights of the chosen epoch; while epochs are missing, the last ones."""
        if len(history) <= self.epochs:
            return state.variables
        errors = [entry["forget_error"] for entry in history]
        chosen = rewind_to(errors, history[-1]["validation_error"])
        return jax.tree.map(lambda places: places[chosen], state.extra["kept"])


def rewind_to(errors: Sequence[float], reference: float) -> int:
    """The position of the error nearest to the reference, the first of equals."""
    return int(np.argmin(np.abs(np.asarray(errors) - reference)))


def _of_forget_classes(problem: Problem) -> Examples:
    validation = needs_examples("validation", problem.validation)
    classes = np.unique(needs_examples("forget", problem.forget).label)
    return take(validation, np.flatnonzero(np.isin(validation.label, classes)))


def _error(logits: np.ndarray, labels: np.ndarray) -> float:
    return 100.0 * float(np.mean(logits.argmax(axis=1) != labels))


scrub_r = constructor(SCRUBR)
