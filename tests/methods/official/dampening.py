"""Selective synaptic dampening, with labels and without."""

import jax
import numpy as np

import jax_unlearn as ju

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
    for found, name in zip(method.importances(problem), ("full", "forget"), strict=True):
        close(found, golden.params(f"importance_{name}_"), name)
    after = method.init(KEY, problem).variables
    close(after, golden.variables("after_"), "after")
    changed = jax.tree.map(lambda a, b: a != b, after["params"], problem.variables["params"])
    chosen = golden.params("selected_")
    assert not any(map(np.any, jax.tree.leaves(jax.tree.map(lambda a, b: a & ~b, changed, chosen))))


@case("others/ssd", "batch", "exact")
def ssd(golden):
    """The released code, and the same with batches of one example."""
    _dampened(golden, ju.ssd)


@case("others/lfssd", "batch", "exact")
def lfssd(golden):
    """The authors' function of the importances, in their SSD."""
    _dampened(golden, ju.lfssd)
