"""The battery finds the fault of a method that has one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import InputError
from jax_unlearn.methods import DescentState
from jax_unlearn.testing import check_method, small_problem


class Sound(ju.Descent):
    """Fine-tuning by another name."""

    roles = (ju.RETAIN,)


def test_a_sound_method_of_ones_own_passes_as_class_and_as_constructor():
    check_method(Sound, epochs=1)
    check_method(ju.finetune, epochs=1)


def test_a_one_shot_method_passes():
    class Shrink(ju.Unlearner):
        share: float = 0.9

        def init(self, key, problem):
            params, _ = ju.split_variables(problem.variables)
            smaller = jax.tree.map(lambda x: self.share * x, params)
            return DescentState(ju.with_params(problem.variables, smaller), ())

    check_method(Shrink)


def test_a_one_shot_method_that_compiles_for_every_number_is_found():
    class Looks(ju.Unlearner):
        share: float = 0.9

        def init(self, key, problem):
            share = float(self.share)

            @jax.jit
            def shrunk(params):
                logits = problem.model.logits(ju.with_params(problem.variables, params), images)
                return jax.tree.map(lambda x: share * x + 0 * logits.sum(), params)

            images = ju.core.to_unit(problem.forget.image)
            params = shrunk(ju.split_variables(problem.variables)[0])
            return DescentState(ju.with_params(problem.variables, params), ())

    with pytest.raises(AssertionError, match=r"^Looks: other values of share compile anew$"):
        check_method(Looks)


def test_a_number_at_the_end_of_its_range_is_changed_the_other_way():
    class Shrink(ju.Unlearner):
        factor: float = 1.0

        def __post_init__(self):
            super().__post_init__()
            ju.core.check_number("factor", self.factor, low=1)

        def init(self, key, problem):
            params, _ = ju.split_variables(problem.variables)
            smaller = jax.tree.map(lambda x: 0.9 * x / self.factor, params)
            return DescentState(ju.with_params(problem.variables, smaller), ())

    check_method(Shrink)


def test_with_one_device_it_says_that_several_are_not_tried(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    with pytest.warns(UserWarning, match="^Sound: with one device it is not checked"):
        check_method(Sound, epochs=1)


class Keyless(Sound):
    """The same order whatever the key."""

    def batch_indices(self, key, epoch, pool):
        return super().batch_indices(jax.random.key(0), epoch, pool)

    def pool(self, key, problem):
        return super().pool(key, problem)._replace(augment=np.zeros(60, bool))


class CountsPadding(Sound):
    """A mean over all rows of a batch, those that pad it included."""

    def loss(self, forward, batch, extra, info):
        return functional.cross_entropy(forward(batch), batch.label).mean(), {}


class Widens(Sound):
    """A state that becomes float32 in the first step."""

    def step(self, model, state, batch, info):
        state, scalars = super().step(model, state, batch, info)
        wide = jax.tree.map(lambda x: x.astype(jnp.float32), state.variables)
        return state._replace(variables=wide), scalars


class ForgetsTheRest(Sound):
    """Says that it needs no retain examples, and needs them."""

    needs_retain = False


class Peeks(ju.Descent):
    """Says that it needs no retain examples, and takes those it is given."""

    roles = (ju.FORGET,)

    def pool(self, key, problem):
        if problem.retain is not None:
            problem = dataclasses.replace(problem, forget=problem.retain)
        return super().pool(key, problem)

    def count_rows(self, problem):
        return len((problem.retain or problem.forget).label)


class Overwrites(Sound):
    """Relabels the retain examples where they lie."""

    def pool(self, key, problem):
        problem.retain.label[:] = 0
        return super().pool(key, problem)


class Lazy(Sound):
    """Changes nothing."""

    def losses(self, logits, batch, extra, info):
        return 0.0 * super().losses(logits, batch, extra, info)

    weight_decay: float = 0.0


class WrongRows(Sound):
    """Names a row that the pool does not have."""

    def batch_indices(self, key, epoch, pool):
        return super().batch_indices(key, epoch, pool).at[0, 0].set(60)


class Miscounts(Sound):
    """Says that it shows other rows than it does."""

    def count_rows(self, problem):
        return 7


class MixesTypes(Sound):
    """Multiplies floats by truth values."""

    def losses(self, logits, batch, extra, info):
        return super().losses(logits, batch, extra, info) * (batch.role == ju.RETAIN)


class Rolls(Sound):
    """Draws a number that no key knows."""

    def losses(self, logits, batch, extra, info):
        return super().losses(logits, batch, extra, info) * np.random.default_rng().uniform()


class Breaks(Sound):
    """Loses all numbers at once."""

    def losses(self, logits, batch, extra, info):
        return super().losses(logits, batch, extra, info) * jnp.log(-1.0)


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        (Breaks, r"after a step its state\S* is NaN"),
        (Rolls, "a step that is traced anew gives another state"),
        (Keyless, "another key gives the same weights"),
        (CountsPadding, "which pad a batch, change the step"),
        (Widens, "with bfloat16 weights a step changes"),
        (MixesTypes, "a step mixes types without saying so"),
        (Lazy, "moves no weight"),
        (WrongRows, "batch_indices names rows"),
        (Miscounts, "count_rows says 7"),
        (Peeks, "needs_retain is False, and without retain examples its weights are others"),
        (Overwrites, "it changed the retain examples in place"),
    ],
)
def test_a_fault_is_named_in_a_sentence(method, sentence):
    with pytest.raises(AssertionError, match=f"^{method.__name__}: .*{sentence}"):
        check_method(method)


def test_a_method_that_needs_what_it_says_it_does_without_is_found_out():
    says = (
        r"^ForgetsTheRest: needs_retain is False, and without retain examples it ends in InputError"
    )
    with pytest.raises(AssertionError, match=says):
        check_method(ForgetsTheRest)


def test_the_problem_is_one_that_the_engine_accepts():
    problem = small_problem()
    result = ju.run(Sound(epochs=1, batch_size=20), problem, jax.random.key(0))
    assert result.status == "finished"
    assert dataclasses.is_dataclass(problem)


@pytest.mark.parametrize("given", [lambda: None, "finetune", 3, Sound(epochs=1)])
def test_what_makes_no_method_is_refused_in_a_line(given):
    with pytest.raises(InputError, match=r"^constructor=.*: expected a class derived from") as told:
        check_method(given)
    assert "\n" not in str(told.value)


def test_what_a_method_raises_is_a_sentence():
    class Branches(Sound):
        strength: float = 1.0

        def losses(self, logits, batch, extra, info):
            return logits.sum(-1) if self.strength > 0 else logits.mean(-1)

    with pytest.raises(AssertionError, match=r"^Branches: the check of .* ends in Tracer") as told:
        check_method(Branches, epochs=1)
    assert "\n" not in str(told.value)
