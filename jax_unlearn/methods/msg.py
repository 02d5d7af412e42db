"""MSG: re-initialise what matters to neither set more than the other, then fine-tune."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import optax

from jax_unlearn.core import (
    RETAIN,
    Problem,
    SearchRange,
    Variables,
    check_number,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.data.dataset import take
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.convolutions import check_convolutions, redraw_kernels, smallest_share
from jax_unlearn.methods.descent import Descent, DescentState, Schedule, needs_examples
from jax_unlearn.methods.train_gradients import add_gradients


class MSG(Descent):
    """Mask by small gradients: draw such weights of convolutions anew, and slow the others down.

    The score of a weight is the gradient of the cross-entropy on a random retain sample as large as
    the forget set, minus that on the forget set. In each convolution the ``share`` of weights with
    the smallest absolute score is drawn anew (normal, variance 2 / fan out). Then the network is
    fine-tuned on the retain set; gradients of all other weights of convolutions are multiplied by
    ``scale`` (weight decay is not). The second place of the NeurIPS 2023 unlearning competition.

    As there, gradients are summed over batches of the mean loss, in train mode, so that scoring
    moves running statistics. Two slips are not imitated: sets cut into batches of different sizes
    weigh differently there, and biases of convolutions are drawn anew, too.

    Attributes:
      share: of each convolution's weights that are drawn anew, in [0, 1].
      scale: of the gradients of the others, >= 0.

    Source: Cadet et al., "Deep Unlearn: Benchmarking Machine Unlearning", 2024, arXiv 2410.01276,
    whose code holds the submission; Triantafillou et al., "Are we making progress in unlearning?
    Findings from the first NeurIPS unlearning competition", 2024, arXiv 2406.09073.
    """

    epochs: int = 5
    batch_size: int = static(64)
    learning_rate: float = 1e-3
    schedule: str | Schedule = "triangle_by_epoch"
    share: float = 0.3
    scale: float = 0.1

    roles = (RETAIN,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-4, 3.0),
        "share": SearchRange("float", 0.0, 1.0),
    }
    title = "MSG"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("share", self.share, low=0, high=1)
        check_number("scale", self.scale, low=0)

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """The network must have convolutions."""
        super().check(problem, exact=exact)
        check_convolutions("MSG", problem)

    def init(self, key: chex.PRNGKey, problem: Problem) -> DescentState:
        """The original with weights drawn anew; ``extra`` marks them, and all outside kernels."""
        start_key, sample_key, draw_key = jax.random.split(key, 3)
        state = super().init(start_key, problem)
        scores, variables = self._score(sample_key, problem, state.variables)
        mask = jax.tree.map(lambda x: smallest_share(x, self.share), scores)
        params = redraw_kernels(draw_key, mask, split_variables(variables)[0])
        return state._replace(variables=with_params(variables, params), extra=mask)

    def _score(
        self, key: chex.PRNGKey, problem: Problem, variables: Variables
    ) -> tuple[Any, Variables]:
        forget = needs_examples("forget", problem.forget)
        retain = needs_examples("retain", problem.retain)
        rows = jax.random.permutation(key, len(retain.label))[: len(forget.label)]
        carry = (jax.tree.map(jnp.zeros_like, split_variables(variables)[0]), variables)
        sets = ((take(retain, jax.device_get(rows)), 1.0), (forget, -1.0))
        # The permutation has split 0 and 1 off the key.
        for number, (examples, sign) in enumerate(sets, start=2):
            drawn = jax.random.fold_in(key, number)
            carry = add_gradients(problem.model, carry, examples, sign, self.batch_size, key=drawn)
        return carry

    def transform(
        self, optimizer: optax.GradientTransformation, extra: Any
    ) -> optax.GradientTransformation:
        """Gradients of what is not marked are scaled down."""

        def update(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
            del params
            return jax.tree.map(lambda m, g: jnp.where(m, g, self.scale * g), extra, updates)

        return optax.chain(optax.stateless(update), optimizer)


msg = constructor(MSG)
