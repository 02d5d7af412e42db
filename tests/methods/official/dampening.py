"""Selective synaptic dampening, with labels and without."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn import functional

from .network import network
from .replay import KEY, case, close


def _dampened(golden, constructor):
    """Importances, which weights are chosen, and what becomes of them."""
    method = constructor(
        alpha=golden.number("alpha"),
        dampening=golden.number("lambda"),
        importance=golden.variant,
        batch_size=golden.number("batch_full"),
        forget_batch_size=golden.number("batch_forget"),
    )
    problem = golden.problem(network())
    importances = method.importances(problem)
    for found, name in zip(importances, ("full", "forget"), strict=True):
        close(found, golden.params(f"importance_{name}_"), name)
    after = method.init(KEY, problem).variables
    close(after, golden.variables("after_"), "after")
    # Dampened to nothing, what is chosen is 0.
    ones = jax.tree.map(jnp.ones_like, problem.variables["params"])
    gone = functional.dampen(ones, *importances, method.alpha, 0.0)
    chosen = jax.tree.map(lambda weight: weight == 0, gone)
    jax.tree.map(np.testing.assert_array_equal, chosen, golden.params("selected_"))


@case("others/ssd", "batch", "exact")
def ssd(golden):
    """The released code, and the same with batches of one example."""
    _dampened(golden, ju.ssd)


@case("others/lfssd", "batch", "exact")
def lfssd(golden):
    """The authors' function of the importances, in their SSD."""
    _dampened(golden, ju.lfssd)
