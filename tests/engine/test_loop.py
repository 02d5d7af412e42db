"""The loop: what it records, in which order, and what it leaves alone."""

import dataclasses
import time

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine import Callback, steps, trainer
from jax_unlearn.engine.run_spec import Options
from jax_unlearn.engine.steps import run_keys, take_batch
from jax_unlearn.methods import DescentState
from jax_unlearn.sharding import Layout

KEY = jax.random.key(0)
LOOPS = pytest.mark.parametrize("loop", ["python", "scan"])
SHORT = ju.finetune(batch_size=10, epochs=3)


@LOOPS
def test_history_has_one_entry_before_and_one_after_each_epoch(loop, problem):
    outcome = ju.run(SHORT, problem, KEY, loop=loop, watch=lambda variables: {"watched": 5.0})
    assert [entry["step"] for entry in outcome.history] == [0, 4, 8, 12]
    assert outcome.steps == 12
    assert outcome.status == "finished"
    assert all(entry["watched"] == 5.0 for entry in outcome.history)
    assert "loss" not in outcome.history[0]
    assert all(np.isfinite(entry["loss"]) for entry in outcome.history[1:])


@LOOPS
def test_progress_is_reported_with_the_steps_planned(loop, problem):
    reports = []
    ju.run(
        SHORT,
        problem,
        KEY,
        loop=loop,
        on_step=lambda done, planned: reports.append((done, planned)),
    )
    done = range(1, 13) if loop == "python" else (4, 8, 12)
    assert reports == [(step, 12) for step in done]


def test_the_loss_of_an_epoch_is_the_mean_of_its_steps(problem):
    """With a rate of zero every step's loss can be computed from the original weights."""
    still = dataclasses.replace(SHORT, learning_rate=0.0, epochs=1, augment=False)
    outcome = ju.run(still, problem, KEY)
    keys = run_keys(KEY)
    pool = still.pool(keys.pool, problem)
    rows = np.asarray(still.batch_indices(keys.batch_indices, 0, pool))
    logits = problem.model.logits(problem.variables, jnp.asarray(problem.retain.image) / 255)
    losses = -np.asarray(jax.nn.log_softmax(logits))[np.arange(37), problem.retain.label]
    expected = np.mean([losses[row[row >= 0]].mean() for row in rows])
    assert outcome.history[1]["loss"] == pytest.approx(expected, rel=1e-5)


def test_both_loops_and_auto_give_the_same(problem):
    python, scan, auto = (ju.run(SHORT, problem, KEY, loop=x) for x in ("python", "scan", "auto"))
    chex.assert_trees_all_close(python.variables, scan.variables, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_equal(python.variables, auto.variables)


@pytest.mark.parametrize("devices", [1, 3])
def test_a_batch_that_devices_do_not_divide_gives_the_same(devices, problem):
    every = ju.run(SHORT, problem, KEY)
    some = ju.run(SHORT, problem, KEY, mesh=ju.make_mesh(devices))
    chex.assert_trees_all_close(
        jax.device_get(every.variables), jax.device_get(some.variables), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("mesh", "found"),
    [
        (lambda devices: jax.sharding.Mesh(np.array(devices), ("data",)), "axes data"),
        (lambda devices: jax.make_mesh((1, 4), ("data", "model")), "axes data, model"),
        (
            lambda devices: jax.make_mesh(
                (1, 4), ("model", "data"), (jax.sharding.AxisType.Explicit,) * 2
            ),
            "axes of types Explicit, Explicit",
        ),
        (lambda devices: devices, "a list"),
    ],
)
def test_a_mesh_of_another_kind_is_refused(mesh, found):
    with pytest.raises(InputError, match=f"^mesh: {found}; expected axes model and data of"):
        Options(mesh=mesh(jax.devices()))


def test_a_mesh_that_is_made_by_hand_is_as_good(problem):
    by_hand = jax.sharding.Mesh(np.array(jax.devices()[:2]).reshape(1, 2), ("model", "data"))
    found = [ju.run(SHORT, problem, KEY, mesh=mesh) for mesh in (by_hand, ju.make_mesh(2))]
    chex.assert_trees_all_equal(*(result.variables for result in found))


def test_the_results_are_laid_out_on_the_mesh(problem):
    outcome = ju.run(SHORT, problem, KEY, mesh=ju.make_mesh(2))
    for leaf in jax.tree.leaves(outcome.variables):
        assert len(leaf.sharding.device_set) == 2
        assert leaf.is_fully_replicated


@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize("unlearner", [SHORT, ju.retrain(batch_size=10, epochs=1)])
def test_donation_spares_the_problems_weights(unlearner, devices, problem):
    """Also where they already lie on devices of the mesh, or on those of another mesh."""
    before = jax.device_get((problem.variables, problem.initial))
    ju.run(unlearner, problem, KEY, mesh=ju.make_mesh(devices))
    trained = ju.run(unlearner, problem, KEY, mesh=ju.make_mesh(2)).variables
    again = dataclasses.replace(problem, variables=trained, initial=trained)
    ju.run(unlearner, again, KEY, mesh=ju.make_mesh(devices))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(trained))
    chex.assert_trees_all_equal(before, jax.device_get((problem.variables, problem.initial)))


