"""The network of the golden files, with PyTorch's BatchNorm."""

import jax
import jax.numpy as jnp

import jax_unlearn as ju

KEEP = 0.9
EPSILON = 1e-5


def _convolve(images, kernel, stride):
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _normalise(x, params, statistics, train, weight, unbiased):
    """Normalise over all but channels; running variances get the unbiased one, unlike Flax's."""
    mean, var = statistics["mean"], statistics["var"]
    if train:
        weight = jnp.ones(len(x), x.dtype) if weight is None else weight.astype(x.dtype)
        count = weight.sum() * x.shape[1] * x.shape[2]
        share = (weight / count)[:, None, None, None]
        mean = (share * x).sum((0, 1, 2))
        var = (share * (x - mean[None, None, None]) ** 2).sum((0, 1, 2))
        fed = var * count / (count - 1) if unbiased else var
        statistics = {
            "mean": KEEP * statistics["mean"] + (1 - KEEP) * mean,
            "var": KEEP * statistics["var"] + (1 - KEEP) * fed,
        }
    x = (x - mean[None, None, None]) / jnp.sqrt(var + EPSILON)[None, None, None]
    x = x * params["scale"][None, None, None] + params["bias"][None, None, None]
    return x, statistics


def network(num_classes=7, *, unbiased=True):
    """Convolution, BatchNorm, ReLU, twice; mean over space; linear. Variables as ``Golden``'s."""

    def init(key):
        keys = jax.random.split(key, 3)
        shapes = ((3, 3, 3, 8), (3, 3, 8, 12), (12, num_classes))
        kernels = [jax.random.normal(k, s) * 0.2 for k, s in zip(keys, shapes, strict=True)]
        norms = {
            f"norm{i}": {"scale": jnp.ones(n), "bias": jnp.zeros(n)} for i, n in ((1, 8), (2, 12))
        }
        return {
            "params": {
                "conv1": {"kernel": kernels[0]},
                "conv2": {"kernel": kernels[1]},
                "dense": {"kernel": kernels[2], "bias": jnp.zeros(num_classes)},
                **norms,
            },
            "batch_stats": {
                f"norm{i}": {"mean": jnp.zeros(n), "var": jnp.ones(n)} for i, n in ((1, 8), (2, 12))
            },
        }

    def apply(variables, images, *, train, weight=None):
        params, statistics = variables["params"], dict(variables["batch_stats"])
        x = images
        for i, stride in ((1, 1), (2, 2)):
            x = _convolve(x, params[f"conv{i}"]["kernel"], stride)
            name = f"norm{i}"
            x, statistics[name] = _normalise(
                x, params[name], statistics[name], train, weight, unbiased
            )
            x = jax.nn.relu(x)
        logits = x.mean((1, 2)) @ params["dense"]["kernel"] + params["dense"]["bias"][None]
        return logits, {**variables, "batch_stats": statistics}

    return ju.Model(init, apply, "golden")
