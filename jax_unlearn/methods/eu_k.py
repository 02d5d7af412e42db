"""EU-k: train the last k blocks anew on the retain set."""

import chex
import jax

from jax_unlearn.core import Problem, Variables, split_variables, with_params
from jax_unlearn.methods.cf_k import CFk
from jax_unlearn.methods.constructors import constructor


class EUk(CFk):
    """CF-k from re-initialised blocks: what these have learned of the forget set is gone.

    The last ``k`` blocks start from the original's initial weights, as retraining does, or from
    fresh ones where these are not known. The authors' code draws convolutions and linear layers
    anew but leaves scale and bias of a trained BatchNorm at the original's values, which were
    learned from the forget set, too; here the whole block starts anew. Running statistics are left
    to train mode, which replaces them, in both.

    Source: Goel et al., "Towards Adversarial Evaluations for Inexact Machine Unlearning", 2022,
    arXiv 2201.06640.
    """

    title = "EU-k"

    def start(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The original, its last blocks re-initialised."""
        initial = problem.model.init(key) if problem.initial is None else problem.initial
        fresh, old = (split_variables(v)[0] for v in (initial, super().start(key, problem)))
        params = jax.tree.map(lambda t, f, o: f if t else o, self.trained(problem), fresh, old)
        return with_params(problem.variables, params)


eu_k = constructor(EUk)
