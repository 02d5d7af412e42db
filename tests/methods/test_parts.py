"""Fine-tuning of a part of the network, or after an edit of it: CF-k, EU-k, CT, MSG."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.methods.blocks import last_blocks, network_blocks
from jax_unlearn.methods.convolutions import transpose_kernels
from jax_unlearn.methods.last_layer import one_image

KEY = jax.random.key(0)


def blocks_of(model, image_shape):
    variables = jax.eval_shape(model.init, KEY)
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return network_blocks(model, variables, image), variables


# --- Blocks ---


@pytest.mark.parametrize(
    ("name", "names", "sizes"),
    [
        ("convnet", ["conv1", "conv2", "conv3", "fc"], [3, 3, 3, 2]),
        ("resnet8", ["conv1", "layer1_0", "layer2_0", "layer3_0", "fc"], [3, 6, 9, 9, 2]),
        ("vgg16_bn", ["conv1_1", "conv1_2", "conv2_1", "conv2_2"], [4] * 13 + [2]),
    ],
)
def test_blocks_stand_in_the_order_in_which_an_image_meets_them(name, names, sizes):
    model = ju.make_model(name, 10, (32, 32, 3), width=4)
    blocks, variables = blocks_of(model, (32, 32, 3))
    assert list(blocks)[: len(names)] == names
    assert [len(block) for block in blocks.values()] == sizes
    everything = sorted(index for block in blocks.values() for index in block)
    assert everything == list(range(len(jax.tree.leaves(variables["params"]))))


def test_order_is_the_computations_not_the_names():
    def init(key):
        weights = {name: {"kernel": jnp.ones((4, 4))} for name in ("alpha", "beta", "gamma")}
        return {"net": {**weights, "delta": {"scale": jnp.ones(4), "unused": jnp.ones(3)}}}

    def apply(variables, images, *, train):
        del train
        net, x = variables["net"], images.reshape(len(images), -1)
        # All weights are cast before any is used.
        net = jax.tree.map(lambda w: w.astype(jnp.bfloat16), net)
        x = jax.nn.relu(x.astype(jnp.bfloat16) @ net["gamma"]["kernel"])
        x = jax.nn.relu((x * net["delta"]["scale"][None]) @ net["beta"]["kernel"])
        return (x @ net["alpha"]["kernel"]).astype(jnp.float32), variables

    blocks, _ = blocks_of(ju.Model(init, apply, "mixed"), (2, 2, 1))
    assert list(blocks) == ["net/gamma", "net/beta", "net/alpha"]
    assert len(blocks["net/gamma"]) == 2
    assert sum(map(len, blocks.values())) == 4


def test_more_blocks_than_there_are_and_unknown_names_are_refused(lab):
    def refused(method, message):
        with pytest.raises(ju.InputError, match=message):
            ju.run(method, lab.problem, KEY, mesh=lab.mesh)

    for make in (ju.cf_k, ju.eu_k):
        refused(
            make(k=3), r"^k=3: the network 'small' has 2 blocks \(first, second\): expected at most"
        )
        refused(make(blocks="second,third"), "^blocks='second,third': no parameter has 'third'")


# --- CF-k and EU-k ---

SHORT = {"epochs": 2, "batch_size": 50, "learning_rate": 0.05}


def test_frozen_blocks_keep_their_bits_and_their_statistics_move(lab):
    after = ju.run(ju.cf_k(k=1, **SHORT), lab.problem, KEY, mesh=lab.mesh).variables
    before = lab.problem.variables
    chex.assert_trees_all_equal(after["params"]["first"], before["params"]["first"])
    for name in ("kernel", "bias"):
        assert (after["params"]["second"][name] != before["params"]["second"][name]).any()
    for name in ("mean", "var"):
        assert (after["batch_stats"][name] != before["batch_stats"][name]).all()


def test_with_every_block_cf_k_is_fine_tuning(lab):
    ours, theirs = (
        ju.run(method, lab.problem, KEY, mesh=lab.mesh).variables
        for method in (ju.cf_k(k=2, **SHORT), ju.finetune(**SHORT))
    )
    chex.assert_trees_all_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_named_block_is_that_block(lab):
    problem = lab.problem
    image = one_image(problem.retain.image)
    for k, names in ((1, "second"), (2, "first, second"), (2, "first,second/kernel,second/bias")):
        assert last_blocks(problem.model, problem.variables, image, k) == last_blocks(
            problem.model, problem.variables, image, 0, names
        )


def test_no_gradient_is_computed_for_frozen_blocks(lab, batch_of, step_info):
    def flops(method):
        state = method.init(KEY, lab.problem)
        batch = batch_of(lab.problem.retain, ju.RETAIN, 50)
        step = jax.jit(lambda state: method.step(lab.problem.model, state, batch, step_info))
        return step.lower(state).compile().cost_analysis()["flops"]

    # Forward and gradient of the first layer are its cost, and all but the last's.
    assert flops(ju.cf_k(k=1)) < 0.7 * flops(ju.finetune())


def test_eu_k_starts_from_the_initial_weights_of_its_blocks(lab):
    variables, initial = lab.problem.variables, lab.problem.initial
    start = ju.eu_k(k=1).start(KEY, lab.problem)
    chex.assert_trees_all_equal(start["params"]["second"], initial["params"]["second"])
    chex.assert_trees_all_equal(start["params"]["first"], variables["params"]["first"])
    chex.assert_trees_all_equal(start["batch_stats"], variables["batch_stats"])
    unknown = dataclasses.replace(lab.problem, initial=None)
    fresh = ju.eu_k(k=1).start(KEY, unknown)["params"]["second"]
    chex.assert_trees_all_equal(fresh, lab.problem.model.init(KEY)["params"]["second"])


# --- Edits of convolutions ---


def test_ct_twice_is_the_identity_and_once_is_not():
    params = {"conv": jax.random.normal(KEY, (3, 3, 2, 4)), "fc": jnp.arange(6.0).reshape(2, 3)}
    once = transpose_kernels(params)
    chex.assert_trees_all_equal(transpose_kernels(once), params)
    chex.assert_trees_all_equal(once["fc"], params["fc"])
    np.testing.assert_array_equal(once["conv"][0, 2], params["conv"][2, 0])
    assert (once["conv"] != params["conv"]).any()


def test_ct_of_a_transposed_image_is_the_original_of_the_image():
    model = ju.make_model("convnet", 10, (8, 8, 1), width=2)
    variables = model.init(KEY)
    images = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1))
    edited = ju.with_params(variables, transpose_kernels(variables["params"]))
    chex.assert_trees_all_close(
        model.logits(edited, images.swapaxes(1, 2)), model.logits(variables, images), rtol=1e-4
    )


@pytest.mark.parametrize("name", ["ct", "msg"])
def test_a_network_without_convolutions_is_refused(name, linear_problem):
    with pytest.raises(ju.InputError, match=rf"^model='linear': {name.upper()} edits convolutions"):
        ju.run(ju.METHODS[name](batch_size=10), linear_problem, KEY)


def test_ct_refuses_kernels_that_are_not_square(linear_problem, linear_model):
    wide = ju.Model(lambda key: {"kernel": jnp.ones((1, 7, 1, 2))}, linear_model.apply, "wide")
    problem = dataclasses.replace(linear_problem, model=wide, variables=None)
    with pytest.raises(ju.InputError, match=r"^model='wide': CT transposes.*is 1x7"):
        ju.ct().check(problem)
    ju.msg().check(problem)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_msg_draws_a_share_of_each_convolution_anew_and_nothing_else(share, lab):
    state = ju.msg(share=share, batch_size=50).init(KEY, lab.problem)
    after, before = state.variables["params"], lab.problem.variables["params"]
    kernel = before["first"]["kernel"]
    changed = np.asarray(after["first"]["kernel"] != kernel)
    np.testing.assert_array_equal(changed, state.extra["first"]["kernel"])
    assert changed.sum() == round(share * kernel.size)
    for layer, name in (("first", "scale"), ("first", "bias"), ("second", "kernel")):
        np.testing.assert_array_equal(after[layer][name], before[layer][name])
    drawn = np.asarray(after["first"]["kernel"])[changed]
    if share:
        deviation = np.sqrt(2 / (8 * 8 * kernel.shape[-1]))
        assert np.std(drawn) == pytest.approx(deviation, rel=0.1)


def test_at_scale_0_the_weights_of_a_convolution_that_msg_keeps_stay(lab):
    method = ju.msg(scale=0.0, weight_decay=0.0, **SHORT)
    start = method.init(jax.random.split(KEY, 4)[0], lab.problem)
    after = ju.run(method, lab.problem, KEY, mesh=lab.mesh).variables["params"]
    kernel, marked = after["first"]["kernel"], np.asarray(start.extra["first"]["kernel"])
    moved = np.asarray(kernel != lab.problem.variables["params"]["first"]["kernel"])
    np.testing.assert_array_equal(moved, marked)
