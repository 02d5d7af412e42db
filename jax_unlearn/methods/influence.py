"""Influence unlearning: one Newton step from the original towards the retain set's optimum."""

from typing import Any, ClassVar

import chex
import jax

from jax_unlearn import functional
from jax_unlearn.core import (
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

SOLVERS = ("conjugate_gradients", "woodfisher")
WOODFISHER_CHUNK = 8


class Influence(Edit):
    """theta0 + alpha * H^-1 v: influence unlearning (IU), in eval mode.

    With N_f and N_r examples v = N_f / (N_f + N_r) * (mean forget gradient - mean retain gradient)
    of cross-entropy; at an optimum of the training loss that is minus the mean retain gradient,
    and at ``alpha=1`` the edit is Newton's step on the retain set.

    Two ways to divide by the Hessian H exist. ``solver='conjugate_gradients'`` (default) solves
    (H + damping) x = v with the exact Hessian of the mean retain loss, by products with vectors
    over the whole retain set. A network's H is not positive everywhere: where the solver meets a
    direction in which it is not, it keeps what it has and warns; raise the damping then.
    ``solver='woodfisher'`` is the released code, on which published tables rest: a recursion over
    1,002 retain examples that divides by 1,000 whatever the data set's size, and changes v along a
    single direction, the first example's gradient (:func:`jax_unlearn.functional.woodfisher_step`).

    The released code's mask of weights is not offered. It leaves ``alpha`` to a search; the solver
    by conjugate gradients, and with it ``damping``, ``max_steps`` and ``tolerance``, is ours.

    Attributes:
      alpha: length of the step, >= 0.
      solver: ``'conjugate_gradients'`` or ``'woodfisher'``.
      damping: added to the Hessian's diagonal, >= 0; as an L2 penalty's coefficient would be.
      max_steps: most products with the Hessian, each a pass over the retain set.
      tolerance: of the solution's residual, relative to v.
      samples: the number that ``'woodfisher'`` divides by; it takes in two examples more.

    Sources: Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML
    2017, arXiv 1703.04730; Izzo et al., "Approximate Data Deletion from Machine Learning Models",
    AISTATS 2021, arXiv 2002.10077; with WoodFisher as in Jia et al., "Model Sparsity Can Simplify
    Machine Unlearning", NeurIPS 2023, arXiv 2304.04934.
    """

    batch_size: int = static(32)
    alpha: float = 1.0
    solver: str = "conjugate_gradients"
    damping: float = 0.1
    max_steps: int = static(50)
    tolerance: float = 1e-3
    samples: int = static(1000)

    search_space: ClassVar = {
        "alpha": SearchRange("log", 0.01, 1000.0),
        "damping": SearchRange("log", 1e-2, 1000.0),
    }
    title = "influence (IU)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha, low=0)
        check_choice("solver", self.solver, SOLVERS)
        check_number("damping", self.damping, low=0)
        check_number("max_steps", self.max_steps, low=1, whole=True)
        check_number("tolerance", self.tolerance, low=0)
        check_number("samples", self.samples, low=1, whole=True)

    def edit(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The weights after the step."""
        del key
        solve = self._woodfisher if self.solver == "woodfisher" else self._conjugate_gradients
        found = solve(problem, self.difference(problem))
        params, _ = split_variables(problem.variables)
        params = jax.tree.map(lambda p, x: p + (self.alpha * x).astype(p.dtype), params, found)
        return with_params(problem.variables, params)

    def difference(self, problem: Problem) -> Any:
        """v: how the gradient of the mean training loss changes without the forget set."""
        sets = [needs_examples(name, getattr(problem, name)) for name in ("forget", "retain")]
        of_forget, of_retain = (
            functional.mean_gradient(
                _loss(problem),
                problem.variables,
                as_rows(examples),
                self.batch_size,
                **over_devices(problem),
            )
            for examples in sets
        )
        forget, retain = (len(examples.label) for examples in sets)
        share = forget / (forget + retain)
        return jax.tree.map(lambda f, r: share * (f - r), of_forget, of_retain)

    def _conjugate_gradients(self, problem: Problem, vector: Any) -> Any:
        """The damped Hessian's inverse times a vector."""
        rows = as_rows(needs_examples("retain", problem.retain))

        def operator(along: Any) -> Any:
            product = functional.hessian_vector_product(
                _loss(problem),
                problem.variables,
                along,
                rows,
                self.batch_size,
                **over_devices(problem),
            )
            return jax.tree.map(lambda p, a: p + self.damping * a, product, along)

        found = functional.conjugate_gradients(
            operator, vector, max_steps=self.max_steps, tolerance=float(self.tolerance)
        )
        if found.indefinite:
            warn_user(
                f"damping={self.damping}: the damped Hessian is not positive; the step is what "
                f"{found.steps - 1} conjugate gradients found before, with {found.residual:.0%} of "
                "v left over; raise the damping"
            )
        return found.x

    def _woodfisher(self, problem: Problem, vector: Any) -> Any:
        """What the released recursion makes of a vector."""
        rows = [x[: self.samples + 2] for x in as_rows(needs_examples("retain", problem.retain))]
        return functional.woodfisher(
            _loss(problem), problem.variables, vector, rows, self.samples, chunk=WOODFISHER_CHUNK
        )


def _loss(problem: Problem) -> EvalLoss:
    return EvalLoss(problem.model, functional.cross_entropy)


influence = constructor(Influence)
