from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from jax_unlearn.core import InputError
from jax_unlearn.functional import (
    class_sensitivities,
    draw_irrelevant,
    input_sensitivity,
    mean_irrelevant_sensitivity,
    mumis_loss,
    mumis_terms,
    other_classes,
    rows_at_once,
)
from jax_unlearn.functional.sensitivity import DIFFERENTIATIONS as MODES

GOLDEN = Path(__file__).parents[1] / "golden"


def _golden(dtype):
    """Parameters, running statistics, batch and expected numbers; call inside enable_x64."""
    with np.load(GOLDEN / "mumis_small_net.npz") as arrays:
        data = dict(arrays)
    params = {k[6:]: jnp.asarray(v, dtype) for k, v in data.items() if k.startswith("param_")}
    stats = {k: jnp.asarray(data[k], dtype) for k in ("mean1", "var1", "mean2", "var2")}
    images = jnp.asarray(data["images"], dtype)
    classes = [jnp.asarray(data[k], jnp.int32) for k in ("labels", "irrelevant")]
    return params, stats, images, classes, data


def _small_net(params, stats, images):
    x = images
    for layer, stride in ((1, 1), (2, 2)):
        x = jax.lax.conv_general_dilated(
            x,
            params[f"conv{layer}"],
            (stride, stride),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        scale = params[f"scale{layer}"] / jnp.sqrt(stats[f"var{layer}"] + 1e-5)
        shift = params[f"bias{layer}"] - stats[f"mean{layer}"] * scale
        x = jax.nn.relu(x * scale[None, None, None] + shift[None, None, None])
    return x.mean(axis=(1, 2)) @ params["dense_kernel"] + params["dense_bias"][None]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_values_and_parameter_gradients_equal_golden(mode, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        params, stats, images, (labels, irrelevant), data = _golden(dtype)

        def loss(params):
            terms = mumis_terms(
                lambda x: _small_net(params, stats, x),
                images,
                labels,
                irrelevant,
                differentiate=mode,
            )
            return jnp.mean(terms[0] - terms[1]), terms

        logits = jax.jit(_small_net)(params, stats, images)
        (value, terms), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    np.testing.assert_allclose(logits, data["logits"], rtol=10 * tolerance)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, data["loss"], rtol=tolerance)
    np.testing.assert_allclose(terms[0], data["sensitivity_label"], rtol=tolerance)
    np.testing.assert_allclose(terms[1], data["sensitivity_irrelevant"], rtol=tolerance)
    for name, value in gradient.items():
        expected = data[f"grad_{name}"]
        # Entries that nearly cancel are held to the scale of their array.
        np.testing.assert_allclose(
            value, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max(), err_msg=name
        )


@pytest.mark.parametrize("which", ["label", "irrelevant"])
def test_input_sensitivity_equals_golden(which):
    params, stats, images, classes, data = _golden("float32")
    network = lambda x: _small_net(params, stats, x)  # noqa: E731
    sensitivity = jax.jit(lambda images, label: input_sensitivity(network, images, label))
    value = sensitivity(images, classes[which == "irrelevant"])
    np.testing.assert_allclose(value, data[f"sensitivity_{which}"], rtol=1e-5)


def _linear_case():
    rng = np.random.default_rng(0)
    weights, images = rng.normal(size=(12, 5)), rng.random((8, 2, 3, 2))
    labels = rng.integers(0, 5, 8)
    irrelevant = (labels + rng.integers(1, 5, 8)) % 5
    floats = (jnp.asarray(x, jnp.float32) for x in (weights, images))
    return *floats, *(jnp.asarray(x, jnp.int32) for x in (labels, irrelevant))


def _linear(weights):
    return lambda images: images.reshape(-1, 12) @ weights


@pytest.mark.parametrize("mode", MODES)
def test_on_a_linear_model_the_loss_is_the_mean_difference_of_squared_weight_norms(mode):
    weights, images, labels, irrelevant = _linear_case()

    def loss(w):
        return mumis_loss(_linear(w), images, labels, irrelevant, differentiate=mode)

    value, gradient = jax.jit(jax.value_and_grad(loss))(weights)
    norms = np.sum(np.square(weights), axis=0)
    np.testing.assert_allclose(value, np.mean(norms[labels] - norms[irrelevant]), rtol=1e-5)
    share = (np.bincount(labels, minlength=5) - np.bincount(irrelevant, minlength=5)) / 8
    np.testing.assert_allclose(gradient, 2 * weights * share[None], rtol=1e-5, atol=1e-6)


def test_sensitivity_equals_example_by_example_gradients():
    params, stats, images, (labels, _), _ = _golden("float32")

    def logit(image, label):
        return _small_net(params, stats, image[None])[0, label]

    gradients = jax.jit(jax.vmap(jax.grad(logit)))(images, labels)
    expected = np.sum(np.square(gradients), axis=(1, 2, 3))
    value = input_sensitivity(lambda x: _small_net(params, stats, x), images, labels)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.any_compiler
@pytest.mark.parametrize("terms", ["both", "target", "irrelevant"])
def test_both_ways_to_differentiate_give_one_value_and_one_gradient(terms):
    params, stats, images, (labels, irrelevant), _ = _golden("float32")
    weights = jnp.array([1.0, 1, 1, 0, 1, 0.5, 1, 1, 0])

    def loss(params, mode):
        return mumis_loss(
            lambda x: _small_net(params, stats, x),
            images,
            labels,
            irrelevant,
            weights=weights,
            differentiate=mode,
            terms=terms,
        )

    derivative = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    (value, gradient), (other, expected) = (derivative(params, mode) for mode in MODES)
    np.testing.assert_allclose(value, other, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), gradient, expected
    )


