"""Methods whose teacher is the original: SCRUB with and without rewinding, DELETE."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import to_unit
from jax_unlearn.methods.scrub_r import rewind_to

from .network import network
from .replay import case, close, replay


@case("others/delete", "bn_train", "bn_eval")
def delete(golden):
    """With BatchNorm in train mode and in eval mode."""
    method = ju.delete(
        learning_rate=golden.number("lr"),
        momentum=golden.number("momentum"),
        weight_decay=golden.number("weight_decay"),
        epochs=golden.number("epochs"),
        train_mode=golden.variant == "bn_train",
    )
    problem = golden.problem(network(), retain=None)
    rows = golden.rows("forget", method.epochs)
    replay(golden, method, problem, rows, epochs=method.epochs, losses=golden["loss"])


@case("others/scrub")
def scrub(golden):
    """Both kinds of passes, the rate's falls, errors epoch by epoch, and the rewinding."""
    validation = ju.Examples(
        golden["val_images"],
        golden["val_labels"],
        np.arange(len(golden["val_labels"])) + len(golden.examples[1]),
    )
    problem = golden.problem(network(), validation=validation)
    method = ju.scrub_r(
        learning_rate=golden.number("sgda_learning_rate"),
        momentum=golden.number("sgda_momentum"),
        weight_decay=golden.number("sgda_weight_decay"),
        epochs=golden.number("sgda_epochs"),
        decay_epochs=tuple(golden["hp_lr_decay_epochs"].tolist()),
        decay_rate=golden.number("lr_decay_rate"),
        gamma=golden.number("gamma"),
        alpha=golden.number("alpha"),
        temperature=golden.number("kd_T"),
        max_epochs=golden.number("msteps"),
    )
    passes = {"max": golden.rows("forget"), "min": golden.rows("retain")}
    kinds = [["max", "min"] if e < method.max_epochs else ["min"] for e in range(method.epochs)]
    rows = np.concatenate([passes[kind] for epoch in kinds for kind in epoch])
    epochs = np.repeat(range(method.epochs), [sum(len(passes[k]) for k in e) for e in kinds])
    np.testing.assert_array_equal(
        golden["phase"], [kind for epoch in kinds for kind in epoch for _ in passes[kind]]
    )
    state = replay(golden, method, problem, rows, epochs=epochs, losses=golden["loss"])

    history = [
        method.measure(problem.model, state._replace(variables=_kept(state, epoch)), problem)
        for epoch in range(method.epochs + 1)
    ]
    named = {"forget_error": "error_forget", "validation_error": "error_forget_val"}
    for ours, theirs in named.items():
        np.testing.assert_allclose([entry[ours] for entry in history], golden[theirs], rtol=1e-9)
    of_set = {"error_retain": problem.retain, "error_val": validation}
    for name, examples in of_set.items():
        errors = [error_of(problem.model, _kept(state, n), examples) for n in range(len(history))]
        np.testing.assert_allclose(errors, golden[name], rtol=1e-9)
    forget, of_kept = (np.array([entry[name] for entry in history]) for name in named)
    assert rewind_to(forget, of_kept[-1]) == golden["selected_epoch"]
    close(method.finish(state, history), golden.variables("rewound_"))
    _check_parts(golden)


def error_of(model, variables, examples):
    """Share of images that are not classified as labelled, in percent."""
    logits = model.logits(variables, to_unit(jnp.asarray(examples.image)))
    return 100 * np.mean(np.argmax(np.asarray(logits), 1) != examples.label)


def _kept(state, epoch):
    return jax.tree.map(lambda x: x[epoch], state.extra["kept"])


def _check_parts(golden):
    """The rewinding rule alone, ties included, and the divergence alone."""
    for forget, validation, index in zip(
        golden["select_error_forget"],
        golden["select_error_val"],
        golden["select_index"],
        strict=True,
    ):
        assert rewind_to(forget, validation[-1]) == index
    temperature = golden.number("kl_T")
    student, teacher = (jnp.asarray(golden[f"kl_{n}_logits"]) for n in ("student", "teacher"))
    divergence = functional.kl_divergence(teacher, student, temperature)
    close(temperature**2 * divergence.mean(), jnp.asarray(golden["kl_value"]))
