"""Edits that rest on Fisher information or the Hessian: Fisher forgetting and influence."""

import dataclasses

import jax
import jax.numpy as jnp

import jax_unlearn as ju

from .network import network
from .replay import KEY, case, close

FISHERS = {"fisher": "empirical", "new": "expected_batch", "notebook": "expected"}


def _fisher_forgetting(golden, problem):
    base = golden.variant.removesuffix("_class")
    given = golden.shared(base)

    class Recorded(ju.methods.FisherForgetting):
        def normal(self, key, problem):
            return given.params("normal_")

    method = Recorded(alpha=golden.number("alpha"), fisher=FISHERS[base])
    if method.fisher == "expected_batch":
        method = dataclasses.replace(method, batch_size=golden.number("batch_size_inside"))
    fisher = method.information(problem)
    close(fisher, given.params("fisher_"), "F")
    if base != "fisher":
        mean, variance = method.distribution(problem, fisher)
        close(mean, golden.params("mu_"), "mean")
        close(variance, golden.params("var_"), "variance")
    close(method.init(KEY, problem).variables["params"], golden.params("after_"), "after")


@case("salun_family/fisher_forgetting", "fisher", "new", "notebook")
def fisher_forgetting(golden):
    """Three forms of Fisher information; examples of all classes stay."""
    _fisher_forgetting(golden, golden.problem(network(len(golden["param_dense_bias"]))))


@case("salun_family/fisher_forgetting", "new_class", "notebook_class")
def fisher_forgetting_of_a_class(golden):
    """The rule for a class, which does not look at the labels of what stays."""
    forgotten = golden.number("class_to_replace")
    problem = golden.problem(network(len(golden["param_dense_bias"])))
    forget = problem.forget._replace(label=jnp.full_like(problem.forget.label, forgotten))
    other = (forgotten + 1) % problem.num_classes
    retain = problem.retain._replace(label=jnp.full_like(problem.retain.label, other))
    _fisher_forgetting(golden, dataclasses.replace(problem, forget=forget, retain=retain))


@case("salun_family/influence", "salun", "sparse")
def influence(golden):
    """The released recursion; both copies of the code are one."""
    method = ju.influence(
        alpha=golden.number("alpha"), solver="woodfisher", samples=golden.number("N")
    )
    problem = golden.problem(network())
    close(method.difference(problem), golden.params("v_"), "v")
    after = method.init(KEY, problem).variables["params"]
    close(after, golden.params("after_"), "after")
    moved = jax.tree.map(lambda a, b: (a - b) / method.alpha, after, problem.variables["params"])
    close(moved, golden.params("perturb_"), "step")