def _curved(w):
    """A network with second derivatives in the image, whose examples see each other."""

    def logits_fn(images):
        features = jnp.tanh(images.reshape(-1, 12) @ w)
        return jnp.tanh(features - features.mean(axis=0, keepdims=True))

    return logits_fn


@pytest.mark.any_compiler
def test_both_ways_agree_on_networks_that_curve_and_mix_examples():
    with jax.enable_x64(True):
        weights, images, labels, irrelevant = _linear_case()
        weights, images = weights.astype(float), images.astype(float)

        def gradients(mode):
            def loss(w, images):
                rows = jnp.arange(8.0)
                return mumis_loss(
                    _curved(w), images, labels, irrelevant, weights=rows, differentiate=mode
                )

            return jax.jit(jax.grad(loss, argnums=(0, 1)))(weights, images)

        for found, expected in zip(*map(gradients, MODES), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10)


@jax.custom_vjp
def _hidden(x):
    return jnp.tanh(x)


_hidden.defvjp(
    lambda x: (jnp.tanh(x), x), lambda x, cotangent: (cotangent * (1 - jnp.tanh(x) ** 2),)
)


@pytest.mark.any_compiler
@pytest.mark.parametrize("terms", ["both", "target", "irrelevant"])
def test_a_network_that_has_reverse_mode_alone_has_the_derivatives_of_any_other(terms):
    weights, images, labels, irrelevant = _linear_case()

    def gradients(bend):
        def loss(w, images):
            network = lambda x: bend(x.reshape(-1, 12) @ w)  # noqa: E731
            rows = jnp.arange(8.0)
            return mumis_loss(network, images, labels, irrelevant, weights=rows, terms=terms)

        return jax.jit(jax.grad(loss, argnums=(0, 1)))(weights, images)

    for found, expected in zip(gradients(_hidden), gradients(jnp.tanh), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [TypeError, ValueError])
