"""L2UL, UNSIR and NegMerge."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.methods import DescentState
from jax_unlearn.methods.edit import EvalLoss
from jax_unlearn.methods.turns import in_turn

from .golden import Golden
from .network import network
from .replay import KEY, case, close, not_offered, replay


def attacks(golden, problem):
    """The targeted attack from where the file starts it."""
    logits_fn = lambda images: problem.model.logits(problem.variables, images)  # noqa: E731
    images = functional.targeted_pgd(
        logits_fn,
        jnp.asarray(golden["forget_images"])[golden["adv_source"]],
        jnp.asarray(golden["adv_targets"]),
        jnp.asarray(golden["attack_start_delta"]),
        radius=golden.number("pgd_eps"),
        step=golden.number("pgd_step"),
        steps=golden.number("pgd_iterations"),
    )
    close(images, golden["adv_images"], "adversarial images")


def ascend(golden, held, pull):
    """Updates on the file's adversarial images and with these weights held."""
    problem = golden.problem(network())
    attacks(golden, problem)
    size, batch = golden.number("adv_batch"), golden["forget_batches"]
    method = ju.l2ul(
        learning_rate=golden.number("lr"),
        momentum=golden.number("momentum"),
        weight_decay=golden.number("weight_decay"),
        adversarial_batch_size=size,
        batch_size=batch.shape[1],
        adversaries=len(golden["adv_images"]) // len(golden["forget_labels"]),
        attack_steps=1,
        pull=pull,
    )
    state = method.init(KEY, problem)
    made = {"image": jnp.asarray(golden["adv_images"]), "held": held}
    made["target"] = jnp.asarray(golden["adv_targets"], jnp.int32)
    state = state._replace(extra={**state.extra, **made})
    first = len(golden["forget_labels"]) + size * golden["step_adv_batch"]
    rows = in_turn(first[:, None] + np.arange(size), batch[golden["step_forget_batch"]])
    given = {"pool": method.pool(KEY, problem), "state": state, "losses": golden["loss"]}
    replay(golden, method, problem, rows, **given)


@case("others/l2ul", "", "noreg")
def l2ul(golden):
    """The release's updates, on importances that it estimates by a slip."""
    held = functional.hold_unimportant(golden.params("importance_raw_"))
    close(held, golden.params("importance_"), "held")
    pull = golden.number("reg_lambda") if not golden.variant else 0.0
    ascend(golden, golden.params("importance_"), pull)


@case("others/l2ul_corrected")
def l2ul_corrected(golden):
    """Importances by example, of either norm."""
    problem = golden.problem(network())
    norm, square = (lambda x: jnp.sqrt(functional.squared_norm(x))), functional.squared_norm
    for name, of_logits in (("norm", norm), ("squared", square)):
        rows = (problem.forget.image,)
        loss = EvalLoss(problem.model, of_logits)
        found = functional.exact_importance(loss, problem.variables, rows, measure=jnp.abs)
        close(found, golden.params(f"importance_{name}_raw_"), name)
        held = functional.hold_unimportant(found)
        close(held, golden.params(f"importance_{name}_"), f"{name}, held")
    held = ju.l2ul().held(problem)
    close(held, golden.params("importance_norm_"), "held")
    ascend(golden, held, golden.number("reg_lambda"))


not_offered(
    "others/l2ul_delete",
    "",
    "another method's comparison: every batch attacked afresh, targets that may be the true class, "
    "weights of its own, adversarial images in eval mode",
)


