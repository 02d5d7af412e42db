"""Fine-tuning: train on with the retain set and hope that the rest fades."""

import chex

from jax_unlearn.core import RETAIN, Pool, Problem, method, pool_rows, static
from jax_unlearn.methods.descent import Descent


@method
class FineTune(Descent):
    """Minimise cross-entropy on the retain set, from the original weights.

    Defaults are those of Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based
    Weight Saliency in Both Image Classification and Generation", ICLR 2024, arXiv 2310.12508,
    which every method compared there shares but for its rate: SGD, 10 epochs, batches of 256.
    """

    batch_size: int = static(256)

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The retain rows."""
        del key
        return pool_rows(problem.retain, RETAIN, augment=self.augment)


finetune = FineTune