def test_a_second_run_compiles_nothing(counted, problem, compilations):
    model, traces = counted
    own = dataclasses.replace(problem, model=model)
    other = jax.random.key(5)
    first = ju.run(SHORT, own, KEY)
    once = len(traces)
    with compilations() as compiled:
        second = ju.run(SHORT, own, other)
        ju.run(dataclasses.replace(SHORT, epochs=5), own, KEY)
    assert compiled == []
    assert len(traces) == once > 0
    assert min(first.run_seconds, second.run_seconds, first.compile_seconds) > 0


def test_watching_is_not_the_methods_time(problem):
    def slow(variables):
        del variables
        time.sleep(0.2)
        return {}

    ju.run(SHORT, problem, KEY)
    start = time.perf_counter()
    outcome = ju.run(SHORT, problem, KEY, watch=slow)
    elapsed = time.perf_counter() - start
    assert outcome.run_seconds + outcome.compile_seconds < elapsed - 0.8


@dataclasses.dataclass
class Calls:
    """Counts how often it was asked."""

    count: int = 0


@LOOPS
def test_a_run_ends_when_the_method_says_so(loop, problem, scripted):
    outcome = ju.run(scripted(batch_size=37, stop_after=2), problem, KEY, loop=loop)
    assert (outcome.status, outcome.steps) == ("stopped", 2)
    np.testing.assert_allclose(outcome.variables["bias"], 2)


@LOOPS
def test_a_collapse_gives_the_weights_from_before_the_epoch(loop, problem, scripted):
    script = scripted(batch_size=19, collapse_after=3, stop_after=3)
    with pytest.warns(UserWarning, match=r"Scripted collapsed by step 6: .* weights of step 4 are"):
        outcome = ju.run(script, problem, KEY, loop=loop)
    assert (outcome.status, outcome.steps) == ("collapsed", 6)
    np.testing.assert_allclose(outcome.variables["bias"], 4)


def test_weights_that_overflow_in_the_last_update_are_a_collapse(problem, scripted):
    """No loss shows it: it is computed before the update."""
    with pytest.warns(UserWarning, match="collapsed by step 2"):
        outcome = ju.run(scripted(batch_size=37, move=3e38), problem, KEY)
    assert (outcome.status, outcome.steps) == ("collapsed", 2)
    np.testing.assert_allclose(outcome.variables["bias"], 3e38, rtol=1e-6)


def test_every_epoch_has_an_order_of_its_own(problem):
    keys = run_keys(KEY)
    pool = SHORT.pool(keys.pool, problem)
    orders = [
        np.asarray(SHORT.batch_indices(keys.batch_indices, epoch, pool)) for epoch in range(2)
    ]
    assert not np.array_equal(*orders)
    assert np.array_equal(orders[0], SHORT.batch_indices(keys.batch_indices, 0, pool))


def test_numbers_of_any_spelling_share_one_program(counted, problem):
    model, traces = counted
    own = dataclasses.replace(problem, model=model)
    ju.run(dataclasses.replace(SHORT, learning_rate=1.0), own, KEY)
    once = len(traces)
    for rate in (1, np.float32(1), np.float64(1), jnp.float32(1)):
        ju.run(dataclasses.replace(SHORT, learning_rate=rate), own, KEY)
    assert len(traces) == once > 0


def test_a_one_shot_method_takes_no_steps(problem, scripted):
    outcome = ju.run(scripted(batch_size=37, epochs=0), problem, KEY)
    assert (outcome.status, outcome.steps, len(outcome.history)) == ("finished", 0, 1)
    chex.assert_trees_all_equal(
        jax.device_get(outcome.variables), jax.device_get(problem.variables)
    )


