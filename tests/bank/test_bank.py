"""Training a bank: what is there is not trained again, whoever asks."""

import dataclasses
import multiprocessing
import os

import chex
import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import bank
from jax_unlearn.bank import (
    DataDescription,
    Labelled,
    Member,
    describe_method,
    fill,
    open_bank,
)
from jax_unlearn.core import InputError
from jax_unlearn.engine import RunSpec, make_mesh
from jax_unlearn.engine.signals import Interrupted
from jax_unlearn.models.predict import predict_logits

RECIPE = ju.retrain(batch_size=10, epochs=1, learning_rate=0.1, schedule="constant")


def describe(problem):
    train, test = problem.retain, problem.forget
    return DataDescription(
        "tiny", "f" * 32, 5, Labelled(train.id, train.label), Labelled(test.id, test.label)
    )


def images(problem):
    return problem.retain.image, problem.forget.image


def member(problem, seed, recipe=RECIPE, built=None):
    def job():
        if built is not None:
            built.append(seed)
        return RunSpec(recipe, problem, jax.random.key(seed))

    ingredients = {
        "kind": "original",
        "data": "f" * 32,
        "removed": None,
        "request": None,
        "network": {"name": "linear"},
        "recipe": describe_method(recipe),
        "seed": seed,
        "version": bank.RECIPE_VERSION,
        "method": None,
        "original": None,
    }
    return Member(ingredients, job)


def filled(path, problem, seeds, **options):
    stored = open_bank(path, data=describe(problem), create=True)
    built = options.pop("built", None)
    members = [member(problem, seed, built=built) for seed in seeds]
    return stored, fill(stored, members, problem.model, images(problem), **options)


def test_a_model_of_the_bank_is_the_model_trained_alone_bit_for_bit(tmp_path, problem):
    stored, records = filled(tmp_path / "bank", problem, range(6))
    assert [record.ingredients["seed"] for record in records] == list(range(6))
    for seed, record in enumerate(records):
        alone = ju.run(RECIPE, problem, jax.random.key(seed), mesh=make_mesh(1))
        weights = stored.weights(record, problem.variables)
        chex.assert_trees_all_equal(jax.device_get(weights), jax.device_get(alone.variables))
        train, test = stored.outputs(record)
        for outputs, image in zip((train, test), images(problem), strict=True):
            expected = predict_logits(problem.model, alone.variables, image)
            np.testing.assert_allclose(outputs.logits, expected, rtol=1e-5, atol=1e-6)
        assert record.outcome["status"] == "finished"
        assert record.outcome["steps"] == 4


def test_what_the_bank_holds_is_not_trained_again(tmp_path, problem):
    stored = open_bank(tmp_path / "bank", data=describe(problem), create=True)
    built, done = [], []
    for seeds in (range(3), range(5), range(5)):
        members = [member(problem, seed, built=built) for seed in seeds]
        fill(
            stored,
            members,
            problem.model,
            images(problem),
            on_done=lambda *count: done.append(count),
        )
    assert sorted(built) == [0, 1, 2, 3, 4]
    assert done == [(3, 3), (5, 5)]


def test_models_of_the_bank_gain_what_has_become_known_of_them(tmp_path, problem):
    stored, (record,) = filled(tmp_path / "bank", problem, [0])
    remarks = {"failed": "no setting found that forgets"}
    told = dataclasses.replace(member(problem, 0), remarks=remarks)
    untold = member(problem, 0)
    for asked in (told, untold):
        (after,) = fill(stored, [asked], problem.model, images(problem))
        assert after == dataclasses.replace(record, outcome={**record.outcome, **remarks})


def test_a_watched_history_is_whole_though_an_unwatched_training_was_cut_off(tmp_path, problem):
    recipe = ju.retrain(batch_size=10, epochs=3, learning_rate=0.1, schedule="constant")
    stored = open_bank(tmp_path / "bank", data=describe(problem), create=True)
    given = (stored, [member(problem, 0, recipe)], problem.model, images(problem))
    asked = []

    def interrupted():
        asked.append(1)
        return 15 if len(asked) > 4 else None

    with pytest.raises(Interrupted):
        fill(*given, interrupted=interrupted, checkpoint_seconds=0.0, loop="python")
    assert list((stored.path / "unfinished").iterdir())
    (record,) = fill(*given, watch=lambda variables: {"seen": 1.0}, loop="python")
    assert [entry["seen"] for entry in record.outcome["history"]] == [1.0] * 4


