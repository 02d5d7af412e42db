"""Fine-tuning of a part of the network, or after an edit of it: CF-k, EU-k, CT, MSG."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import to_unit
from jax_unlearn.methods.convolutions import smallest_share
from jax_unlearn.methods.train_gradients import add_gradients

from .golden import LAYERS
from .network import network
from .replay import KEY, case, close, replay


def _last_blocks(golden, make, initial):
    """CF-k or EU-k in the forms of SCRUB's two kinds of notebooks and of the authors."""
    # The last block of SCRUB's comparisons: the linear layer is frozen.
    trained = ["/".join(LAYERS[name]) for name in golden["small_trained"].tolist()]
    scrubs = {"blocks": ",".join(trained), "momentum": 0.0}
    if golden.variant == "goel":
        initial = golden.variables("goel_start_") if initial else None
        arguments = {
            "k": golden.number("goel_K"),
            "momentum": golden.number("goel_momentum"),
            "weight_decay": golden.number("goel_weight_decay"),
            "max_norm": golden.number("goel_clip"),
        }
    elif golden.variant == "small_eval":
        decay = {"weight_decay": golden.number("l2_to_start"), "decay_towards": "start"}
        arguments = {**scrubs, **decay, "train_mode": False}
    else:
        arguments = {**scrubs, "weight_decay": 0.0}
    rates = jnp.asarray(golden["lr"])
    method = make(
        learning_rate=1.0,
        # As recorded: theirs restarts a cosine; SCRUB's falls to another method's rate by a slip.
        schedule=lambda step: rates[step],
        epochs=golden.number("epochs"),
        **arguments,
    )
    problem = golden.problem(network(), initial=initial)
    rows = golden.rows("retain", method.epochs)
    # What travels with the tests has not all of it.
    has_losses = "loss" in golden
    losses = golden["loss"] if has_losses else None
    if golden.variant == "small_eval" and has_losses:
        # That one's loss holds the pull to the start, which is part of the optimizer here.
        start = method.init(KEY, problem).variables["params"]
        whole = len(golden.stored) == golden.updates == len(losses)
        strength = golden.number("l2_to_start")
        losses = losses - pulls(golden, start, strength) if whole else None
    replay(golden, method, problem, rows, epochs=method.epochs, losses=losses)


def pulls(golden, start, strength):
    """Half the strength times the squared distance to the start, before each update: [T]."""
    before = [start, *(golden.after(t)["params"] for t in range(golden.updates - 1))]
    squares = (jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), start, now) for now in before)
    return strength / 2 * np.array([sum(jax.tree.leaves(square)) for square in squares])


@case("others/cf_k", "small_eval", "large_train", "goel")
def cf_k(golden):
    """From the original's weights."""
    _last_blocks(golden, ju.cf_k, None)


@case("others/eu_k", "small_eval", "large_train", "goel")
def eu_k(golden):
    """From the initial ones, or with convolutions and linear layers drawn anew."""
    _last_blocks(golden, ju.eu_k, golden.variables("init_"))


@case("others/ct")
def ct(golden):
    """Kernels are transposed, and the rate falls epoch by epoch."""
    method = ju.ct(
        learning_rate=golden.number("lr"),
        momentum=golden.number("momentum"),
        weight_decay=golden.number("weight_decay"),
        epochs=golden.number("epochs"),
    )
    rows = golden.rows("retain", method.epochs)
    problem = golden.problem(network())
    replay(golden, method, problem, rows, epochs=method.epochs, losses=golden["loss"])


def train_loss(model, variables, examples):
    logits, _ = model.apply(variables, to_unit(jnp.asarray(examples.image)), train=True)
    return functional.cross_entropy(logits, jnp.asarray(examples.label)).mean()


@case("others/msg")
def msg(golden):
    """Scores and masks, then descent with scaled gradients from their re-initialised weights."""
    method = ju.msg(
        learning_rate=golden.number("lr"),
        momentum=golden.number("momentum"),
        weight_decay=golden.number("weight_decay"),
        epochs=golden.number("epochs"),
        share=golden.number("init_rate"),
    )
    problem = golden.problem(network())
    examples, _ = golden.examples
    first = len(golden["forget_labels"])
    sets = (
        (golden["snip_retain_sample"] + first, 1.0, int(golden["snip_retain_batch_size"])),
        (golden["forget_batches"].ravel(), -1.0, golden["forget_batches"].shape[1]),
    )
    carry = (jax.tree.map(jnp.zeros_like, problem.variables["params"]), problem.variables)
    losses = []
    for rows, sign, batch_size in sets:
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            chosen = ju.Examples(*(field[part] for field in examples))
            losses.append(sign * train_loss(problem.model, carry[1], chosen))
            carry = add_gradients(problem.model, carry, chosen, sign, batch_size)
    np.testing.assert_allclose(losses, golden["snip_losses"], rtol=1e-9)
    scores, scored = carry
    close(scores, golden.params("snip_grad_"))
    close(scored["batch_stats"], golden.statistics("snip_stats_"))

    mask = jax.tree.map(lambda x: smallest_share(x, method.share), scores)
    for name in ("conv1", "conv2"):
        theirs = golden["mask_" + name] == 1
        np.testing.assert_array_equal(mask[name]["kernel"], theirs)
    state = method.init(KEY, problem)
    state = state._replace(variables=golden.variables("reinit_"), extra=mask)
    rows = golden.rows("retain", method.epochs)
    epochs = method.epochs
    replay(golden, method, problem, rows, state=state, epochs=epochs, losses=golden["loss"])
