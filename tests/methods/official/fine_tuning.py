"""Descent on the retain set."""

import jax_unlearn as ju

from .network import network
from .replay import case, replay


@case("salun_family/finetune", "salun")
def finetune(golden):
    """The common form: SGD with momentum and weight decay, train mode."""
    method = ju.finetune(
        learning_rate=golden.number("learning_rate"),
        momentum=golden.number("momentum"),
        weight_decay=golden.number("weight_decay"),
        epochs=golden.number("epochs"),
    )
    problem = golden.problem(network())
    replay(golden, method, problem, golden["index"], labels=golden["target"], losses=golden["ce"])


@case("others/finetune_kit")
def finetune_by_cosine(golden):
    """The rate falls epoch by epoch."""
    method = ju.finetune(
        learning_rate=golden.number("lr"),
        momentum=golden.number("momentum"),
        weight_decay=golden.number("weight_decay"),
        epochs=golden.number("epochs"),
        schedule="cosine_by_epoch",
    )
    rows = golden.rows("retain", method.epochs)
    replay(golden, method, golden.problem(network()), rows, epochs=method.epochs)
