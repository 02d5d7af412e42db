"""Random labels on the forget set: in their several forms, and masked by saliency."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn.methods import SalUn

from .fine_tuning import common, recorded_rates
from .network import network
from .replay import case, close, replay

# Labels come as recorded, so that none is drawn on the way.
RECORDED = {"relabel": "once"}


def relabel(golden, method, problem=None, **options):
    problem = golden.problem(network()) if problem is None else problem
    given = {"labels": golden["target"], "losses": golden["ce"], "epochs": golden.number("epochs")}
    replay(golden, method, problem, golden["index"], **{**given, **options})


@case("salun_family/random_label", "salun_cifar10", "salun_cifar100")
def random_label(golden):
    """Two passes an epoch, or one over both sets."""
    relabel(golden, ju.random_label(**common(golden), **RECORDED))


@case("salun_family/random_label", "sfron")
def random_label_once(golden):
    """Wrong labels, drawn once, at a rate that falls epoch by epoch."""
    method = ju.random_label(
        **common(golden), schedule="cosine_by_epoch", labels="wrong", stream="shuffled", **RECORDED
    )
    problem = golden.problem(network())
    pool = method.pool(jax.random.key(0), problem)
    examples, forget = golden.examples
    assert np.all(pool.label[pool.role == ju.FORGET] != examples.label[forget])
    assert np.all(golden["forget_labels_drawn"] != examples.label[forget])
    relabelled = np.copy(examples.label)
    relabelled[forget] = golden["forget_labels_drawn"]
    relabel(golden, method, problem, labels=None, pool=golden.pool(relabelled))


@case("salun_family/amun_baselines", "rl_with_remain")
def random_label_in_amun(golden):
    """Wrong labels, drawn at every access; a tenth of the rate in the second epoch."""
    relabel(golden, ju.random_label(**common(golden), schedule=recorded_rates(golden), **RECORDED))


@case("others/amnesiac")
def amnesiac(golden):
    """Adam at a constant rate over one shuffled stream."""
    method = ju.amnesiac(
        learning_rate=golden.number("lr"), weight_decay=0.0, optimizer="adam", schedule="constant"
    )
    rows = golden["epoch_orders"].reshape(-1, golden.number("batch"))
    pool = golden.pool(golden["pool_labels"])
    epochs = golden.number("epochs")
    problem = golden.problem(network())
    replay(golden, method, problem, rows, pool=pool, epochs=epochs, losses=golden["loss"])


# --- SalUn ---


def forgetting(golden, rows):
    """The problem in which the rows are the forget set."""
    examples, _ = golden.examples
    chosen = ju.Examples(*(x[np.asarray(rows)] for x in examples))
    return golden.problem(network(), forget=chosen)


def same_mask(ours, theirs):
    close(jax.tree.map(lambda x: x.astype(int), ours), theirs)


def halves(tree):
    return jax.tree.map(lambda x: x / 2, tree)


@case("salun_family/salun", "release_2026", "release_old")
def salun(golden):
    """The mask from all forget rows in batches of 4 and 3; updates on four of them."""
    masking = {"release_2026": "update", "release_old": "gradient"}[golden.variant]
    method = ju.salun(
        **common(golden),
        keep=golden.number("mask_share"),
        masking=masking,
        batch_size=4,
        **RECORDED,
    )
    problem = golden.problem(network())
    for batch_size in (4, 7):
        for keep in (0.1, 0.3, 0.5, 0.9, 1.0):
            ours = ju.salun(keep=keep, batch_size=batch_size).extra(None, problem)
            same_mask(ours, golden.params(f"mask_batch{batch_size}_share{keep}_"))
    # Theirs is the sum over both batches of the forget set.
    if "saliency_batch4_conv1" in golden:
        close(method.saliency(problem), halves(golden.params("saliency_batch4_")), "saliency")
    relabel(golden, method, problem)


@case("salun_family/salun", "sfron")
def salun_in_sfron(golden):
    """Wrong labels, drawn once, in one stream, the gradient masked; the mask from the same rows."""
    method = ju.salun(
        **common(golden),
        keep=golden.number("mask_share"),
        masking="gradient",
        batch_size=4,
        labels="wrong",
        stream="shuffled",
        **RECORDED,
    )
    problem = forgetting(golden, golden["rows_forget_run"])
    same_mask(method.extra(None, problem), golden.params("mask_"))
    relabel(golden, method, problem)


class AsReleased(SalUn):
    """Counts as the release does: the steps on retain rows, from 0, and 1 for all before them.

    Attributes:
      forget_steps: how many steps come before those.
    """

    forget_steps: int = 1

    def returning(self, info):
        done = jnp.maximum(info.step - self.forget_steps, 0) + 1
        return (1 - self.keep) * (1 - done / info.steps)


@case("salun_family/salun", "proximal")
def salun_proximal(golden):
    """Without a mask, all weights pulled back after each step of the one epoch."""
    forget = golden.examples[1]
    method = AsReleased(
        **common(golden),
        keep=1 - golden.number("mask_ratio"),
        masking="proximal",
        forget_steps=int(np.sum(forget[golden["index"][:, 0]])),
        **RECORDED,
    )
    relabel(golden, method)
