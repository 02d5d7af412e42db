"""The public names and the shapes they promise."""

import importlib
import inspect
import pkgutil
import re
import sys
from importlib import metadata

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import functional

UNLEARNERS = (
    "retrain",
    "finetune",
    "l1_sparse",
    "gradient_ascent",
    "neggrad_plus",
    "ugradsl",
    "ugradsl_plus",
    "random_label",
    "amnesiac",
    "bad_teacher",
    "salun",
    "scrub",
    "scrub_r",
    "delete",
    "msg",
    "ct",
    "cf_k",
    "eu_k",
    "natmu",
    "mumis",
    "mumis_last_layer",
    "ssd",
    "lfssd",
    "fisher_forgetting",
    "influence",
    "sfr_on",
    "jit",
    "boundary_shrink",
    "boundary_expand",
    "amun",
    "unsir",
    "l2ul",
    "negmerge",
)


@pytest.mark.parametrize("name", ju.__all__)
def test_every_listed_name_resolves(name):
    assert getattr(ju, name) is not None


def test_names_are_listed_once_and_an_unknown_one_is_an_attribute_error():
    assert len(set(ju.__all__)) == len(ju.__all__)
    with pytest.raises(AttributeError, match="no attribute 'unlearn_everything'"):
        _ = ju.unlearn_everything


def test_dir_shows_the_public_names_and_the_version_and_nothing_else():
    assert dir(ju) == sorted([*ju.__all__, "__version__"])
    assert ju.__version__ == metadata.version("jax_unlearn")


def test_no_module_is_hidden_by_what_its_package_calls_the_same():
    hidden = []
    for found in pkgutil.walk_packages(ju.__path__, "jax_unlearn."):
        module = importlib.import_module(found.name)
        package, _, name = found.name.rpartition(".")
        if getattr(sys.modules[package], name) is not module:
            hidden.append(found.name)
        # Whichever is imported last would have the name.
        if name in getattr(sys.modules[package], "__all__", ()):
            hidden.append(found.name)
    assert hidden == []


def test_a_methods_module_and_its_constructor_have_the_same_name():
    import jax_unlearn.methods.natmu as module

    assert module.natmu is ju.natmu
    assert module.NatMU is ju.methods.NatMU


def test_methods_are_found_by_name_and_as_attributes():
    assert tuple(ju.METHODS) == UNLEARNERS
    for name, constructor in ju.METHODS.items():
        assert constructor is getattr(ju, name)
        assert isinstance(constructor(), ju.Unlearner)
    assert ju.METHODS["natmu"] is ju.natmu


def test_mixing_masks():
    masks = ju.mixing_masks(6, 8, -0.1)
    chex.assert_shape(masks, (4, 6, 8, 1))
    chex.assert_type(masks, jnp.float32)


def test_target_classes():
    classes = ju.target_classes(jnp.eye(3, 5), jnp.array([0, 0, 4]), 2)
    chex.assert_shape(classes, (3, 2))
    chex.assert_type(classes, jnp.int32)


def test_draw_partners():
    preferences = jnp.array([[1, 2], [2, 1]])
    partners = ju.draw_partners(jax.random.key(0), preferences, jnp.array([1, 1, 2, 2]), 2)
    chex.assert_shape(partners, (2, 2))
    chex.assert_type(partners, jnp.int32)
    assert sorted(np.ravel(partners)) == [0, 1, 2, 3]


def test_mix():
    forget, partners = jnp.zeros((3, 6, 8, 2), jnp.uint8), jnp.ones((3, 4, 6, 8, 2), jnp.uint8)
    mixed = ju.mix(forget, partners, ju.mixing_masks(6, 8, 0.0))
    chex.assert_shape(mixed, (3, 4, 6, 8, 2))
    chex.assert_type(mixed, jnp.uint8)


def linear(images):
    return images.reshape(len(images), -1)


def test_input_sensitivity():
    images = jnp.ones((3, 2, 2, 1))
    sensitivity = ju.input_sensitivity(linear, images, jnp.array([0, 1, 2]))
    chex.assert_shape(sensitivity, (3,))
    np.testing.assert_array_equal(sensitivity, 1)


def test_mumis_loss():
    labels, others = jnp.array([0, 1, 2]), jnp.array([1, 2, 3])
    loss = ju.mumis_loss(linear, jnp.ones((3, 2, 2, 1)), labels, others)
    chex.assert_shape(loss, ())
    chex.assert_type(loss, jnp.float32)
    assert float(loss) == 0


@pytest.mark.parametrize("name", functional.__all__)
def test_an_exported_formula_says_what_it_takes_and_returns(name):
    formula = getattr(functional, name)
    if not inspect.isfunction(formula):
        assert not isinstance(formula, type) or formula.__doc__
        return
    text = inspect.getdoc(formula)
    assert "\nReturns:\n" in text
    for argument in inspect.signature(formula).parameters:
        assert re.search(rf"^  \*{{0,2}}{argument}: ", text, re.MULTILINE), argument