def test_what_is_wrong_with_a_network_is_its_own_error(kind):
    weights, images, labels, irrelevant = _linear_case()

    @jax.custom_jvp
    def once(cotangent):
        return cotangent

    @once.defjvp
    def _refuse(primals, tangents):
        raise kind("no second derivative")

    broken = jax.custom_vjp(lambda x: x)
    broken.defvjp(lambda x: (x, None), lambda _, cotangent: (once(cotangent),))

    def loss(w):
        return mumis_loss(lambda x: _linear(w)(broken(x)) ** 2, images, labels, irrelevant)

    with pytest.raises(kind, match="no second derivative"):
        jax.grad(loss)(weights)


@pytest.mark.any_compiler
@pytest.mark.parametrize("mode", MODES)
def test_a_network_may_close_over_keys_and_whole_numbers_of_an_inner_program(mode):
    weights, images, labels, irrelevant = _linear_case()

    def loss(w, key, order):
        def network(x):
            kept = jax.random.normal(key, (1, 12))
            return jnp.tanh((x.reshape(-1, 12) * kept)[:, order] @ w)

        return mumis_loss(network, images, labels, irrelevant, differentiate=mode)

    arguments = weights, jax.random.key(3), jnp.arange(12)[::-1]
    inside, outside = jax.jit(jax.grad(loss))(*arguments), jax.grad(jax.jit(loss))(*arguments)
    np.testing.assert_allclose(outside, inside, rtol=1e-4, atol=1e-6)
    assert np.abs(inside).max() > 0


@pytest.mark.parametrize("mode", MODES)
def test_a_network_whose_weights_have_changed_is_seen_anew(mode):
    weights, images, labels, irrelevant = _linear_case()

    class Network:
        weights: jax.Array

        def logits(self, images):
            return _linear(self.weights)(images)

    network = Network()
    found = []
    for factor in (1, 2):
        network.weights = factor * weights
        terms = mumis_terms(network.logits, images, labels, irrelevant, differentiate=mode)
        found.append(np.asarray(terms))
    np.testing.assert_allclose(found[1], 4 * found[0], rtol=1e-5)


@pytest.mark.any_compiler
def test_derivatives_are_differentiable_again_and_for_several_networks_at_once():
    weights, images, labels, irrelevant = _linear_case()

    def slope(w, mode):
        def loss(w):
            return mumis_loss(_curved(w), images, labels, irrelevant, differentiate=mode)

        return jnp.sum(jax.grad(loss)(w) ** 2)

    several = jnp.stack([weights, 0.1 * weights])
    found, expected = (
        jax.jit(jax.vmap(jax.grad(lambda w, mode=mode: slope(w, mode))))(several) for mode in MODES
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("bend", "terms", "passes"),
    [(jax.nn.relu, "both", 7), (jax.nn.relu, "target", 4), (jnp.tanh, "both", 9)],
)
def test_a_step_goes_through_the_network_as_often_as_is_said(bend, terms, passes, mode):
    side, rows = 64, 256
    images, weights = jnp.ones((rows, side)), jnp.ones((4, side, side))
    classes = jnp.arange(rows) % side

    def network(weights, images):
        for weight in weights:
            images = bend(images @ weight)
        return images

    def step(weights, images, classes):
        def loss(weights):
            return mumis_loss(
                lambda x: network(weights, x),
                images,
                classes,
                (classes + 1) % side,
                differentiate=mode,
                terms=terms,
            )

        return jax.grad(loss)(weights)

    def flops(function, *arguments):
        return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]

    once = flops(network, weights, images)
    assert flops(step, weights, images, classes) == pytest.approx(passes * once, rel=0.08)


