"""Methods that show what they made: adversarial images, noise, an output more, several models."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stepping import one_update

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine.steps import take_batch
from jax_unlearn.methods import DescentState, made_images, method_class
from jax_unlearn.methods.extra_output import draw_xavier, extended_logits, new_output
from jax_unlearn.methods.turns import apart, in_turn
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.testing import small_problem

KEY = jax.random.key(0)
as_batch = jax.jit(lambda pool, rows, key: take_batch(pool, rows, key, None))
INFO = ju.StepInfo(jnp.int32(0), jnp.int32(4), jnp.int32(0), jnp.int32(2), KEY)


@pytest.fixture(scope="module")
def problem():
    return small_problem()


def batch_of(method, problem, epoch=0):
    pool = method.pool(KEY, problem)
    rows = method.batch_indices(KEY, epoch, pool)[0]
    return as_batch(jax.tree.map(jnp.asarray, pool), rows, KEY)


def same(a, b, **tolerance):
    tolerance = {"rtol": 1e-5, "atol": 1e-6, **tolerance}
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_boundary_shrink_without_a_step_teaches_what_the_original_sees(problem):
    seen = predict_logits(problem.model, problem.variables, problem.forget.image).argmax(axis=1)
    pool = ju.boundary_shrink(bound=0.0).pool(KEY, problem)
    np.testing.assert_array_equal(pool.label, seen)
    assert (ju.boundary_shrink(bound=0.5).pool(KEY, problem).label != seen).any()


# --- Boundary Expand ---


def dense(weight_of, bias=True, features=7, classes=4):
    """A linear network whose weight lies as ``weight_of`` turns [features, classes]."""

    def init(key):
        first, second = jax.random.split(key)
        weight = weight_of(jax.random.normal(second, (features, classes)))
        body = jax.random.normal(first, (9, features))
        return {"body": body, "weight": weight} | (
            {"bias": jnp.arange(classes) * 1.0} if bias else {}
        )

    def apply(variables, images, *, train):
        del train
        hidden = jax.nn.relu(images.reshape(len(images), -1) @ variables["body"])
        weight = variables["weight"]
        if weight.ndim == 4:
            convolved = jax.lax.conv_general_dilated(
                hidden[:, None, None],
                weight,
                (1, 1),
                "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            logits = convolved.mean((1, 2))
        else:
            logits = hidden @ (weight if weight_of(jnp.zeros((2, 3))).shape == (2, 3) else weight.T)
        return logits + variables.get("bias", jnp.zeros(classes))[None], variables

    return ju.Model(init, apply, "dense")


LAYOUTS = {
    "features, outputs": (lambda w: w, -1),
    "outputs, features": (lambda w: w.T, 0),
    "a convolution": (lambda w: w[None, None], -1),
}


@pytest.mark.parametrize("features", [7, 4])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_output_more_says_what_a_layer_with_a_row_more_says(layout, bias, features):
    weight_of, axis = LAYOUTS[layout]
    model = dense(weight_of, bias, features)
    variables = model.init(KEY)
    image = np.random.default_rng(0).integers(0, 256, (5, 3, 3, 1), np.uint8)
    examples = ju.Examples(image, np.arange(5, dtype=np.int32) % 4, np.arange(5))
    problem = ju.Problem(model, variables, examples, None, 4)
    output = new_output(KEY, problem, "", draw_xavier)
    assert output["body"] is None
    output = jax.tree.map(lambda x: x + 0.5, output)
    images = image / np.float32(255)
    logits, _ = extended_logits(
        lambda params: model.apply(params, images, train=False), variables, output
    )
    wide = {
        n: jnp.concatenate([variables[n], output[n]], -1 if n == "bias" else axis)
        for n in variables
        if n != "body"
    }
    expected, _ = dense(weight_of, bias, features, 5).apply(
        {**variables, **wide}, images, train=False
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_boundary_expand_ends_with_the_original_number_of_outputs(problem):
    result = ju.run(ju.boundary_expand(epochs=1, batch_size=10, learning_rate=0.05), problem, KEY)
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (result.variables, problem.variables)]
    assert shapes[0] == shapes[1]
    assert predict_logits(problem.model, result.variables, problem.forget.image).shape == (10, 5)
    start = ju.boundary_expand().init(KEY, problem).variables["params"]["output"]
    assert start["first"] is None
    assert (start["second"].shape, start["bias"].shape) == ((8, 1), (1,))


def test_an_output_more_costs_no_second_pass_through_the_network(problem):
    model = ju.make_model("convnet", 5, (8, 8, 1), width=2)
    image = np.zeros((10, 8, 8, 1), np.uint8)
    forget = problem.forget._replace(image=image)
    problem = dataclasses.replace(problem, model=model, variables=model.init(KEY), forget=forget)

    plain, expand = (make(batch_size=10) for make in (ju.gradient_ascent, ju.boundary_expand))
    counts = []
    for method in (plain, expand):
        given = method.init(KEY, problem), batch_of(method, problem)
        program = jax.make_jaxpr(lambda s, b, m=method: m.step(model, s, b, INFO))(*given)
        counts.append(str(program).count("conv_general_dilated["))
    assert counts[0] == counts[1] > 2


# --- AMUN ---


@pytest.mark.parametrize(
    ("beside", "needs", "rows"),
    [
        ("retain", True, 70),
        ("retain_and_forget", True, 80),
        ("forget", False, 20),
        ("nothing", False, 10),
    ],
)
def test_amun_shows_adversaries_beside_what_it_is_told(beside, needs, rows, problem):
    method = ju.amun(beside=beside)
    assert method.needs_retain == needs
    pool = method.pool(KEY, problem)
    assert len(pool.label) == rows == method.count_rows(problem)
    assert (pool.extra[made_images.MADE] >= 0).sum() == 10
    assert not pool.augment[pool.extra[made_images.MADE] >= 0].any()


def test_amun_does_not_show_an_image_for_which_no_adversary_is_found(problem):
    method = ju.amun(beside="nothing", batch_size=10)
    state, batch = method.init(KEY, problem), batch_of(method, problem)
    number = batch.extra[made_images.MADE]
    found = state.extra.found.at[number[:4]].set(False)
    lost = state._replace(extra=state.extra._replace(found=found))
    left = batch._replace(weight=batch.weight.at[:4].set(0))
    ways = (lost, batch), (state, left)
    after = [one_update(method, problem.model, *way, INFO)[0].variables for way in ways]
    same(*after)


# --- UNSIR ---

NOISE = {"noise_images": 3, "noise_steps": 2, "retain_per_class": 4, "batch_size": 8}


def test_unsir_refuses_a_sample_wise_request_before_anything_runs(problem):
    message = (
        r"^forget: class 0 is in both sets: expected whole classes, .* that UNSIR can forget; "
    )
    with pytest.raises(InputError, match=message):
        ju.run(ju.unsir(**NOISE), problem, KEY, watch=lambda _: pytest.fail("it ran"))
    with pytest.raises(
        InputError, match=r"^forget: examples are chosen one by one: expected whole"
    ):
        ju.unsir(**NOISE).check(small_problem(whole_classes=True), exact=False)
    ju.unsir(**NOISE).check(small_problem(whole_classes=True))


@pytest.mark.parametrize("name", ["boundary_expand", "fisher_forgetting", "mumis"])
def test_a_method_of_ones_own_for_whole_classes_refuses_samples_whatever_else_its_base_checks(name):
    class OfClasses(method_class(ju.METHODS[name])):
        whole_classes = True

    OfClasses().check(small_problem(whole_classes=True))
    with pytest.raises(InputError, match=r"^forget: class 0 is in both sets: expected whole"):
        OfClasses().check(small_problem())


@pytest.mark.parametrize("name", ["boundary_expand", "fisher_forgetting", "mumis"])
def test_a_method_of_ones_own_for_samples_refuses_whole_classes(name):
    class OfSamples(method_class(ju.METHODS[name])):
        samples_only = True

    OfSamples().check(small_problem())
    with pytest.raises(InputError, match=r"^forget: no example of class 0 is retained: expected"):
        OfSamples().check(small_problem(whole_classes=True))
    # Of what is not chosen yet the labels say nothing.
    OfSamples().check(small_problem(whole_classes=True), exact=False)


def test_unsir_shows_noise_of_each_class_and_a_part_of_the_retain_set_then_that_part_alone():
    problem = small_problem(whole_classes=True)
    method = ju.unsir(**NOISE, copies=2)
    pool = method.pool(KEY, problem)
    made = np.asarray(pool.extra[made_images.MADE]) >= 0
    np.testing.assert_array_equal(pool.label[made], [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(np.bincount(pool.label[~made], minlength=5), [0, 0, 4, 4, 4])
    impair, repair = (np.asarray(method.batch_indices(KEY, epoch, pool)) for epoch in (0, 1))
    counts = np.bincount(impair[impair >= 0], minlength=18)
    np.testing.assert_array_equal(counts, np.where(made, 2, 1))
    assert sorted(repair[repair >= 0]) == list(np.flatnonzero(~made))


def test_unsir_repairs_with_a_fresh_optimizer():
    problem = small_problem(whole_classes=True)
    method = ju.unsir(**NOISE)
    state, batch = method.init(KEY, problem), batch_of(method, problem, epoch=1)
    used = state._replace(opt_state=jax.tree.map(lambda x: x + 3, state.opt_state))
    step = jax.jit(method.step, static_argnums=0)
    later = INFO._replace(epoch=jnp.int32(1))
    fresh, after = (step(problem.model, s, batch, later)[0] for s in (state, used))
    same(fresh, after)
    again = step(problem.model, fresh._replace(opt_state=used.opt_state), batch, later)[0]
    moved = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), again.opt_state, after.opt_state)
    assert max(jax.tree.leaves(moved)) > 1


# --- L2UL ---

SHORT = {
    "adversarial_batch_size": 8,
    "batch_size": 5,
    "adversaries": 2,
    "attack_steps": 3,
    "radius": 0.5,
}


def test_l2ul_attacks_towards_other_classes_within_its_ball(problem):
    extra = ju.l2ul(**SHORT).extra(KEY, problem)
    assert (extra["target"] != np.repeat(problem.forget.label, 2)).all()
    sources = np.repeat(problem.forget.image, 2, axis=0)
    offsets = np.reshape(extra["image"], sources.shape) - sources / np.float32(255)
    assert float(jnp.sqrt((offsets**2).sum((1, 2, 3))).max()) <= 0.5 + 1e-5


def test_l2ul_ends_once_no_forget_example_is_recognised(problem):
    method = ju.l2ul(**SHORT, learning_rate=0.1, max_steps=200, check_every=2, pull=0.0)
    result = ju.run(method, problem, KEY)
    assert result.status == "stopped"
    assert result.steps < 200
    accuracies = [entry["checked_accuracy"] for entry in result.history]
    assert accuracies[-1] == 0
    assert min(accuracies[:-1]) > 0
    predicted = predict_logits(problem.model, result.variables, problem.forget.image).argmax(axis=1)
    assert not (predicted == problem.forget.label).any()


def test_l2uls_pull_acts_on_the_weights_that_are_held(problem):
    method = ju.l2ul(**SHORT, momentum=0.0, weight_decay=0.0, pull=3.0, learning_rate=0.1)
    state, batch = method.init(KEY, problem), batch_of(method, problem)
    extra = state.extra
    start = jax.tree.map(lambda x: x - 1, extra["start"])
    away = state._replace(extra={**extra, "start": start})
    near, far = (one_update(method, problem.model, s, batch, INFO)[0] for s in (state, away))
    pulled = jax.tree.map(lambda x, y: x - y, near.variables["params"], far.variables["params"])
    same(pulled, jax.tree.map(lambda held: 0.1 * 3 * held, extra["held"]), atol=1e-5)


@pytest.mark.parametrize("sizes", [(8, 5), (8, 4), (6, 6), (5, 1), (4, 6, 2)])
def test_rows_in_turn_come_apart_again_and_padding_stays_out(sizes):
    parts = [100 * k + np.arange(3 * size).reshape(3, size) for k, size in enumerate(sizes)]
    for step, row in enumerate(in_turn(*parts)):
        found = apart(jnp.asarray([*row, -1, -1])[:, None], *sizes)
        for part, of_kind in zip(parts, found, strict=True):
            np.testing.assert_array_equal(of_kind[:, 0], part[step])


def test_each_of_several_devices_has_its_share_of_every_kind():
    rows = in_turn(np.zeros((1, 256), int), np.ones((1, 32), int))
    assert rows.reshape(8, -1).sum(axis=1).tolist() == [4] * 8


# --- NegMerge ---


def test_negmerge_of_one_model_is_plain_negation_of_its_task_vector(problem):
    method = ju.negmerge(models=1, epochs=2, batch_size=5, coefficient=0.7, momentum=0.5)
    state, batch = method.init(KEY, problem), batch_of(method, problem)
    state, _ = one_update(method, problem.model, state, batch, INFO)
    tuning = ju.Descent(batch_size=5, momentum=0.5)
    one = DescentState(problem.variables, tuning.init(KEY, problem).opt_state)
    one, _ = one_update(tuning, problem.model, one, batch, INFO)
    same(jax.tree.map(lambda x: x[0], state.variables), one.variables)
    unlearned = method.finish(state, [])
    expected = jax.tree.map(
        lambda s, t: s - 0.7 * (t - s), problem.variables["params"], one.variables["params"]
    )
    same(unlearned["params"], expected)
    same(unlearned["batch_stats"], problem.variables["batch_stats"])


def test_negmerges_models_have_orders_and_rates_of_their_own(problem):
    method = ju.negmerge(models=3, spread=4.0, learning_rate=0.01, batch_size=10, momentum=0.0)
    pool = method.pool(KEY, problem)
    rows = np.asarray(method.batch_indices(KEY, 0, pool)).reshape(10, 3)
    for order in rows.T:
        assert sorted(order) == list(range(10))
    assert len({tuple(order) for order in rows.T}) == 3
    state, batch = method.init(KEY, problem), batch_of(method, problem)
    state, _ = one_update(method, problem.model, state, batch, INFO)
    # A batch holds the whole forget set, so the three gradients are one.
    start = problem.variables["params"]
    moved = jax.tree.map(lambda x, s: x - s[None], state.variables["params"], start)
    for model, factor in ((0, 0.25), (2, 4.0)):
        same(
            *(
                jax.tree.map(lambda x, m=m, f=f: f * x[m], moved)
                for m, f in ((model, 1), (1, factor))
            )
        )
