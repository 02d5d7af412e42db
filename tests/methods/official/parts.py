"""Fine-tuning of a part of the network, or after an edit of it: CF-k, EU-k, CT, MSG."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn.methods.convolutions import smallest_share
from jax_unlearn.methods.msg import add_scores

from .network import network
from .replay import KEY, case, close, replay


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
    for rows, sign, batch_size in sets:
        chosen = ju.Examples(*(field[rows] for field in examples))
        carry = add_scores(problem.model, carry, chosen, sign, batch_size)
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
