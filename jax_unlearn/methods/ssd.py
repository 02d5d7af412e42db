"""SSD: dampen the weights that matter more to the forget set than to everything else."""

from collections.abc import Callable
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    Examples,
    Problem,
    SearchRange,
    Variables,
    check_choice,
    check_number,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import needs_examples
from jax_unlearn.methods.edit import Edit, EvalLoss, as_rows, over_devices
from jax_unlearn.warn import warn_user

IMPORTANCES = ("exact", "batch")


class SSD(Edit):
    """Selective synaptic dampening: shrink weights by their importances, in one edit.

    The importance of a weight for a data set is the mean square of the derivative of cross-entropy
    in it, in eval mode: F_f over the forget set, F_D over the whole training set. Where
    F_f > alpha * F_D the weight is multiplied by min(dampening * F_D / F_f, 1); all others keep
    their bits, and so do BatchNorm's running statistics.

    Two forms of importance exist. ``importance='exact'`` (default) is the paper's formula, the
    diagonal of the Fisher information, of every example's own gradient.
    ``importance='batch'`` is the released code, on which published tables and the default of
    ``alpha`` rest: the mean over batches of the squared gradient of a batch's mean loss. It falls
    with the batch size, so F_f and F_D compare only where both have the same; the released
    commands may give the two loaders different ones. A last batch of few rows counts as a full one.

    The whole training set holds the forget set, so F_D is at least F_f times the forget set's share
    of it: with ``'exact'`` nothing can change once that share is 1 / ``alpha``, a tenth at the
    default, and a warning says so. Of a larger part only a smaller ``alpha`` forgets.

    Attributes:
      alpha: how many times as important to the forget set a weight must be, >= 0. Published: 10;
        of a vision transformer 5 for a class and 25 for a sub-class.
      dampening: the paper's lambda, >= 0: smaller dampens more. Published: 1.
      importance: ``'exact'`` or ``'batch'``.
      batch_size: with ``'batch'``, rows of a batch of the whole training set, retain examples
        first, unshuffled.
      forget_batch_size: with ``'batch'``, rows of a batch of the forget set; None takes the same.

    Source: Foster, Schoepf, Brintrup, "Fast Machine Unlearning Without Retraining Through Selective
    Synaptic Dampening", AAAI 2024, arXiv 2308.07707.
    """

    batch_size: int = static(128)
    alpha: float = 10.0
    dampening: float = 1.0
    importance: str = "exact"
    forget_batch_size: int | None = None

    search_space: ClassVar = {
        "alpha": SearchRange("log", 0.1, 100.0),
        "dampening": SearchRange("log", 0.01, 10.0),
    }
    title = "SSD"

    scored_by: ClassVar[tuple[Callable[..., jax.Array], functional.Measure]] = (
        functional.cross_entropy,
        jnp.square,
    )
    """The loss of logits, and what its derivative counts as."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha, low=0)
        check_number("dampening", self.dampening, low=0)
        check_choice("importance", self.importance, IMPORTANCES)
        if self.forget_batch_size is not None:
            check_number("forget_batch_size", self.forget_batch_size, low=1, whole=True)

    def edit(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The weights, dampened."""
        del key
        self._warn_if_idle(problem)
        whole, forget = self.importances(problem)
        params, _ = split_variables(problem.variables)
        params = functional.dampen(params, whole, forget, self.alpha, self.dampening)
        return with_params(problem.variables, params)

    def importances(self, problem: Problem) -> tuple[Any, Any]:
        """Of each weight F_D over the whole training set and F_f over the forget set."""
        forget = self._rows(needs_examples("forget", problem.forget))
        retain = self._rows(needs_examples("retain", problem.retain))
        of_logits, measure = self.scored_by
        loss = EvalLoss(problem.model, of_logits)
        options = {"measure": measure, **over_devices(problem)}
        if self.importance == "batch":
            whole = tuple(np.concatenate(parts) for parts in zip(retain, forget, strict=True))
            sizes = (self.batch_size, self.forget_batch_size or self.batch_size)
            of_whole, of_forget = (
                functional.batch_importance(loss, problem.variables, rows, size, **options)
                for rows, size in zip((whole, forget), sizes, strict=True)
            )
            return of_whole, of_forget
        of_retain, of_forget = (
            functional.exact_importance(loss, problem.variables, rows, **options)
            for rows in (retain, forget)
        )
        share = len(forget[0]) / (len(retain[0]) + len(forget[0]))
        of_whole = jax.tree.map(lambda r, f: (1 - share) * r + share * f, of_retain, of_forget)
        return of_whole, of_forget

    def _warn_if_idle(self, problem: Problem) -> None:
        """Warn where the sets' sizes alone tell that no weight can be important enough."""
        if self.importance != "exact" or isinstance(self.alpha, jax.core.Tracer):
            return
        forget, retain = (
            len(needs_examples(name, getattr(problem, name)).label) for name in ("forget", "retain")
        )
        most = (forget + retain) / forget
        if self.alpha >= most:
            warn_user(
                f"alpha={float(self.alpha):g}: no weight is more than {most:.3g} times as "
                f"important to {forget} forget examples as to all {forget + retain}, so nothing "
                f"changes: expected less than {most:.3g}"
            )

    def _rows(self, examples: Examples) -> tuple[Any, ...]:
        """What the loss sees of examples."""
        return as_rows(examples)


ssd = constructor(SSD)
