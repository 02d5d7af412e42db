"""Fisher forgetting: noise for the weights that the retain set does not need."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

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
from jax_unlearn.methods.last_layer import last_linear_layer
from jax_unlearn.methods.output_axes import output_axes, outputs_last

FISHERS = ("expected", "expected_batch", "empirical")


class FisherForgetting(Edit):
    """Add Gaussian noise, the more the less Fisher information a weight has on the retain set.

    A weight is drawn once from a normal distribution about its value, of variance alpha / F within
    bounds (:func:`jax_unlearn.functional.scrubbing_noise`). Where whole classes are forgotten (the
    retain set has none of their labels), their own weights in the last linear layer are drawn about
    0. All in eval mode; BatchNorm's running statistics stay.

    Published forms of F differ:

    - ``fisher='expected'`` (default), the authors' own code: the mean over examples of
      sum_c p(c) * (d log p(c))^2. (The paper's theorem has F^(-1/4) as deviation, the code
      F^(-1/2).)
    - ``'expected_batch'``, the code behind the tables of Unlearn-Sparse and SalUn: the same of
      batches of ``batch_size``, whose mean gradients and mean probabilities stand for an example's,
      and a last batch of few rows counts as a full one.
    - ``'empirical'``, an older function of the same code: the mean square of 1e-8 plus the
      gradient of log p(label), and deviations of at most 1e-3, ten times as much in the last bias
      where there are ten classes; no rule for classes.

    The released code applies the rule for a class only at 4,500 or 450 forgotten examples, and
    takes every parameter with K outputs for one of the last linear layer.

    Attributes:
      alpha: strength of the noise, >= 0: a variance per unit of F. Published: 1e-6.
      fisher: ``'expected'``, ``'expected_batch'`` or ``'empirical'``.
      batch_size: of ``'expected_batch'``.
      last_layer: name or path of the last linear layer in the tree of parameters, such as
        ``'fc'``; '' finds it.

    Source: Golatkar, Achille, Soatto, "Eternal Sunshine of the Spotless Net: Selective Forgetting
    in Deep Networks", CVPR 2020, arXiv 1911.04933.
    """

    batch_size: int = static(32)
    alpha: float = 1e-6
    fisher: str = "expected"
    last_layer: str = ""

    search_space: ClassVar = {"alpha": SearchRange("log", 1e-10, 1e-3)}
    title = "Fisher forgetting"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha, low=0)
        check_choice("fisher", self.fisher, FISHERS)

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """Raise InputError where the last linear layer cannot be told."""
        super().check(problem, exact=exact)
        last_linear_layer(problem, self.last_layer)

    def edit(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The weights, drawn anew."""
        normal = self.normal(key, problem)
        params = self.distribution(problem, self.information(problem)).at(normal)
        return with_params(problem.variables, params)

    def normal(self, key: chex.PRNGKey, problem: Problem) -> Any:
        """Standard normal numbers, one for each weight."""
        params, _ = split_variables(problem.variables)
        leaves, structure = jax.tree.flatten(params)
        keys = jax.random.split(key, len(leaves))
        draws = [
            jax.random.normal(k, x.shape, jnp.promote_types(x.dtype, jnp.float32))
            for k, x in zip(keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, draws)

    def information(self, problem: Problem) -> Any:
        """F of each weight on the retain set."""
        images, labels = as_rows(needs_examples("retain", problem.retain))
        options = over_devices(problem)
        if self.fisher == "empirical":
            loss = EvalLoss(problem.model, functional.cross_entropy)
            return functional.exact_importance(
                loss, problem.variables, (images, labels), measure=_offset_square, **options
            )
        return functional.fisher_information(
            EvalLoss(problem.model, _logits),
            problem.variables,
            (images,),
            problem.num_classes,
            batch_size=self.batch_size if self.fisher == "expected_batch" else None,
            **options,
        )

    def distribution(self, problem: Problem, fisher: Any) -> functional.Gaussian:
        """What the weights are drawn from."""
        params, _ = split_variables(problem.variables)
        if self.fisher == "empirical":
            return functional.bounded_noise(params, fisher, problem.num_classes, self.alpha)
        head = last_linear_layer(problem, self.last_layer)
        classes = forgotten_classes(problem)
        axes = output_axes(problem, head)
        params, fisher = (outputs_last(axes, tree) for tree in (params, fisher))
        found = functional.scrubbing_noise(params, fisher, head, self.alpha, classes)
        return functional.Gaussian(*(outputs_last(axes, tree, back=True) for tree in found))


def forgotten_classes(problem: Problem) -> list[int]:
    """The classes of which no example is retained, where the forget set holds nothing else."""
    forget, retain = (
        np.unique(needs_examples(name, getattr(problem, name)).label)
        for name in ("forget", "retain")
    )
    return [] if np.isin(forget, retain).any() else forget.tolist()


def _logits(logits: jax.Array) -> jax.Array:
    return logits


def _offset_square(gradient: jax.Array) -> jax.Array:
    # 1e-8 is added to the derivative of log p, which is minus cross-entropy's.
    return jnp.square(gradient - 1e-8)


fisher_forgetting = constructor(FisherForgetting)
