"""Re-initialised linear layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.methods.reinit import reinit_linear_layers


def test_linear_weights_are_xavier_normal_with_gain_root_two():
    params = {"fc": {"kernel": jnp.zeros((300, 200)), "bias": jnp.arange(200.0)}}
    new = reinit_linear_layers(jax.random.key(0), {"params": params})["params"]["fc"]["kernel"]
    deviation = np.sqrt(2) * np.sqrt(2 / 500)
    assert float(new.std()) == pytest.approx(deviation, rel=0.01)
    assert float(new.mean()) == pytest.approx(0, abs=deviation / 50)
    # A normal distribution has 68.27 % within one deviation.
    assert float(jnp.mean(jnp.abs(new) < deviation)) == pytest.approx(0.6827, abs=0.006)


def test_biases_convolutions_and_batch_statistics_are_kept_bit_for_bit():
    variables = {
        "params": {
            "conv": {"kernel": jnp.ones((3, 3, 2, 4))},
            "bn": {"scale": jnp.ones(4)},
            "fc": {"kernel": jnp.ones((4, 5)), "bias": jnp.arange(5.0)},
        },
        "batch_stats": {"gram": jnp.ones((4, 4))},
    }
    new = reinit_linear_layers(jax.random.key(0), variables)
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), variables, new)
    assert changed["params"]["fc"] == {"kernel": True, "bias": False}
    changed["params"]["fc"]["kernel"] = False
    assert not any(jax.tree.leaves(changed))


def test_layers_of_one_shape_get_different_weights():
    params = {"a": jnp.zeros((8, 8)), "b": jnp.zeros((8, 8))}
    new = reinit_linear_layers(jax.random.key(0), params)
    assert np.all(np.asarray(new["a"] != new["b"]))


def test_a_network_without_a_linear_layer_is_refused():
    with pytest.raises(InputError, match=r"^reinit_linear=True: expected .*; set it to False$"):
        reinit_linear_layers(jax.random.key(0), {"params": {"kernel": jnp.ones((3, 3, 1, 1))}})