@LOOPS
def test_the_clock_counts_steps_and_epochs(loop, problem, scripted):
    outcome = ju.run(scripted(batch_size=19, epochs=3), problem, KEY, loop=loop)
    # Two steps an epoch: each entry holds their mean.
    assert [entry["of_step"] for entry in outcome.history[1:]] == [0.5, 2.5, 4.5]
    assert [entry["of_epoch"] for entry in outcome.history[1:]] == [0, 1, 2]
    assert {entry["of_steps"] for entry in outcome.history[1:]} == {6}
    assert {entry["of_epochs"] for entry in outcome.history[1:]} == {3}


def test_a_batch_holds_the_rows_asked_for_in_unit_range_and_marks_padding(problem):
    pool = ju.pool_rows(problem.retain, ju.RETAIN, augment=False)
    batch = take_batch(pool, jnp.array([5, 2, -1]), KEY, ju.crop_and_flip(1))
    np.testing.assert_allclose(batch.image[:2], problem.retain.image[[5, 2]] / 255, rtol=1e-6)
    np.testing.assert_array_equal(batch.label[:2], problem.retain.label[[5, 2]])
    np.testing.assert_array_equal(batch.weight, [1, 1, 0])
    assert batch.image.dtype == batch.weight.dtype == jnp.float32
    assert batch.label.dtype == batch.role.dtype == jnp.int32


def test_only_rows_with_the_flag_are_augmented(problem):
    pool = ju.pool_rows(problem.retain, ju.RETAIN, augment=False)
    pool = pool._replace(augment=jnp.arange(37) < 20)
    batch = take_batch(pool, jnp.arange(37), KEY, ju.crop_and_flip(1))
    same = np.isclose(batch.image, problem.retain.image / 255).all((1, 2, 3))
    assert same[20:].all()
    assert same[:20].mean() < 0.5


@pytest.mark.parametrize("count", [7, 8, 9])
@pytest.mark.parametrize("steps", [None, 5])
def test_rows_are_dealt_out_pass_by_pass(count, steps):
    rows = np.asarray(ju.shuffled_rows(KEY, jnp.arange(count) + 100, 4, steps=steps))
    per_pass = -(-count // 4)
    assert rows.shape == (steps or per_pass, 4)
    for start in range(0, len(rows) - per_pass + 1, per_pass):
        shown = rows[start : start + per_pass].ravel()
        assert sorted(shown[shown >= 0]) == list(range(100, 100 + count))
    if steps:
        assert not np.array_equal(rows[:per_pass], rows[per_pass : 2 * per_pass])


def test_hundreds_of_passes_are_one_loop_to_the_compiler():
    """A retain set goes round few forget rows as often; each pass is what it is by itself."""

    def equations(steps):
        return len(str(jax.make_jaxpr(lambda key: deal(key, steps))(KEY)).splitlines())

    def deal(key, steps):
        return ju.shuffled_rows(key, jnp.arange(5), 2, steps=steps)

    assert equations(600) == equations(30)
    rows = np.asarray(deal(KEY, 600)).reshape(200, 3, 2)
    for number in (0, 1, 199):
        order = jax.random.permutation(jax.random.fold_in(KEY, number), jnp.arange(5))
        np.testing.assert_array_equal(rows[number].ravel(), [*order, -1])


def test_training_draws_its_start_from_the_key_or_takes_the_one_given(problem):
    recipe = ju.retrain(batch_size=10, epochs=1, learning_rate=0.0, weight_decay=0.0)
    given = ju.train(
        recipe, problem.model, problem.retain, KEY, num_classes=5, initial=problem.initial
    )
    chex.assert_trees_all_equal(jax.device_get(given.variables), jax.device_get(problem.initial))
    drawn = ju.train(recipe, problem.model, problem.retain, KEY, num_classes=5)
    expected = problem.model.init(jax.random.split(KEY)[0])
    chex.assert_trees_all_equal(jax.device_get(drawn.variables), jax.device_get(expected))


def test_a_batch_larger_than_the_data_is_refused_before_the_method_starts(problem):
    with pytest.raises(InputError, match=r"^batch_size=38: FineTune has only 37 examples to show"):
        ju.run(dataclasses.replace(SHORT, batch_size=38), problem, KEY)


def test_steps_overwrite_the_state_they_are_given(problem):
    """Donation: a step's old state is gone, so that weights exist once and not twice."""
    state = SHORT.init(jax.random.key(0), problem)
    state = jax.tree.map(jnp.copy, state)
    pool = SHORT.pool(jax.random.key(1), problem)
    rows = jnp.arange(SHORT.batch_size)
    step_info = ju.StepInfo(*map(np.int32, (0, 1, 0, 1)), jax.random.key(3))
    batch = steps.take_batch(pool, rows, jax.random.key(2), None)
    layout = Layout(ju.make_mesh(1))
    steps.step(SHORT, state, batch, step_info, model=problem.model, layout=layout)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.variables))


