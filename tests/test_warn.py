"""Warnings point at the user's line."""

import contextlib
import pathlib
import types
import warnings

import pytest

from jax_unlearn.warn import warn_user, warnings_about


def inner():
    warn_user("damaged")


def outer():
    inner()


def block():
    warn_user("damaged")
    yield


def own(*functions):
    """The same functions as they would be inside the library."""
    names = {"__name__": "jax_unlearn.somewhere", "warn_user": warn_user}
    for function in functions:
        names[function.__name__] = types.FunctionType(function.__code__, names)
    return names


def enter():
    made = contextlib.contextmanager(own(block)["block"])
    with made():
        pass


@pytest.mark.parametrize("call", [own(inner)["inner"], own(inner, outer)["outer"], enter])
def test_a_warning_names_the_callers_file_whatever_the_depth(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    (warning,) = found
    assert warning.category is UserWarning
    assert str(warning.message) == "damaged"
    assert warning.filename == __file__
    line = pathlib.Path(__file__).read_text().splitlines()[warning.lineno - 1].strip()
    assert line == ("with made():" if call is enter else "call()")


def test_a_warning_begins_with_what_it_is_about_while_that_is_set():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with warnings_about("natmu of seed 0"):
            inner()
        inner()
    assert [str(warning.message) for warning in found] == ["natmu of seed 0: damaged", "damaged"]
