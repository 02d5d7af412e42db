"""CF-k: fine-tune the last k blocks on the retain set, and hope that they forget."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import optax

from jax_unlearn.core import (
    RETAIN,
    Batch,
    Problem,
    SearchRange,
    StepInfo,
    check_number,
    static,
    with_params,
)
from jax_unlearn.methods.blocks import last_blocks
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, Forward, needs_examples
from jax_unlearn.methods.gradients import clip_to_norm
from jax_unlearn.methods.last_layer import one_image, scale_outside


class CFk(Descent):
    """Minimise cross-entropy on the retain set over the last ``k`` blocks; the others stay.

    All weights before them keep their values bit for bit, weight decay included, and no gradient
    is computed for them. In train mode the running statistics of BatchNorm move everywhere, those
    of frozen blocks included, as in both released codes.

    Which parameters make up a block is said in :func:`jax_unlearn.methods.blocks.network_blocks`;
    ``blocks`` names others. The default of 2 is the last residual block and the linear layer, as in
    Deep Unlearn (arXiv 2410.01276). The other codes differ. The authors' counts convolutions and
    linear layers one by one (which is the same on networks without residual blocks), clips
    gradients (``max_norm``) and restarts a cosine schedule after 1, 3, 7, ... epochs. SCRUB's
    comparisons train the last stage alone, with a frozen linear layer
    (``blocks='layer4_0,layer4_1'``), without momentum; in two notebooks in eval mode with a pull to
    the start (``decay_towards='start'``). Rate and number of epochs are theirs.

    Attributes:
      k: number of blocks, counted from the network's end, >= 1.
      blocks: names or paths of parameters to train in their place, with commas between them; ''
        for none.
      max_norm: to which gradients of the trained weights are scaled down, > 0; None for no limit.

    Source: Goel et al., "Towards Adversarial Evaluations for Inexact Machine Unlearning", 2022,
    arXiv 2201.06640.
    """

    k: int = static(2)
    blocks: str = ""
    max_norm: float | None = None

    roles = (RETAIN,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-4, 3.0),
        "weight_decay": SearchRange("log", 1e-5, 1e-1),
    }
    title = "CF-k"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("k", self.k, low=1, whole=True)
        if self.max_norm is not None:
            check_number("max_norm", self.max_norm, above=0)

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """The network must have as many blocks, and what is named."""
        super().check(problem, exact=exact)
        self.trained(problem)

    def trained(self, problem: Problem) -> Any:
        """Which parameters are trained: a pytree of Python's bool like them."""
        variables = problem.variables
        if variables is None:
            variables = jax.eval_shape(problem.model.init, jax.random.key(0))
        image = one_image(needs_examples("retain", problem.retain).image)
        return last_blocks(problem.model, variables, image, self.k, self.blocks)

    def extra(self, key: chex.PRNGKey, problem: Problem) -> Any:
        """Which parameters are trained: a pytree of bool like them."""
        del key
        return jax.tree.map(jnp.asarray, self.trained(problem))

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean cross-entropy, of which the frozen blocks have no gradient."""
        image = one_image(batch.image)
        trained = last_blocks(forward.model, forward.variables, image, self.k, self.blocks)
        params = jax.tree.map(
            lambda t, x: x if t else jax.lax.stop_gradient(x), trained, forward.params
        )
        forward.variables = with_params(forward.variables, params)
        return super().loss(forward, batch, extra, info)

    def transform(
        self, optimizer: optax.GradientTransformation, extra: Any
    ) -> optax.GradientTransformation:
        """Frozen blocks are spared what is no gradient, such as weight decay."""

        def update(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
            del params
            return scale_outside(extra, 0, updates)

        return optax.chain(clip_to_norm(self.max_norm), optimizer, optax.stateless(update))


cf_k = constructor(CFk)
