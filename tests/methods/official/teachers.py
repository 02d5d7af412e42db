"""Students of one or two teachers."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn import functional

from .network import network
from .replay import case, close, replay

BAD_TEACHER = {
    "T1": {"temperature": 1.0, "reduction": "batch_and_classes"},
    "T2": {"temperature": 2.0, "reduction": "batch_and_classes"},
    "delete_sgd": {"optimizer": "sgd", "reduction": "batch"},
}


@case("others/bad_teacher", *BAD_TEACHER)
def bad_teacher(golden):
    """The authors' mean over examples and classes, and DELETE's over examples alone."""
    sgd = golden.variant == "delete_sgd"
    method = ju.bad_teacher(
        learning_rate=golden.number("delete_sgd_lr" if sgd else "lr"),
        epochs=golden.number("epochs"),
        retain_fraction=1.0,
        **BAD_TEACHER[golden.variant],
    )
    # The network whose fresh weights are the file's random teacher's.
    model = ju.Model(lambda key: golden.variables("bad_"), network().apply)
    forget = golden["is_forget"].astype(bool)
    order = np.concatenate([np.flatnonzero(~forget), np.flatnonzero(forget)])
    retain, forgotten = (examples_of(golden, rows) for rows in np.split(order, [sum(~forget)]))
    classes = len(golden["param_dense_bias"])
    problem = ju.Problem(model, golden.variables(), forgotten, retain, classes, augment=None)
    pool = method.pool(jax.random.key(0), problem)
    rows = np.tile(np.argsort(order)[golden["batches"]], (method.epochs, 1))
    replay(golden, method, problem, rows, pool=pool, epochs=method.epochs, losses=golden["loss"])
    distances_of(golden)


def examples_of(golden, rows):
    """Images alone: what a teacher is asked of does not depend on labels."""
    return ju.Examples(golden["images"][rows], np.zeros(len(rows), np.int32), rows)


def distances_of(golden):
    """The loss alone, of recorded logits."""
    classes = len(golden["param_dense_bias"])
    student, full, bad = (golden[f"loss_{name}_logits"] for name in ("student", "full", "bad"))
    teacher = np.where(golden["loss_is_forget"][:, None] == 1, bad, full)
    for temperature in (1, 2):
        kl = functional.kl_divergence(jnp.asarray(teacher), jnp.asarray(student), temperature)
        close(kl.mean(), golden[f"loss_value_batchmean_T{temperature}"])
        close(kl.mean() / classes, golden[f"loss_value_T{temperature}"])
