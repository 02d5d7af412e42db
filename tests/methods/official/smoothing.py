"""Methods with draws or an order of their own: JiT and SFR-on."""

import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju

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
    close(method.mask(problem), golden.params("mask_"), "mask")
    # The method's own order has the two kinds of step where the file has them.
    pool = golden.pool()
    epochs = range(method.num_epochs)
    rows = np.concatenate([method.batch_indices(KEY, epoch, pool)[:, 0] for epoch in epochs])
    shown = np.asarray(pool.role)[rows]
    np.testing.assert_array_equal(shown == ju.FORGET, golden["is_forget_update"])
    replay(golden, method, problem, golden["index"][: golden.updates], labels=golden["target"])