def _convolutions(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _convolutions(inner)


@pytest.mark.parametrize(("mode", "clean"), [("forward", True), ("reverse", False)])
def test_forward_derivatives_have_no_window_larger_than_a_kernel_over_a_dilated_image(mode, clean):
    """What XLA's GPU compiler takes for no gradient of a convolution, and has no fast kernel for.

    A weight gradient is a convolution whose window is the image; a strided one's dilates the
    window. Where the image is dilated the window is a kernel, in gradients of the input.
    """
    params, stats, images, (labels, irrelevant), _ = _golden("float32")

    def loss(params):
        network = lambda x: _small_net(params, stats, x)  # noqa: E731
        return mumis_loss(network, images, labels, irrelevant, differentiate=mode)

    found = list(_convolutions(jax.make_jaxpr(jax.grad(loss))(params).jaxpr))
    dilated = [one for one in found if max(one.params["lhs_dilation"]) > 1]
    assert dilated
    windows = [
        one.invars[1].aval.shape[axis]
        for one in dilated
        for axis in one.params["dimension_numbers"].rhs_spec[2:]
    ]
    assert (max(windows) <= 3) == clean


def test_the_loss_is_the_sum_of_its_one_sided_ablations():
    params, stats, images, (labels, irrelevant), data = _golden("float32")

    @jax.jit
    def losses(images, labels, irrelevant):
        network = lambda x: _small_net(params, stats, x)  # noqa: E731
        return [
            mumis_loss(network, images, labels, irrelevant, terms=terms)
            for terms in ("both", "target", "irrelevant")
        ]

    both, target, other = losses(images, labels, irrelevant)
    np.testing.assert_allclose(target, data["sensitivity_label"].mean(), rtol=1e-5)
    np.testing.assert_allclose(other, -data["sensitivity_irrelevant"].mean(), rtol=1e-5)
    np.testing.assert_allclose(both, target + other, rtol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_padding_changes_neither_loss_nor_gradient(mode):
    weights, images, labels, irrelevant = _linear_case()

    def loss(w, images, labels, irrelevant, rows):
        return mumis_loss(_linear(w), images, labels, irrelevant, weights=rows, differentiate=mode)

    padded = (
        jnp.concatenate([images, jnp.full((2, 2, 3, 2), 9.0)]),
        jnp.concatenate([labels, jnp.zeros(2, jnp.int32)]),
        jnp.concatenate([irrelevant, jnp.ones(2, jnp.int32)]),
        jnp.array([1.0] * 8 + [0.0] * 2),
    )
    derivative = jax.jit(jax.value_and_grad(loss))
    plain = derivative(weights, images, labels, irrelevant, jnp.ones(8))
    filled = derivative(weights, *padded)
    np.testing.assert_allclose(filled[0], plain[0], rtol=1e-6)
    np.testing.assert_allclose(filled[1], plain[1], rtol=1e-5, atol=1e-6)


def test_half_precision_networks_give_float32_sensitivities():
    weights, images, labels, irrelevant = _linear_case()
    half, images = weights.astype(jnp.bfloat16), images.astype(jnp.bfloat16)
    terms = mumis_terms(_linear(half), images, labels, irrelevant)
    assert all(term.dtype == jnp.float32 for term in terms)
    gradient = jax.grad(lambda w: mumis_loss(_linear(w), images, labels, irrelevant))(half)
    assert gradient.dtype == jnp.bfloat16


def test_irrelevant_classes_never_equal_the_label_and_are_uniform_over_the_others():
    labels = jnp.tile(jnp.arange(5, dtype=jnp.int32), 2000)
    drawn = np.asarray(draw_irrelevant(jax.random.key(0), labels, 5))
    counts = np.zeros((5, 5), int)
    np.add.at(counts, (labels, drawn), 1)
    assert drawn.dtype == np.int32
    np.testing.assert_array_equal(np.diag(counts), 0)
    # Binomial(2000, 1/4): five standard deviations are 97.
    assert np.abs(counts[~np.eye(5, dtype=bool)] - 500).max() < 98


def test_two_classes_leave_no_choice_of_irrelevant_class():
    drawn = draw_irrelevant(jax.random.key(0), jnp.array([0, 1, 1]), 2)
    np.testing.assert_array_equal(drawn, [1, 0, 0])


def test_one_class_has_no_irrelevant_class():
    with pytest.raises(InputError, match=r"^num_classes=1: expected a whole number >= 2$"):
        draw_irrelevant(jax.random.key(0), jnp.array([0]), 1)
    with pytest.raises(InputError, match=r"^num_classes=1: expected a whole number >= 2$"):
        mean_irrelevant_sensitivity(lambda x: x, jnp.zeros((1, 1)), jnp.array([0]), 1)


@pytest.mark.parametrize("at_once", [1, 5, 7, 12])
def test_classes_in_parts_have_the_sensitivities_of_all_together(at_once):
    first, second, images = two_layers(num_classes=12)
    classes = jnp.asarray(np.random.default_rng(1).integers(0, 12, (len(images), 12)))

    def logits_fn(x):
        return jnp.tanh(x @ first) @ second

    together = class_sensitivities(logits_fn, images, classes)
    parts = class_sensitivities(logits_fn, images, classes, at_once=at_once)
    np.testing.assert_allclose(parts, together, rtol=1e-5)


def test_parts_have_at_least_one_class():
    first, second, images = two_layers(num_classes=4)
    classes = jnp.zeros((len(images), 4), jnp.int32)
    with pytest.raises(InputError, match=r"^at_once=0: expected a whole number >= 1"):
        class_sensitivities(lambda x: x @ first @ second, images, classes, at_once=0)


def test_classes_in_parts_take_less_memory():
    first, second, images = two_layers(num_classes=64)
    classes = jnp.tile(jnp.arange(64), (len(images), 1))

    def temporaries(at_once):
        def read(images, classes):
            logits_fn = lambda x: jnp.tanh(x @ first) @ second  # noqa: E731
            return class_sensitivities(logits_fn, images, classes, at_once=at_once)

        return jax.jit(read).lower(images, classes).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(4) < temporaries(None) / 4


def two_layers(num_classes):
    """Weights of a network of two layers, and images."""
    rng = np.random.default_rng(0)
    shapes = ((2000, 30), (30, num_classes), (3, 2000))
    return tuple(jnp.asarray(rng.normal(size=shape) / 10, jnp.float32) for shape in shapes)


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((8, 8, 1), 1024), ((32, 32, 3), 1024), ((64, 64, 3), 256), ((2000, 2000, 3), 1)],
)
def test_so_many_rows_go_together_as_have_the_pixels_of_a_thousand_small_images(shape, rows):
    assert rows_at_once(shape) == rows


