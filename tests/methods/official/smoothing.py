"""Methods with draws or an order of their own: JiT and SFR-on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.methods.edit import EvalLoss

from .network import network
from .replay import KEY, case, close, replay


def _just_in_time(golden, **options):
    class Recorded(ju.methods.JiT):
        def noise(self, batch, info):
            return jnp.moveaxis(jnp.asarray(golden["noise_standard_normal"])[info.step], 0, 1)

    method = Recorded(
        learning_rate=golden.number("lr"),
        sigma=golden.number("sigma"),
        samples=golden.number("n_samples"),
        # The file's images are as the network sees them.
        input_scale=1.0,
        **options,
    )
    rows = golden.rows("forget")
    replay(golden, method, golden.problem(network()), rows, losses=golden["loss"])


@case("others/jit", "train", "eval")
def jit_of_the_released_code(golden):
    """Gradients that are never zeroed add up, as with a momentum of 1."""
    _just_in_time(golden, momentum=1.0, train_mode=golden.variant == "train")


@case("others/jit_corrected", "eval_sum", "eval_mean", "eval_mean_both", "eval_mean_noclamp")
def jit(golden):
    """A gradient of its own for every batch."""
    words = golden.variant.split("_")
    _just_in_time(
        golden,
        reduction=words[1],
        gradient="both" if "both" in words else "clean",
        clip="noclamp" not in words,
    )


@case("salun_family/sfr_on", "default_ema1", "ema09", "no_clip")
def sfr_on(golden):
    """The mask, and then steps of both kinds."""
    method = ju.sfr_on(
        learning_rate=golden.number("learning_rate"),
        momentum=golden.number("momentum"),
        weight_decay=golden.number("weight_decay"),
        iterations=golden.number("n_iters"),
        forget_every=golden.number("forget_freq"),
        alpha=golden.number("forget_alpha"),
        focus=golden.number("lambd"),
        threshold=golden.number("threshold"),
        max_norm=golden.number("max_norm"),
        average=golden.number("ema_beta"),
        batch_size=golden.number("batch_size"),
    )
    problem = golden.problem(network())
    same_fisher(method, problem, golden, "")
    same_fisher(dataclasses.replace(method, batch_size=5), problem, golden, "batch5_")
    # The method's own order has the two kinds of step where the file has them.
    pool = golden.pool()
    epochs = range(method.num_epochs)
    rows = np.concatenate([method.batch_indices(KEY, epoch, pool)[:, 0] for epoch in epochs])
    shown = np.asarray(pool.role)[rows]
    np.testing.assert_array_equal(shown == ju.FORGET, golden["is_forget_update"])
    rows, labels = golden["index"][: golden.updates], golden["target"]
    replay(golden, method, problem, rows, labels=labels, losses=losses_of_both_kinds(golden))


def same_fisher(method, problem, golden, size):
    """The Fisher information of both sets, from batches of one size, and the mask that it makes."""
    examples, forget = golden.examples
    # The same for all variants, which begin with the same weights, and stored once.
    stored = golden.shared("default_ema1")
    loss = EvalLoss(problem.model, functional.cross_entropy)
    for name, chosen in (("forget", forget), ("remain", ~forget)):
        rows = (examples.image[chosen], examples.label[chosen])
        if f"fisher_{name}_{size}conv1" not in stored:
            # What travels with the tests has not all of it.
            continue
        fisher = functional.batch_importance(loss, problem.variables, rows, method.batch_size)
        close(fisher, stored.params(f"fisher_{name}_{size}"), f"Fisher information of {name}")
    if f"mask_{size}conv1" in golden:
        close(method.mask(problem), golden.params(f"mask_{size}"), "mask")


def losses_of_both_kinds(golden):
    """Cross-entropy of retain rows; of forget rows its weighted sum, times minus alpha."""
    if "adaptive_weight" not in golden or "logits" not in golden:
        return None
    losses, iteration = golden["ce"].copy(), 0
    every = golden.number("forget_freq")
    for update in np.flatnonzero(golden["is_forget_update"]):
        log_probability = jax.nn.log_softmax(golden["logits"][update])
        each = -np.take_along_axis(log_probability, golden["target"][update][:, None], 1)[:, 0]
        weighted = np.sum(golden["adaptive_weight"][update] * each)
        losses[update] = -golden["alpha_t"][iteration] * weighted
        iteration += every
    return losses
