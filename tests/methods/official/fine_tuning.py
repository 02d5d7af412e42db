"""Descent on the retain set: fine-tuning and l1-sparse."""

import jax.numpy as jnp

import jax_unlearn as ju

from .network import network
from .replay import case, not_offered, replay


def common(golden, **options):
    """The hyperparameters that all files of the family name alike."""
    names = ("learning_rate", "momentum", "weight_decay")
    return {**{name: golden.number(name) for name in names}, **options}


def recorded_rates(golden):
    """A schedule of one's own, that of the file."""
    shares = jnp.asarray(golden["lr"] / golden.number("learning_rate"))
    return lambda step: shares[step]


def finetune_as(golden, method):
    problem = golden.problem(network())
    given = {"labels": golden["target"], "losses": golden["ce"], "epochs": golden.number("epochs")}
    return replay(golden, method, problem, golden["index"], **given)


@case("salun_family/finetune", "salun")
def finetune(golden):
    """The common form: SGD with momentum and weight decay, train mode."""
    finetune_as(golden, ju.finetune(**common(golden)))


@case("salun_family/finetune", "salun_milestone")
def finetune_with_a_milestone(golden):
    """A tenth of the rate from the second epoch on."""
    finetune_as(golden, ju.finetune(**common(golden), schedule=recorded_rates(golden)))


@case("salun_family/finetune", "sfron")
def finetune_by_cosine_in_sfron(golden):
    """The rate falls epoch by epoch."""
    finetune_as(golden, ju.finetune(**common(golden), schedule="cosine_by_epoch"))


@case("salun_family/finetune", "scrub")
def finetune_towards_the_original(golden):
    """In eval mode, pulled towards the original weights."""
    options = {"weight_decay": golden.number("l2_to_start"), "decay_towards": "start"}
    finetune_as(golden, ju.finetune(**common(golden, **options), train_mode=False))


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
    losses = golden["loss"]
    problem = golden.problem(network())
    replay(golden, method, problem, rows, epochs=method.epochs, losses=losses)


@case("salun_family/l1_sparse", "salun", "salun_no_l1_1", "sparse")
def l1_sparse(golden):
    """The penalty falls by epochs, to zero where the last ones are to have none."""
    numbers = {name: golden.number(name) for name in ("alpha", "epochs", "no_l1_epochs")}
    method = ju.l1_sparse(**common(golden), **numbers)
    given = {"epochs": method.epochs, "reports": {"retain_loss": golden["ce"]}}
    replay(golden, method, golden.problem(network()), golden["index"], **given)


not_offered(
    "salun_family/l1_sparse",
    "sparse_all_no_l1",
    "a slip: with as many epochs without a penalty as there are epochs, all of them have it whole",
)
