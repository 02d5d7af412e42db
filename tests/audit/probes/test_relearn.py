import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn import Examples, Model
from jax_unlearn.audit.measures.relearn_time import RelearnCurve, mean_loss, relearn_time
from jax_unlearn.audit.probes.relearn import Relearn, relearn_curve
from jax_unlearn.core import InputError, Outputs

FALLING = RelearnCurve(np.array([0, 5, 10, 15]), np.array([2.0, 1.0, 0.5, 0.25]))


def linear():
    def init(key):
        return {"weight": jnp.zeros((16, 4))}

    def apply(variables, images, *, train):
        return images.reshape(len(images), 16) @ variables["weight"], variables

    return Model(init, apply, "linear")


def examples():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 4, 4, 1), np.uint8)
    return Examples(image, (np.arange(20) % 4).astype(np.int32), np.arange(20))


def curve(recipe, variables=None, seed=0):
    model = linear()
    variables = model.init(jax.random.key(0)) if variables is None else variables
    return relearn_curve(recipe, model, variables, examples(), jax.random.key(seed), num_classes=4)


def test_relearning_takes_the_steps_until_the_loss_is_first_at_the_target():
    assert relearn_time(FALLING, 0.5) == 10.0
    assert relearn_time(FALLING, 0.6) == 10.0
    assert relearn_time(FALLING, 2.0) == 0.0


def test_a_lower_target_never_takes_less_time():
    times = [relearn_time(FALLING, target) for target in (3.0, 1.5, 0.9, 0.3, 0.1)]
    assert times == sorted(times)


def test_a_target_that_is_never_reached_takes_for_ever():
    assert relearn_time(FALLING, 0.1) == math.inf


def test_a_loss_that_is_not_finite_before_the_target_leaves_the_time_unknown():
    broken = np.array([2.0, np.nan, 0.5, 0.25])
    assert math.isnan(relearn_time(FALLING._replace(losses=broken), 0.5))
    assert math.isnan(relearn_time(FALLING._replace(losses=broken), 0.1))
    assert relearn_time(FALLING._replace(losses=broken[::-1]), 0.25) == 0.0
    assert math.isnan(relearn_time(FALLING, math.nan))


def test_curves_that_do_not_match_are_refused():
    with pytest.raises(InputError, match=r"curve=steps \[4\] and losses \[3\]"):
        relearn_time(FALLING._replace(losses=np.ones(3)), 1.0)


def test_the_loss_of_an_uninformed_model_is_log_k():
    assert mean_loss(Outputs(np.zeros((5, 4)), np.arange(5) % 4, np.arange(5))) == np.log(4)


def test_the_curve_starts_at_the_given_weights_and_falls():
    found = curve(Relearn(epochs=6, every=2, batch_size=8, learning_rate=0.3))
    assert found.steps.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert found.losses[0] == pytest.approx(np.log(4), rel=1e-6)
    assert found.losses[-1] < found.losses[0]


def test_how_often_one_looks_changes_no_loss():
    often = curve(Relearn(epochs=6, every=1, batch_size=8))
    seldom = curve(Relearn(epochs=2, every=3, batch_size=8))
    np.testing.assert_allclose(seldom.losses, often.losses[::3], rtol=1e-6)


def test_the_run_ends_at_the_target_and_relearning_starts_sooner_from_what_is_known():
    whole = curve(Relearn(epochs=30, batch_size=20, learning_rate=0.5))
    target = 0.5 * (whole.losses[10] + whole.losses[11])
    short = curve(Relearn(epochs=30, batch_size=20, learning_rate=0.5, target=target))
    assert short.steps[-1] == relearn_time(whole, target) == relearn_time(short, target) == 11.0


def test_full_batch_steps_are_plain_gradient_descent():
    found = curve(Relearn(epochs=1, batch_size=20, learning_rate=0.5))
    data = examples()
    x = (data.image / np.float32(255)).reshape(20, 16)
    gradient = x.T @ (np.full((20, 4), 0.25) - np.eye(4)[data.label]) / 20
    logits = -0.5 * x @ gradient
    expected = mean_loss(Outputs(logits, data.label, data.id))
    assert found.losses[1] == pytest.approx(expected, rel=1e-4)


def test_a_run_that_breaks_is_no_short_time():
    weights = {"weight": jnp.full((16, 4), jnp.nan)}
    with pytest.warns(UserWarning, match="collapsed"):
        broken = curve(Relearn(epochs=2, batch_size=8), weights)
    assert math.isnan(relearn_time(broken, 0.1))


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="every=0"):
        Relearn(every=0)
    with pytest.raises(InputError, match="batch_size=128: Relearn has only 20 examples"):
        curve(Relearn(epochs=1))