def unsir_as(golden, copied):
    """Noise, then impair and repair, in which the first ``copied`` noise images are used."""
    family = golden.variant.rpartition("_")[0]
    name = family + "_" if family else ""
    parts = [Golden(golden.arrays, name + part) for part in ("impair", "repair")]
    arrays = golden.arrays
    chosen, subset = golden["forget_class"], golden["retain_subset"]
    examples, forget = golden.examples
    of_class = np.flatnonzero(forget & (examples.label == chosen))
    kept = np.flatnonzero(~forget)[subset]
    taken = [ju.Examples(*(x[rows] for x in examples)) for rows in (of_class, kept)]
    problem = golden.problem(network(), forget=taken[0], retain=taken[1])
    count = golden.number("noise_batch")
    method = ju.unsir(
        learning_rate=golden.number("impair_lr"),
        repair_rate=golden.number("repair_lr"),
        noise_images=count,
        noise_steps=golden.number("noise_steps"),
        noise_rate=golden.number("noise_lr"),
        noise_penalty=golden.number("noise_l2"),
    )
    noise_of(problem, method, arrays, name)
    state = method.init(KEY, problem)
    noise = jnp.asarray(arrays[name + "noise_after"][-1])
    state = state._replace(extra={**state.extra, "image": noise})
    listed = np.tile(np.arange(copied), golden.number("num_noise_batches"))
    listed = np.concatenate([listed, count + np.arange(len(subset))])
    orders = [listed[arrays[name + "impair_order"]], count + arrays[name + "repair_order"]]
    rows = [batches(order, count) for order in orders]
    after = [part.after(t) for part in parts for t in range(part.updates)]
    both = Sequence(after)
    given = {"pool": method.pool(KEY, problem), "state": state}
    epochs = np.repeat([0, 1], [len(part) for part in rows])
    losses = np.concatenate([part["loss"] for part in parts])
    replay(both, method, problem, np.concatenate(rows), epochs=epochs, losses=losses, **given)


class Sequence:
    """States after updates, as a replay asks for them."""

    def __init__(self, states):
        self.states, self.stored = states, list(range(len(states)))

    def after(self, update):
        return self.states[update]


def noise_of(problem, method, arrays, name):
    """The noise after each of Adam's updates."""
    logits_fn = lambda images: problem.model.logits(problem.variables, images)  # noqa: E731
    labels = jnp.asarray(method.noise_labels(problem))
    start = jnp.asarray(arrays[name + "noise_start"])
    shown = [start, *map(jnp.asarray, arrays[name + "noise_after"][:-1])]
    for noise, loss in zip(shown, arrays[name + "noise_loss"], strict=True):
        error = functional.cross_entropy(logits_fn(noise), labels).mean()
        size = (noise**2).sum(axis=(1, 2, 3)).mean()
        np.testing.assert_allclose(method.noise_penalty * size - error, loss, rtol=1e-9)
    numbers = {"rate": method.noise_rate, "penalty": method.noise_penalty, "count": len(labels)}
    for steps, expected in enumerate(arrays[name + "noise_after"], start=1):
        noise = functional.error_maximizing_noise(logits_fn, start, labels, steps=steps, **numbers)
        close(noise, expected, f"noise after {steps}")


def batches(order, size):
    padded = np.full(-(-len(order) // size) * size, -1)
    padded[: len(order)] = order
    return padded.reshape(-1, size)


@case("others/unsir_corrected", "impair", "repair")
def unsir(golden):
    """All noise images, trained in eval mode."""
    unsir_as(golden, copied=golden.number("noise_batch"))


@case("others/unsir", "nb_impair", "nb_repair")
def unsir_notebook(golden):
    """The notebook's updates; that it lists as many noise images as channels is its slip."""
    unsir_as(golden, copied=golden["retain_images"].shape[-1])


for part in ("impair", "repair"):
    not_offered(
        "others/unsir",
        f"ssd_{part}",
        "slips: noise trained in train mode, and its gradients left over for the first step",
    )


@case("others/negmerge")
def negmerge(golden):
    """Statistics go the way of weights, as whatever is a float does there."""
    start = golden.variables()
    tuned = golden.variables("finetuned_")
    vectors = jax.tree.map(lambda x, y: x - y[None], tuned, start)
    merged = functional.sign_consensus(vectors)
    close(merged["params"], golden.params("merged_"), "merged")
    close(merged["batch_stats"], golden.statistics("merged_"), "merged statistics")
    sums, models = golden.params("sign_sum_"), len(jax.tree.leaves(tuned)[0])
    agreed = jax.tree.map(lambda x: np.where(abs(x) == models, np.sign(x), 0), sums)
    jax.tree.map(
        lambda x, s: np.testing.assert_array_equal(np.sign(x), s), merged["params"], agreed
    )
    for row, coefficient in enumerate(golden["coefficients"]):
        method = ju.negmerge(models=4, coefficient=coefficient, merge_statistics=True)
        after = method.finish(DescentState(tuned, (), start), [])
        close(after, golden.variables("unlearned_", row), f"coefficient {coefficient}")
