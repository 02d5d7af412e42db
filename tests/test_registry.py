"""Methods by name: registered, from a file or module, from an installed package."""

import functools
import operator
import types
from importlib import metadata

import jax
import pytest

import jax_unlearn as ju
from jax_unlearn import registry
from jax_unlearn.core import InputError
from jax_unlearn.methods import FineTune, GradientAscent
from jax_unlearn.methods.constructors import checked

SOURCE = """
import jax_unlearn as ju

class Mine(ju.Descent):
    epochs: int = 3
    roles = (ju.FORGET,)

mine = ju.constructor(Mine)
number = 3

def gentle(rate=0.002):
    '''Fine-tuning with a small rate.'''
    return ju.finetune(learning_rate=rate, epochs=2, batch_size=50)

def needy(rate):
    return ju.finetune(learning_rate=rate)

def broken():
    return 1 / 0

def nothing():
    return None
"""


@pytest.fixture
def registered(monkeypatch):
    """A registry whose changes are undone."""
    monkeypatch.setattr(registry, "_CONSTRUCTORS", dict(registry._CONSTRUCTORS))


class Other(GradientAscent):
    """Gradient ascent under another name."""


@pytest.mark.usefixtures("registered")
def test_a_registered_class_is_found_by_the_name_in_lower_case():
    made_by = ju.register_method(Other)
    assert ju.METHODS["other"] is made_by is ju.find_method("other")
    assert list(ju.METHODS)[-1] == "other"
    assert isinstance(made_by(epochs=1), Other)
    assert ju.register_method(Other) is made_by


@pytest.mark.usefixtures("registered")
def test_a_name_may_be_chosen_and_serves_one_method():
    ju.register_method(Other, "mine")
    with pytest.raises(InputError, match=r"^name='mine': Other has it: expected"):
        ju.register_method(GradientAscent, "mine")
    with pytest.raises(InputError, match=r"^name='my method': expected an identifier"):
        ju.register_method(Other, "my method")


@pytest.mark.parametrize("thing", [3, "natmu", dict, ju.natmu(), ju.Problem])
def test_what_makes_no_method_is_refused(thing):
    with pytest.raises(InputError, match=r"expected a class derived from jax_unlearn\.Unlearner"):
        ju.register_method(thing)


def test_the_mapping_cannot_be_written():
    with pytest.raises(TypeError):
        ju.METHODS["other"] = Other


def test_methods_are_found_in_files_and_modules(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    for name in ("Mine", "mine"):
        method = ju.find_method(f"{path}:{name}")()
        assert (type(method).__name__, method.epochs, method.needs_retain) == ("Mine", 3, False)
    found = ju.find_method("jax_unlearn.methods.natmu:NatMU")
    assert found() == ju.natmu()
    with pytest.raises(InputError, match=r"it is an object of type int: expected a class derived"):
        ju.find_method(f"{path}:number")


def test_a_function_that_returns_a_method_is_a_method_with_other_defaults(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    found = ju.find_method(f"{path}:gentle")
    method = found(epochs=3)
    assert isinstance(method, FineTune)
    assert (method.learning_rate, method.epochs, method.batch_size) == (0.002, 3, 50)
    assert method.traced_fields == FineTune.traced_fields
    assert (found.__name__, method.title) == ("gentle", "")
    assert found.__doc__.startswith("Fine-tuning with a small rate.")
    # What is compiled goes by the class.
    assert ju.find_method(f"{path}:gentle") is found
    assert jax.tree.structure(found()) == jax.tree.structure(found(learning_rate=1.0))


def test_settings_given_beforehand_make_a_method():
    found = checked(functools.partial(ju.natmu, batch_size=50), "constructor")
    assert found().batch_size == 50
    assert found(batch_size=60).batch_size == 60
    assert found.__doc__.count("Args:") == 1


class Named(GradientAscent):
    """A method with a title of its own."""

    title = "By name"


def test_what_a_function_returns_may_hold_arrays_and_has_its_own_title():
    made = []

    def mine(rate=0.5):
        """Mine.

        Args:
          rate: no setting.
        """
        made.append(rate)
        return Named(learning_rate=jax.numpy.float32(rate))

    found = checked(mine, "constructor")
    assert checked(mine, "constructor") is found
    assert made == [0.5]
    assert (found().learning_rate, found().title) == (0.5, "By name")
    assert "no setting" not in found.__doc__


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (functools.partial(dict), "it is a function, |it is a function that returns dict"),
        (
            functools.partial(operator.itemgetter("x")),
            "it is a function, |calling it raises",
        ),
        (lambda: ju.finetune(learning_rate=-1.0), r"^learning_rate=-1\.0: expected a number >= 0"),
    ],
)
def test_other_callables_are_refused_in_a_line(given, said):
    with pytest.raises(InputError, match=said) as told:
        checked(given, "constructor")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("needy", r"it is a function, missing a required argument: 'rate': expected one"),
        ("broken", r"calling it raises ZeroDivisionError: division by zero: expected a function"),
        ("nothing", r"it is a function that returns NoneType: expected a class"),
    ],
)
def test_a_function_that_returns_none_is_refused_with_the_reason(tmp_path, name, said):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    with pytest.raises(InputError, match=said):
        ju.find_method(f"{path}:{name}")


def test_an_unknown_name_is_answered_with_the_near_one():
    with pytest.raises(InputError, match=r"^methods='natmo': did you mean natmu"):
        ju.find_method("natmo", argument="methods")


def test_installed_packages_offer_methods_by_entry_points(monkeypatch):
    def points(group):
        assert group == "jax_unlearn.methods"
        return [
            types.SimpleNamespace(name="other", value="pkg:Other", load=lambda: Other),
            types.SimpleNamespace(name="broken", value="pkg:Broken", load=lambda: 1 / 0),
        ]

    monkeypatch.setattr(metadata, "entry_points", points)
    assert isinstance(ju.find_method("other")(), Other)
    with pytest.raises(InputError, match=r"^method='broken': importing pkg:Broken fails \(Zero"):
        ju.find_method("broken")
    with pytest.raises(InputError, match=r"expected one of .*other"):
        ju.find_method("nothing")
