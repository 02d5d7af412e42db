"""Ascent on the forget set, alone or paired with descent on the retain set."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju

from .fine_tuning import common
from .network import network
from .replay import case, replay


@case("salun_family/gradient_ascent", "salun")
def gradient_ascent(golden):
    """Train mode; weight decay shrinks weights while the loss rises."""
    method = ju.gradient_ascent(**common(golden))
    ascend(golden, method)


@case("salun_family/gradient_ascent", "sfron")
def gradient_ascent_clipped(golden):
    """Eval mode, the gradient clipped to a norm."""
    method = ju.gradient_ascent(
        **common(golden), max_norm=golden.number("max_norm"), train_mode=False
    )
    ascend(golden, method)


def ascend(golden, method):
    problem = golden.problem(network())
    given = {"labels": golden["target"], "losses": -golden["ce"]}
    replay(golden, method, problem, golden["index"], **given)


def in_turn(retain, forget):
    """Rows as our pairs of batches have them: a retain row, a forget row, and so on."""
    return np.stack([retain, forget], axis=-1).reshape(len(retain), -1)


SMALL = {"train_mode": False, "decay_towards": "start"}
"""What sets the small experiments of NegGrad+ apart."""


@case("salun_family/neggrad_plus", "scrub_notebook")
def neggrad_plus_towards_the_original(golden):
    """Eval mode, pulled towards the original weights by a coefficient within alpha."""
    alpha = golden.number("alpha")
    decay = alpha * golden.number("l2_to_start")
    options = {"alpha": alpha, "weight_decay": decay, **SMALL}
    pairs(golden, ju.neggrad_plus(**common(golden, **options)))


@case("salun_family/neggrad_plus", "scrub_loops_train_mode")
def neggrad_plus_in_train_mode(golden):
    """Two forward passes, whose batch statistics are their own."""
    pairs(golden, ju.neggrad_plus(**common(golden, alpha=golden.number("alpha"))))


def pairs(golden, method):
    rows = in_turn(golden["index"][:, 0], golden["index"][:, 1])
    retain, forget = golden["ce"].T
    reports = {
        "retain_loss": retain,
        "forget_loss": forget,
        "loss": method.alpha * retain - (1 - method.alpha) * forget,
    }
    labels = in_turn(golden["target"][:, 0], golden["target"][:, 1])
    replay(golden, method, golden.problem(network()), rows, labels=labels, reports=reports)


@case("others/neggrad_plus", "small_eval")
def neggrad_plus_small(golden):
    """The same two forms, of another state; here the loss holds the pull, too."""
    alpha, strength = golden.number("alpha"), golden.number("l2_to_start")
    method = ju.neggrad_plus(**rates(golden), weight_decay=alpha * strength, **SMALL)
    states = [golden.params("")] + [golden.params("after_", t) for t in range(golden.updates - 1)]
    pull = [alpha * strength / 2 * squared_distance(state, states[0]) for state in states]
    zipped(golden, method, golden["loss"] - np.asarray(pull))


@case("others/neggrad_plus", "large_train")
def neggrad_plus_large(golden):
    """Train mode, without momentum or decay."""
    zipped(golden, ju.neggrad_plus(**rates(golden), weight_decay=0.0), golden["loss"])


def rates(golden):
    names = {"alpha": "alpha", "learning_rate": "lr", "momentum": "momentum"}
    return {ours: golden.number(theirs) for ours, theirs in names.items()}


def squared_distance(a, b):
    return sum(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum((x - y) ** 2), a, b)))


def zipped(golden, method, losses):
    retain = golden.rows("retain")[golden["step_retain_batch"]]
    forget = golden.rows("forget")[golden["step_forget_batch"]]
    problem = golden.problem(network())
    replay(golden, method, problem, in_turn(retain, forget), losses=losses)


UGRADSL = {
    "ugradsl_eval": (ju.ugradsl, {"train_mode": False}),
    "ugradsl_plus_eval": (ju.ugradsl_plus, {"train_mode": False}),
    "ugradsl_plus_eval_positive": (ju.ugradsl_plus, {"train_mode": False}),
    "ugradsl_plus_train_separate": (ju.ugradsl_plus, {}),
    "ugradsl_plus_train_joint": (ju.ugradsl_plus, {"passes": "joint"}),
}


@case("salun_family/ugradsl", *UGRADSL)
def ugradsl(golden):
    """Written from the paper's equation, with means in place of its sums."""
    constructor, options = UGRADSL[golden.variant]
    method = constructor(
        **common(golden),
        retain_weight=golden.number("p"),
        smoothing=golden.number("smooth_rate"),
        **options,
    )
    reports = {
        "loss": golden["loss"],
        "retain_loss": golden["loss_retain"],
        "forget_loss": golden["loss_forget_smoothed"],
    }
    rows = in_turn(golden["rows_retain"], golden["rows_forget"])
    replay(golden, method, golden.problem(network()), rows, reports=reports)