def test_weights_are_stored_only_where_they_are_to_be_kept(tmp_path, problem):
    stored, (record,) = filled(tmp_path / "bank", problem, [0], keep_weights=False)
    folder = stored.path / "models" / record.address
    assert {path.name for path in folder.iterdir()} == {"record.json", "outputs.npz"}
    assert stored.sound(record.address)
    assert stored.outputs(record)[0].logits.shape == (37, 5)
    with pytest.raises(InputError, match="holds what it predicts but not its weights"):
        stored.weights(record, problem.variables)
    _, (again,) = filled(tmp_path / "bank", problem, [0], built=(built := []))
    assert built == []
    assert again.address == record.address


def test_every_step_entry_and_model_is_reported(tmp_path, problem):
    steps, stored, entries = [], [], []
    _, records = filled(
        tmp_path / "bank",
        problem,
        range(2),
        mesh=make_mesh(1),
        on_step=lambda *count: steps.append(count),
        on_stored=lambda record: stored.append(record.ingredients["seed"]),
        on_entry=lambda made_of, *entry: entries.append((made_of["seed"], *entry)),
    )
    histories = [(r.ingredients["seed"], r.outcome["history"]) for r in records]
    assert entries == [(s, n, entry) for s, history in histories for n, entry in enumerate(history)]
    assert steps == [(done, 4) for done in (1, 2, 3, 4)] * 2
    assert stored == [0, 1]


def test_a_training_that_is_taken_up_again_is_reported(tmp_path, problem):
    def interrupted():
        return 15 if len(asked) > 1 else asked.append(1)

    asked, resumed = [], []
    given = {"mesh": make_mesh(1), "loop": "python", "checkpoint_seconds": 0.0}
    with pytest.raises(Interrupted):
        filled(tmp_path / "bank", problem, [0], interrupted=interrupted, **given)
    note = lambda *count: resumed.append(count)  # noqa: E731
    _, (cut,) = filled(tmp_path / "bank", problem, [0], on_resumed=note, **given)
    _, (whole,) = filled(tmp_path / "whole", problem, [0], on_resumed=note, **given)
    assert resumed == [(3, 4)]
    assert cut.address == whole.address
    one, other = (open_bank(tmp_path / name) for name in ("bank", "whole"))
    chex.assert_trees_all_equal(
        one.weights(cut, problem.variables), other.weights(whole, problem.variables)
    )


def test_a_training_with_no_step_left_is_reported_too(tmp_path, problem, monkeypatch):
    def killed(*given):
        raise SystemExit

    resumed = []
    given = {"mesh": make_mesh(1), "checkpoint_seconds": 0.0}
    monkeypatch.setattr(bank.Bank, "store", killed)
    with pytest.raises(SystemExit):
        filled(tmp_path / "bank", problem, [0], **given)
    monkeypatch.undo()
    note = lambda *count: resumed.append(count)  # noqa: E731
    filled(tmp_path / "bank", problem, [0], on_resumed=note, **given)
    assert resumed == [(4, 4)]


@pytest.mark.parametrize("placement", ["device", "host"])
def test_models_are_the_same_wherever_the_data_lie(tmp_path, problem, placement):
    stored, (record,) = filled(tmp_path / "bank", problem, [0], placement=placement)
    alone = ju.run(RECIPE, problem, jax.random.key(0), mesh=make_mesh(1))
    weights = stored.weights(record, problem.variables)
    chex.assert_trees_all_equal(jax.device_get(weights), jax.device_get(alone.variables))


def test_a_batch_may_be_spread_over_devices_too(tmp_path, problem):
    stored, records = filled(tmp_path / "bank", problem, range(2), mesh=make_mesh(2, 2))
    for seed, record in enumerate(records):
        alone = ju.run(RECIPE, problem, jax.random.key(seed), mesh=make_mesh(1))
        weights = stored.weights(record, problem.variables)
        chex.assert_trees_all_close(weights, jax.device_get(alone.variables), rtol=1e-5, atol=1e-6)