def test_one_program_serves_every_spelling_of_a_number(problem):
    before = steps.step._cache_size()
    for rate in (0.1, 1, np.float32(0.3)):
        method = dataclasses.replace(SHORT, learning_rate=rate, epochs=1, batch_size=11)
        ju.run(method, problem, KEY, loop="python", mesh=ju.make_mesh(1))
    assert steps.step._cache_size() - before == 1


def test_a_one_shot_method_is_only_its_init(problem):
    class Halve(ju.Unlearner):
        def init(self, key, problem):
            return DescentState(jax.tree.map(lambda x: x / 2, problem.variables), ())

    outcome = ju.run(Halve(), problem, KEY)
    assert outcome.steps == 0
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b / 2), outcome.variables, problem.variables
    )


@pytest.mark.parametrize(
    ("count", "length"),
    [(7, 7), (128, 128), (352, 88), (391, 128), (390, 78), (256, 128), (130, 65)],
)
def test_an_epoch_is_cut_into_compiled_loops_of_one_length_where_it_can_be(count, length):
    assert trainer.loop_steps(count) == length


@pytest.mark.parametrize("placement", ["device", "sharded", "host"])
def test_steps_become_compiled_loops_on_accelerators_where_the_data_are_there(placement):
    options = Options(placement=placement)
    scanned = {platform: options.scanned(platform) for platform in ("cpu", "gpu", "tpu")}
    assert scanned == {"cpu": False, "gpu": placement != "host", "tpu": placement != "host"}


class Ahead(Callback):
    """Counts the steps, or compiled loops, before the last that the device has not ended."""

    def __init__(self, bound):
        self.bound, self.late = bound, []

    def on_step(self, trainer):
        asked = trainer._reported[: -self.bound or None]
        self.late.append(sum(not x.is_ready() for x in jax.tree.leaves(asked)))


@LOOPS
def test_the_host_waits_for_the_device_so_that_a_signal_is_seen_in_time(loop, problem, monkeypatch):
    monkeypatch.setattr(trainer, "MAX_SCAN_STEPS", 1)
    monkeypatch.setattr(trainer, "STEPS_AHEAD", 2)

    def slow(variables, x, **options):
        logits, new = problem.model.apply(variables, x, **options)
        heavy = jnp.full((256, 256), 1 / 256) + 0.0 * logits.sum()
        heavy = jax.lax.fori_loop(0, 60, lambda _, a: a @ a, heavy)
        return logits + 0.0 * heavy[0, 0], new

    slowed = dataclasses.replace(problem, model=dataclasses.replace(problem.model, apply=slow))
    method, ahead = ju.finetune(batch_size=4, epochs=2), Ahead(2 if loop == "python" else 1)
    options = {"mesh": ju.make_mesh(1), "loop": loop, "callbacks": [ahead]}
    ju.run(method, slowed, jax.random.key(0), **options)
    assert ahead.late == [0] * 20


@pytest.mark.parametrize("wrong", [ju.finetune, 3, None])
def test_what_is_no_method_is_refused(problem, wrong):
    with pytest.raises(InputError, match=r"^unlearner=.*: expected a method with its hyper"):
        ju.run(wrong, problem, jax.random.key(0))
    with pytest.raises(InputError, match=r"^unlearner="):
        ju.run_many([ju.RunSpec(wrong, problem, jax.random.key(0))])


@pytest.mark.parametrize("wrong", [3, None, np.zeros(2, np.float32)])
def test_a_seed_is_no_key(problem, wrong):
    with pytest.raises(InputError, match=r"^key=.*: expected one key, such as jax.random.key"):
        ju.run(ju.finetune(), problem, wrong)
    with pytest.raises(InputError, match=r"^key="):
        ju.train(ju.retrain(), problem.model, problem.retain, wrong, num_classes=10)
