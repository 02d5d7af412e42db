"""Predictions are the model's logits, whatever the size of the sets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.models.predict import predict_logits


def direct(problem, examples):
    image = jnp.asarray(examples.image, jnp.float32) / 255
    return np.asarray(problem.model.logits(problem.variables, image))


@pytest.mark.parametrize("batch_size", [1, 7, 8, 64])
def test_predictions_are_the_direct_logits_in_the_order_given(batch_size, problem, examples):
    test = examples(9, seed=5)
    forgotten = np.arange(9) % 2 == 0
    predictions = ju.predict(
        problem.model,
        problem.variables,
        forget=problem.forget,
        retain=problem.retain,
        test=test,
        test_forgotten=forgotten,
        batch_size=batch_size,
    )
    for name, part in (("forget", problem.forget), ("retain", problem.retain), ("test", test)):
        outputs = getattr(predictions, name)
        np.testing.assert_allclose(outputs.logits, direct(problem, part), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(outputs.label, part.label)
        np.testing.assert_array_equal(outputs.id, part.id)
        assert (outputs.logits.dtype, outputs.label.dtype) == (np.float32, np.int32)
        assert outputs.id.dtype == np.int64
    np.testing.assert_array_equal(predictions.test_forgotten, forgotten)
    assert predictions.test_forgotten.dtype == bool


@pytest.mark.parametrize("devices", [n for n in (1, 2, 3, 4, 8) if n <= jax.device_count()])
def test_weights_on_a_mesh_give_the_same_logits(devices, problem):
    unlearner = ju.finetune(batch_size=10, epochs=1, learning_rate=0.0)
    on_mesh = ju.run(unlearner, problem, jax.random.key(0), mesh=ju.make_mesh(devices)).variables
    logits = predict_logits(problem.model, on_mesh, problem.retain.image, batch_size=10)
    np.testing.assert_allclose(logits, direct(problem, problem.retain), rtol=1e-5, atol=1e-6)


def test_sets_of_any_size_share_one_program(counted, problem, examples):
    model, traces = counted
    for count in (3, 20, 33):
        logits = predict_logits(model, problem.variables, examples(count).image, batch_size=10)
        assert logits.shape == (count, 5)
    assert traces == [False]
