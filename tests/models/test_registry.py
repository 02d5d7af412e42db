"""Networks by name: one object per set of arguments, and one line for every wrong argument."""

import functools
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_unlearn.core import InputError, Model
from jax_unlearn.models import MODELS, NORMALIZATIONS, convnet, from_linen, make_model


@pytest.mark.parametrize("name", MODELS)
def test_equal_arguments_give_the_same_object_however_they_are_written(name):
    normalize = NORMALIZATIONS["cifar10"]
    one = MODELS[name](10, (32, 32, 3), normalize=normalize)
    lists = [list(part) for part in normalize]
    assert MODELS[name](num_classes=10, image_shape=[32, 32, 3], normalize=lists) is one
    assert make_model(name, np.int64(10), (32, 32, 3), normalize=normalize) is one
    assert make_model(name, 11, (32, 32, 3), normalize=normalize) is not one
    assert make_model(name, 10, (32, 32, 3), normalize=normalize, dtype="bfloat16") is not one
    assert one.name == name


def test_a_function_of_a_model_compiles_once_for_equal_models():
    traces = []

    @functools.partial(jax.jit, static_argnames="model")
    def logits(model, variables, images):
        traces.append(model.name)
        return model.logits(variables, images)

    images = jnp.zeros((2, 8, 8, 1))
    for _ in range(2):
        model = make_model("convnet", 10, (8, 8, 1), width=4)
        logits(model, model.init(jax.random.key(0)), images)
    assert traces == ["convnet"]


def test_the_same_key_gives_the_same_weights_and_another_key_others():
    model = convnet(10, (8, 8, 1), width=4)
    one, same, other = (model.init(jax.random.key(seed)) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    kernel = one["params"]["conv1"]["kernel"]
    assert not jnp.array_equal(kernel, other["params"]["conv1"]["kernel"])


def test_a_linen_network_without_batch_statistics_becomes_a_model():
    class Linear(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            del train
            return nn.Dense(3)(images.reshape(images.shape[0], -1))

    model = from_linen(Linear(), (4, 4, 1), name="linear")
    variables = model.init(jax.random.key(0))
    logits, after = model.apply(variables, jnp.ones((2, 4, 4, 1)), train=True)
    assert logits.shape == (2, 3)
    jax.tree.map(np.testing.assert_array_equal, variables, after)


def test_statistics_that_padding_would_enter_are_warned_of():
    def init(key):
        return {"params": jax.random.normal(key, (16, 3)), "batch_stats": jnp.zeros(3)}

    def apply(variables, images, *, train):
        x = images.reshape(images.shape[0], -1) @ variables["params"]
        mean = x.mean(axis=0) if train else variables["batch_stats"]
        return x - mean[None], {**variables, "batch_stats": mean}

    model = Model(init, apply, name="normed")
    masked = make_model("resnet20", 3, (8, 8, 3), width=4)
    weight = jnp.array([1.0, 0.0])

    def forward(model, image_shape, train):
        variables = model.init(jax.random.key(0))
        images = jnp.ones((2, *image_shape))
        model.forward(variables, images, train=train, weight=weight, key=None)

    with pytest.warns(UserWarning, match="'normed': it updates a state"):
        forward(model, (4, 4, 1), True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forward(model, (4, 4, 1), False)
        forward(masked, (8, 8, 3), True)


@pytest.mark.adam
@pytest.mark.runs_long
def test_convnet_learns_the_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    labels = digits.target.astype(np.int32)
    train, test = slice(0, 1200), slice(1200, None)
    model = convnet(10, (8, 8, 1))
    variables = model.init(jax.random.key(0))
    optimizer = optax.sgd(0.1, momentum=0.9)
    state = optimizer.init(variables["params"])

    @jax.jit
    def step(variables, state, rows):
        def loss(params):
            logits, after = model.apply({**variables, "params": params}, x[rows], train=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y[rows]).mean(), after

        gradient, after = jax.grad(loss, has_aux=True)(variables["params"])
        updates, state = optimizer.update(gradient, state)
        return {**after, "params": optax.apply_updates(variables["params"], updates)}, state

    x, y = jnp.asarray(images[train]), jnp.asarray(labels[train])
    orders = np.random.RandomState(0)
    for _ in range(12):
        for rows in orders.permutation(1200).reshape(-1, 120):
            variables, state = step(variables, state, rows)
    predicted = jax.jit(model.logits)(variables, images[test]).argmax(-1)
    assert (np.asarray(predicted) == labels[test]).mean() > 0.93


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "resnet_18"}, r"model='resnet_18': did you mean resnet18"),
        ({"num_classes": 1}, r"num_classes=1: expected a whole number >= 2"),
        ({"num_classes": 2.5}, r"num_classes=2.5: expected a whole number >= 2"),
        ({"width": 0}, r"width=0: expected a whole number >= 1"),
        ({"dtype": "float16"}, r"dtype='float16': did you mean bfloat16 or float32"),
        ({"image_shape": (16, 16, 3)}, r"image_shape=\(16, 16, 3\): vgg16_bn needs images of at"),
        ({"image_shape": (32, 32)}, r"image_shape=\(32, 32\): expected \(height, width, channels"),
        ({"image_shape": (32, 0, 3)}, r"image_shape=\(32, 0, 3\): expected \(height, width, ch"),
        ({"image_shape": 32}, r"image_shape=32: expected \(height, width, channels\)"),
        ({"normalize": ((0.5, 0.5), (0.5,))}, r"normalize=.*: expected \(mean, std\), each of 1"),
        ({"normalize": ((0.5,), (0.0,))}, r"normalize=.*: expected .* std above 0"),
        ({"normalize": ((float("nan"),), (1.0,))}, r"normalize=.*: expected .* finite"),
        ({"normalize": ((), ())}, r"normalize=.*: expected \(mean, std\)"),
        ({"normalize": 0.5}, r"normalize=0.5: expected \(mean, std\)"),
    ],
)
def test_a_wrong_argument_is_answered_in_one_line_that_names_it(change, message):
    arguments = {"name": "vgg16_bn", "num_classes": 10, "image_shape": (32, 32, 3)} | change
    with pytest.raises(InputError, match=message) as error:
        make_model(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "smallest"),
    [("convnet", 4), ("resnet8", 4), ("resnet8_halved", 8), ("resnet18", 8), ("vgg16_bn", 32)],
)
def test_the_smallest_image_is_taken_and_one_pixel_less_refused(name, smallest):
    model = make_model(name, 10, (smallest, smallest, 3), width=2)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, smallest, smallest, 3), jnp.float32)
    assert jax.eval_shape(model.logits, variables, images).shape == (2, 10)
    with pytest.raises(InputError, match=f"at least {smallest}x{smallest} pixels"):
        make_model(name, 10, (smallest, smallest - 1, 3), width=2)
