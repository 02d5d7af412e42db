"""Methods as classes without a decorator: fields, their kinds, and what is refused."""

from __future__ import annotations

import dataclasses
import inspect
from typing import ClassVar

import jax
import optax
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.hyperparameters import describe


class Mine(ju.Descent):
    """A method of a user's own.

    Attributes:
      strength: how strong.
    """

    epochs: int = 3
    strength: float = 0.5
    rows: int = ju.static(4)
    mode: str = "soft"
    fast: bool = False
    sizes: tuple[int, ...] = (1, 2)
    made_by: object = optax.adam
    kind: ClassVar[str] = "none"


def test_new_defaults_and_fields_of_a_plain_subclass_count():
    assert (Mine().epochs, Mine().strength, Mine(strength=2.0).strength) == (3, 0.5, 2.0)
    assert dataclasses.is_dataclass(Mine)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Mine().epochs = 4
    with pytest.raises(TypeError):
        Mine(3)


def test_numbers_are_traced_unless_static_and_everything_else_is_static():
    assert {"epochs", "strength", "learning_rate"} <= set(Mine.traced_fields)
    assert {"rows", "mode", "fast", "sizes", "made_by", "batch_size"} <= set(Mine.static_fields)
    assert not {"kind"} & {*Mine.traced_fields, *Mine.static_fields}
    leaves, structure = jax.tree.flatten(Mine(strength=0.25))
    assert 0.25 in leaves
    assert len(leaves) == len(Mine.traced_fields)
    assert jax.tree.unflatten(structure, leaves) == Mine(strength=0.25)
    assert structure != jax.tree.structure(Mine(mode="hard"))


def test_a_future_import_of_annotations_changes_no_type():
    kinds = {field.name: field.type for field in dataclasses.fields(Mine)}
    assert (kinds["strength"], kinds["epochs"], kinds["mode"]) == (float, int, str)


def test_names_of_a_functions_body_in_annotations_are_static():
    class Local: ...

    class Inside(ju.Descent):
        part: Local | None = None
        rate: float = 1.0

    assert "part" in Inside.static_fields
    assert "rate" in Inside.traced_fields


def test_a_default_without_an_annotation_is_refused_where_the_class_is_defined():
    with pytest.raises(InputError, match=r"^epochs=5: Forgetful .* annotat.*`epochs: int = 5`$"):

        class Forgetful(ju.Descent):
            epochs = 5


def test_checks_of_the_bases_hold_for_subclasses():
    with pytest.raises(InputError, match=r"^learning_rate=-1: expected"):
        Mine(learning_rate=-1)


def test_functions_are_described_by_name_and_not_by_address():
    assert describe(optax.adam) == f"{optax.adam.__module__}:adam"
    assert describe((optax.adam, "x")) == f"({optax.adam.__module__}:adam, 'x')"
    assert describe(0.5) == "0.5"


# --- Constructors ---


@pytest.mark.parametrize("name", ju.METHODS)
def test_a_constructor_is_a_function_that_shows_every_field(name):
    made_by = ju.METHODS[name]
    assert inspect.isfunction(made_by)
    assert made_by.__name__ == name
    method = made_by()
    fields = {field.name: field.default for field in dataclasses.fields(method)}
    shown = inspect.signature(made_by).parameters
    assert {key: parameter.default for key, parameter in shown.items()} == fields
    for field in fields:
        assert f"\n  {field}: " in made_by.__doc__, field


def test_a_constructor_of_a_users_class_is_named_after_it():
    made_by = ju.constructor(Mine)
    assert made_by.__name__ == "mine"
    assert "strength: how strong" in made_by.__doc__
    assert "learning_rate: peak rate" in made_by.__doc__
    assert made_by(strength=1.0) == Mine(strength=1.0)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"learning_rat": ("log", 1e-3, 1.0)}, "field='learning_rat': did you mean learning_rate"),
        ({"epochs": ("linear", 1, 3)}, "scale='linear': expected one of float, int, log"),
        ({"learning_rate": ("log", 0.0, 1.0)}, "low=0.0: expected a number > 0"),
        ({"learning_rate": ("float", 2.0, 1.0)}, "high=1.0: expected a number > 2"),
        ({"learning_rate": (1e-3, 1.0)}, "(0.001, 1.0): expected SearchRange(scale, low, high)"),
    ],
)
def test_a_search_of_no_field_or_range_is_refused_at_the_definition(space, says):
    with pytest.raises(InputError) as caught:
        type("Mine", (ju.Descent,), {"search_space": space, "__module__": __name__})
    assert str(caught.value).startswith("Mine.search_space: ")
    assert says in str(caught.value)


def test_a_list_is_the_tuple_that_a_program_is_found_by():
    assert ju.jit(input_scale=[0.2, 0.3, 0.4]) == ju.jit(input_scale=(0.2, 0.3, 0.4))
    assert ju.scrub(decay_epochs=[1, 2]).decay_epochs == (1, 2)
    hash(jax.tree.structure(Mine(sizes=[3, 4])))
