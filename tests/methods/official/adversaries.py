"""Relabelling and fine-tuning with adversarial images."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.engine.steps import take_batch

from .network import network
from .replay import KEY, case, close, not_offered, replay


def rates(golden, **options):
    names = ("learning_rate", "momentum", "weight_decay")
    return {**{name: golden.number(name) for name in names}, **options}


def original_of(golden):
    """The original as a function of images, and the forget set."""
    problem = golden.problem(network())
    logits_fn = lambda images: problem.model.logits(problem.variables, images)  # noqa: E731
    return logits_fn, jnp.asarray(problem.forget.image), jnp.asarray(problem.forget.label)


def rounded(images):
    return jnp.round(images * 255) / 255


@case("salun_family/boundary_shrink", "salun")
def boundary_shrink(golden):
    """SalUn's: attacked images are rounded to 8 bits, the labels found once."""
    logits_fn, images, labels = original_of(golden)
    attacked = functional.fgsm(logits_fn, images, labels, golden.number("bound"))
    close(rounded(attacked), golden["fgsm_images"], "attacked")
    close(logits_fn(rounded(attacked)), golden["fgsm_logits"], "logits")
    method = ju.boundary_shrink(**rates(golden), bound=golden.number("bound"), rounded=True)
    problem = golden.problem(network())
    pool = method.pool(KEY, problem)
    np.testing.assert_array_equal(pool.label, golden["fgsm_labels"])
    replay(golden, method, problem, golden["index"], pool=pool, losses=golden["ce"])


@case("salun_family/boundary_shrink", "original")
def boundary_shrink_original(golden):
    """The first release's attack, in its own units and with its mean, and its updates."""
    logits_fn, images, labels = original_of(golden)
    mean, std = (golden[f"fgsm_{name}"][None, None, None] for name in ("mean", "std"))
    limits = {"low": (0 - mean) / std, "high": (1 - mean) / std}
    attacked = functional.fgsm(logits_fn, images, labels, golden.number("bound") / std, **limits)
    attacked = (rounded(attacked * std + mean) - mean) / std
    close(attacked, golden["fgsm_images"], "attacked")
    np.testing.assert_array_equal(logits_fn(attacked).argmax(axis=1), golden["fgsm_labels"])
    method = ju.boundary_shrink(**rates(golden))
    given = {"labels": golden["target"], "losses": golden["ce"]}
    replay(golden, method, golden.problem(network()), golden["index"], **given)


class Expanded:
    """A file whose network has an output more, as the state of Boundary Expand holds it."""

    def __init__(self, golden, first=0):
        self.golden, self.first = golden, first
        self.stored = list(range(golden.updates - first))

    def pool(self):
        return self.golden.pool()

    def after(self, update):
        variables = self.golden.after(update + self.first)
        dense, old = variables["params"]["dense"], len(self.golden["param_dense_bias"])
        network = {**variables["params"], "dense": {n: x[..., :old] for n, x in dense.items()}}
        output = jax.tree.map(lambda _: None, {**network, "dense": None})
        output["dense"] = {name: x[..., old:] for name, x in dense.items()}
        return {**variables, "params": {"network": network, "output": output}}


def expanding(golden, problem, **options):
    """The method, and its state with the file's weights for the new output."""
    method = ju.boundary_expand(**rates(golden), **options)
    state = method.init(KEY, problem)
    new = {"kernel": golden["new_column"][:, None], "bias": golden["new_bias"][None]}
    trained = state.variables["params"]
    output = {**trained["output"], "dense": jax.tree.map(jnp.asarray, new)}
    params = {**trained, "output": output}
    return method, state._replace(variables={**state.variables, "params": params})


@case("salun_family/boundary_expand", "salun")
def boundary_expand(golden):
    """Train mode throughout."""
    problem = golden.problem(network())
    method, state = expanding(golden, problem, new_weights="uniform")
    given = {"state": state, "losses": golden["ce"]}
    replay(Expanded(golden), method, problem, golden["index"], **given)


@case("salun_family/boundary_expand", "original")
def boundary_expand_original(golden):
    """The first update in eval mode, which is a slip, then ours; the new output is dropped."""
    problem = golden.problem(network())
    method, state = expanding(golden, problem)
    first = dataclasses.replace(method, train_mode=False)
    batch = take_batch(jax.tree.map(jnp.asarray, golden.pool()), golden["index"][0], KEY, None)
    info = ju.StepInfo(*map(jnp.int32, (0, 4, 0, 2)), KEY)
    state, scalars = jax.jit(first.step, static_argnums=0)(problem.model, state, batch, info)
    close(state.variables, Expanded(golden).after(0), "after update 0")
    close(scalars["loss"], golden["ce"][0], "loss of update 0")
    given = {"state": state, "losses": golden["ce"][1:]}
    state = replay(Expanded(golden, first=1), method, problem, golden["index"][1:], **given)
    dense = method.finish(state, [])["params"]["dense"]
    close(dense, {name: golden[f"pruned_dense_{name}"] for name in dense}, "pruned")


@case("salun_family/amun", "attack_default", "attack_eps001")
def amun_attack(golden):
    """An example that is misclassified from the start is its own adversary."""
    steps = golden.number("steps")
    method = ju.amun(radius=golden.number("eps_start"), attack_steps=steps, batch_size=3)
    found = method.extra(KEY, golden.problem(network()))
    images = found.image.reshape(golden["adv_images"].shape)
    close(images, golden["adv_images"], "images")
    close(found.radius, golden["eps"], "radii")
    np.testing.assert_array_equal(found.label, golden["adv_pred"])
    moved = images - golden.problem(network()).forget.image
    close(jnp.sqrt((moved**2).sum((1, 2, 3))), golden["delta_norm"], "distances")
    assert found.found.all()


BESIDE = {
    "amun_with_remain": "retain_and_forget",
    "amun_no_remain": "forget",
    "advonly_with_remain": "retain",
}


@case("salun_family/amun", *BESIDE)
def amun(golden):
    """From the attack on; rows of ours are retain, forget and adversarial ones, where shown."""
    beside = BESIDE[golden.variant]
    radius = golden.arrays["attack_default__eps_start"].item()
    method = ju.amun(**rates(golden), beside=beside, radius=radius)
    problem = golden.problem(network())
    retain, forget = (len(getattr(problem, part).label) for part in ("retain", "forget"))
    theirs = {"forget": np.arange(forget), "retain": forget + np.arange(retain)}
    shown = [theirs[part] for part in ("retain", "forget") if part in beside]
    order = np.concatenate([*shown, forget + retain + np.arange(forget)])
    # The file names an image that is its own adversary by its first row; its label tells.
    index, labels = golden["index"], golden.examples[0].label
    own = (index < forget) & (golden["target"] != labels[np.minimum(index, forget - 1)])
    index = np.where(own, index + forget + retain, index)
    rows = np.argsort(order)[np.searchsorted(np.sort(order), index)]
    pool = method.pool(KEY, problem)
    replay(golden, method, problem, rows, pool=pool, losses=golden["ce"])


not_offered(
    "salun_family/amun_baselines",
    "bs_with_remain",
    "AMUN's own comparison: passes over the retain set, and labels of the network under way",
)