def test_other_settings_are_another_model():
    recipe = describe_method(RECIPE)
    assert recipe["name"] == "Retrain"
    assert recipe["arguments"]["learning_rate"] == 0.1
    other = describe_method(ju.retrain(batch_size=10, epochs=1, learning_rate=0.2))
    assert other != recipe


def test_a_collapsed_training_is_said_and_not_stored(tmp_path, problem):
    stored = open_bank(tmp_path / "bank", data=describe(problem), create=True)
    wild = ju.retrain(batch_size=10, epochs=1, learning_rate=1e38)
    with (
        pytest.warns(UserWarning, match="collapsed"),
        pytest.raises(InputError, match=r"^learning_rate=1e\+38: training of the original of seed"),
    ):
        fill(stored, [member(problem, 0, wild)], problem.model, images(problem))
    assert stored.records() == []


def test_a_damaged_model_is_said_and_trained_again_and_hinders_no_other(tmp_path, problem):
    stored = open_bank(tmp_path / "bank", data=describe(problem), create=True)
    given = problem.model, images(problem)
    first, second = fill(stored, [member(problem, 0), member(problem, 1)], *given)
    logits = stored.outputs(first)[0].logits
    for record in (first, second):
        file = stored.path / "models" / record.address / "record.json"
        file.write_bytes(file.read_bytes()[:20])
    with pytest.warns(UserWarning, match=f"model {first.address} is damaged; it is trained again"):
        (again,) = fill(stored, [member(problem, 0)], *given)
    np.testing.assert_array_equal(stored.outputs(again)[0].logits, logits)
    with pytest.raises(InputError, match=second.address):
        stored.records()


def _work(path, problem_maker, seeds, queue):
    os.environ["JAX_PLATFORMS"] = "cpu"
    problem = problem_maker()
    built = []
    stored = open_bank(path, data=describe(problem), create=True)
    members = [member(problem, seed, built=built) for seed in seeds]
    records = fill(stored, members, problem.model, images(problem), mesh=make_mesh(1))
    queue.put((built, len(records)))


def make_problem():
    """As the fixture; a process that is spawned has no fixtures."""
    rng = np.random.default_rng(0)

    def init(key):
        return {"weight": 0.1 * jax.random.normal(key, (16, 5))}

    def apply(variables, x, *, train):
        return x.reshape(len(x), 16) @ variables["weight"], variables

    def examples(count, first):
        image = rng.integers(0, 256, (count, 4, 4, 1), np.uint8)
        return ju.Examples(image, np.arange(count, dtype=np.int32) % 5, np.arange(count) + first)

    model = ju.Model(init, apply, "linear")
    variables = model.init(jax.random.key(0))
    return ju.Problem(
        model, variables, examples(13, 0), examples(37, 13), 5, variables, ju.crop_and_flip(1)
    )


def test_training_is_what_it_was_when_the_recipes_version_was_set():
    """If this fails the code trains other models: raise RECIPE_VERSION, then these numbers."""
    recipe = ju.retrain(batch_size=10, epochs=3, learning_rate=0.1, schedule="cosine")
    outcome = ju.run(recipe, make_problem(), jax.random.key(0), mesh=make_mesh(1))
    assert bank.RECIPE_VERSION == 1
    losses = [entry["loss"] for entry in outcome.history[1:]]
    np.testing.assert_allclose(losses, [1.623965, 1.647716, 1.600668], rtol=1e-5)
    total = float(np.abs(outcome.variables["weight"]).sum())
    assert total == pytest.approx(6.0513582, rel=1e-5)


def test_two_processes_share_the_work_and_train_nothing_twice(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [
        context.Process(target=_work, args=(tmp_path / "bank", make_problem, range(12), queue))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    results = [queue.get(timeout=3600) for _ in workers]
    for worker in workers:
        worker.join(timeout=3600)
    assert sorted(seed for built, _ in results for seed in built) == list(range(12))
    assert [count for _, count in results] == [12, 12]