def test_mean_irrelevant_sensitivity_is_the_mean_over_all_other_classes():
    params, stats, images, (labels, _), _ = _golden("float32")

    def logits_fn(x):
        return _small_net(params, stats, x)

    of_class = jax.jit(lambda c: input_sensitivity(logits_fn, images, jnp.full(9, c)))
    every = np.stack([of_class(c) for c in range(7)])
    other = np.arange(7)[:, None] != np.asarray(labels)[None]
    value = jax.jit(lambda x, y: mean_irrelevant_sensitivity(logits_fn, x, y, 7))(images, labels)
    assert value.shape == (9,)
    np.testing.assert_allclose(value, np.sum(every * other, axis=0) / 6, rtol=1e-5)


def test_unknown_ways_and_terms_are_refused():
    weights, *batch = _linear_case()
    with pytest.raises(InputError, match=r"^differentiate='revers': did you mean reverse\?"):
        mumis_loss(_linear(weights), *batch, differentiate="revers")
    with pytest.raises(InputError, match=r"^terms='all': expected one of both, irrelevant, targ"):
        mumis_loss(_linear(weights), *batch, terms="all")


def test_few_examples_of_many_classes_reach_round_all_of_them():
    labels = np.full(32, 3, np.int32)
    seen = np.sort(other_classes(labels, 100, 1)[:, 0])
    assert len(set(seen)) == 32
    assert 3 not in seen
    # Even steps: nowhere is a gap of two of them.
    assert np.diff(seen).max() <= 4 + 1
    # Where there are more examples than classes, all serve alike.
    counts = np.bincount(other_classes(np.zeros(27, np.int32), 10, 1)[:, 0], minlength=10)
    np.testing.assert_array_equal(counts, [0] + [3] * 9)
