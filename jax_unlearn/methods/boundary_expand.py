"""Boundary Expand: teach the forget set a class of its own, then take that class away."""

from collections.abc import Mapping, Sequence
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
    split_variables,
    static,
    with_params,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, DescentState, Forward
from jax_unlearn.methods.extra_output import (
    draw_uniform,
    draw_xavier,
    extended_logits,
    new_output,
)
from jax_unlearn.methods.last_layer import last_linear_layer

DRAWS = {"xavier": draw_xavier, "uniform": draw_uniform}


class BoundaryExpand(Descent):
    """Train the forget set, alone, towards an output more than the network has; then drop it.

    What is trained is the whole network and the new output's weights; the unlearned network has its
    old outputs. SalUn's release keeps the new one when it is evaluated, so that the forget accuracy
    falls merely because the new class wins: that is not imitated. The first release makes its first
    update in eval mode, since it calls the network before it switches; nor is that.

    Attributes:
      new_weights: how the new output's weights are drawn: ``'xavier'`` normal without a bias, as in
        the first release, or ``'uniform'`` as PyTorch draws a linear layer, as in SalUn's.
      last_layer: name or path of the last linear layer in the tree of parameters, such as
        ``'fc'``; '' finds it.

    Source: Chen et al., "Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the
    Decision Boundary", CVPR 2023, arXiv 2303.11570.
    """

    batch_size: int = static(64)
    learning_rate: float = 1e-5
    weight_decay: float = 0.0
    augment: bool = False
    new_weights: str = "xavier"
    last_layer: str = ""

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-6, 3e-1),
        "epochs": SearchRange("int", 1, 30),
    }
    title = "Boundary Expand"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("new_weights", self.new_weights, tuple(DRAWS))

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """Raise InputError where the last linear layer cannot be told."""
        super().check(problem, exact=exact)
        last_linear_layer(problem, self.last_layer, argument="last_layer=''")

    def start(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The network's weights, with those of the new output beside them."""
        reinit_key, output_key = jax.random.split(key)
        variables = super().start(reinit_key, problem)
        output = new_output(output_key, problem, self.last_layer, DRAWS[self.new_weights])
        both = {"network": split_variables(variables)[0], "output": output}
        return with_params(variables, both)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean cross-entropy with the new class."""
        del extra, info
        variables, both = forward.variables, forward.params

        def logits_fn(params: Any) -> tuple[jax.Array, Variables]:
            network = Forward(
                forward.model,
                with_params(variables, params),
                train=forward.train,
                key=forward.key,
            )
            return network(batch), split_variables(network.variables)[1]

        logits, rest = extended_logits(logits_fn, both["network"], both["output"])
        forward.variables = {**variables, **rest} if rest else variables
        labels = jnp.full(batch.label.shape, logits.shape[1] - 1, batch.label.dtype)
        losses = functional.cross_entropy(logits, labels)
        return functional.weighted_mean(losses, batch.weight), {}

    def finish(self, state: DescentState, history: Sequence[Mapping[str, float]]) -> Variables:
        """The network with its old outputs."""
        del history
        trained, _ = split_variables(state.variables)
        return with_params(state.variables, trained["network"])


boundary_expand = constructor(BoundaryExpand)
