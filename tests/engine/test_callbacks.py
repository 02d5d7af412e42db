"""Hooks of a run: what they see, in which order, and what they may do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine import Callback, Options, RunSpec, run_many
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

KEY = jax.random.key(0)
SHORT = ju.finetune(batch_size=10, epochs=2)
LOOPS = pytest.mark.parametrize("loop", ["python", "scan"])


class Notes(Callback):
    """Notes every call of a hook."""

    def __init__(self):
        self.calls = []

    def on_start(self, trainer):
        self.calls.append(("start", trainer.steps_done))

    def measure(self, variables):
        self.calls.append(("measure", sorted(variables)))
        return {"bias": variables["bias"][0]}

    def on_step(self, trainer):
        self.calls.append(("step", trainer.steps_done, trainer.steps_planned))

    def on_epoch(self, trainer):
        self.calls.append(("epoch", len(trainer.progress.histories[0])))

    def on_end(self, trainer):
        self.calls.append(("end", trainer.steps_done))


def test_every_hook_is_called_in_its_place(problem):
    notes = Notes()
    result = ju.run(SHORT, problem, KEY, loop="python", callbacks=[notes])
    measured = ("measure", ["bias", "weight"])
    assert notes.calls == [
        ("start", 0),
        measured,
        *(("step", step, 8) for step in range(1, 5)),
        measured,
        ("epoch", 2),
        *(("step", step, 8) for step in range(5, 9)),
        measured,
        ("epoch", 3),
        ("end", 8),
    ]
    assert all("bias" in entry for entry in result.history)


@LOOPS
def test_callbacks_change_no_result(loop, problem):
    bare = ju.run(SHORT, problem, KEY, loop=loop)
    noted = ju.run(SHORT, problem, KEY, loop=loop, callbacks=[Notes(), Callback()])
    jax.tree.map(np.testing.assert_array_equal, bare.variables, noted.variables)


def test_a_callback_that_only_reports_has_no_weights_handed_out(problem, monkeypatch):
    """Of models side by side that is a copy on the host."""
    from jax_unlearn.sharding import Layout

    taken, take = [], Layout.take
    monkeypatch.setattr(Layout, "take", lambda *given: taken.append(1) or take(*given))
    run_many([RunSpec(SHORT, problem, KEY)], callbacks=[Callback()], on_step=lambda *_: None)
    # For the result alone.
    assert len(taken) == jax.device_count()


def test_what_a_callback_raises_ends_the_run(problem):
    class Stop(Callback):
        def on_epoch(self, trainer):
            raise KeyError(trainer.steps_done)

    with pytest.raises(KeyError, match="4"):
        ju.run(SHORT, problem, KEY, callbacks=[Stop()])


def test_a_callback_starts_where_the_checkpoints_have_brought_the_run(problem, tmp_path):
    class Stop(Callback):
        def on_epoch(self, trainer):
            raise KeyError

    with pytest.raises(KeyError), Checkpoints(tmp_path, {}, every_seconds=0) as saved:
        ju.run(SHORT, problem, KEY, checkpoints=saved, callbacks=[Stop()])
    notes = Notes()
    with Checkpoints(tmp_path, {}) as saved:
        ju.run(SHORT, problem, KEY, checkpoints=saved, callbacks=[notes])
    assert notes.calls[0] == ("start", 3)


def test_several_models_report_their_steps_once(problem):
    seen = []
    specs = [RunSpec(SHORT, problem, jax.random.key(i)) for i in range(3)]
    run_many(specs, on_step=lambda *counts: seen.append(counts))
    assert seen == [(step, 8) for step in range(1, 9)]


def test_options_may_be_given_as_one(problem):
    options = Options(loop="python", watch=lambda variables: {"watched": 5.0})
    whole = ju.run(SHORT, problem, KEY, options)
    (one,) = run_many([RunSpec(SHORT, problem, KEY)], options, watch=None)
    assert whole.history[-1]["watched"] == 5.0
    assert "watched" not in one.history[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loop": "scam"}, "loop='scam': did you mean scan"),
        ({"placement": "disk"}, "placement='disk': expected one of device, host, sharded"),
        ({"loop": "scan", "placement": "host"}, "loop='scan': a compiled loop draws from data on"),
    ],
)
def test_options_are_checked_before_anything_is_computed(options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        ju.run(None, None, None, **options)


def test_an_option_that_there_is_not_is_an_error(problem):
    with pytest.raises(InputError, match=r"^option='watches': did you mean watch\?"):
        ju.run(SHORT, problem, KEY, watches=None)


def test_a_result_shows_itself_in_one_line(problem):
    shown = repr(ju.run(SHORT, problem, KEY))
    assert shown.startswith("Result(finished after 8 steps, ")
    assert ", 85 weights; step 8, loss " in shown
    assert "\n" not in shown
    assert len(shown) < 200


class Changed(ju.Unlearner):
    """Gives back a state that is not like the one it was given."""

    how: str = "type"

    @property
    def num_epochs(self):
        return 1

    def init(self, key, problem):
        del key
        return {"variables": problem.variables}

    def pool(self, key, problem):
        del key
        return ju.pool_rows(problem.retain, ju.RETAIN, augment=False)

    def step(self, model, state, batch, info):
        del model, batch, info
        change = {
            "type": lambda x: x.astype(jnp.float16),
            "shape": lambda x: x[:1],
            "tree": lambda x: (x, x),
        }
        return {"variables": jax.tree.map(change[self.how], state["variables"])}, {}


@LOOPS
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("type", r"changes \['variables'\]\['bias'\] from float32\[5\] to float16\[5\]"),
        ("shape", r"changes \['variables'\]\['bias'\] from float32\[5\] to float32\[1\]"),
        ("tree", "returns a tree of another structure"),
    ],
)
def test_a_step_that_changes_its_states_form_is_refused(how, message, loop, problem):
    with pytest.raises(InputError, match=f"^state: a step of Changed {message}; expected") as error:
        ju.run(Changed(batch_size=10, how=how), problem, KEY, loop=loop)
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_augmentation_is_refused(problem, tmp_path):
    with Checkpoints(tmp_path, {}, every_seconds=0) as saved:
        ju.run(SHORT, problem, KEY, checkpoints=saved)
    other = dataclasses.replace(problem, augment=None)
    with (
        Checkpoints(tmp_path, {}) as saved,
        pytest.raises(InputError, match=r"augment is CropAndFlip.* there and None here"),
    ):
        ju.run(SHORT, other, KEY, checkpoints=saved)
