"""Warnings wait until a command has accepted what it was given; a refusal is alone."""

import warnings

import pytest

from experiments.shared.command import guarded
from experiments.shared.waiting import tell_warnings, warnings_wait
from jax_unlearn.core import InputError


def warn(text):
    warnings.warn(text, stacklevel=2)


@pytest.fixture
def told(monkeypatch):
    found = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_, **__: found.append(message))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield found


def texts(told):
    return [str(message) for message in told]


def test_what_waits_is_told_once_the_command_begins_and_the_rest_when_it_comes(told):
    with warnings_wait():
        warn("first")
        warn("second")
        assert not told
        tell_warnings()
        assert texts(told) == ["first", "second"]
        warn("third")
        assert texts(told) == ["first", "second", "third"]
        tell_warnings()
    warn("fourth")
    assert texts(told) == ["first", "second", "third", "fourth"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit, None])
def test_what_waits_at_the_end_is_told_also_where_something_else_fails(told, error):
    def block():
        with warnings_wait():
            warn("before")
            if error is not None:
                raise error

    if error is None:
        block()
    else:
        with pytest.raises(error):
            block()
    assert texts(told) == ["before"]


def test_a_command_inside_another_tells_its_own(told):
    with warnings_wait():
        warn("of the outer")
        with warnings_wait():
            warn("of the inner")
            assert not told
            tell_warnings()
            assert texts(told) == ["of the inner"]
            warn("later")
            assert texts(told) == ["of the inner", "later"]
        assert texts(told) == ["of the inner", "later"]
    assert texts(told) == ["of the inner", "later", "of the outer"]


def test_a_command_that_begins_at_once_tells_at_once(told):
    def warns():
        warn("now")
        assert texts(told) == ["now"]

    guarded(warns)


def test_a_refusal_is_alone(told, capsys):
    def refused():
        warn("of a setting that is never used")
        raise InputError("batch_size=0: expected more")

    with pytest.raises(SystemExit) as ended:
        guarded(refused, warnings_later=True)
    assert ended.value.code == 2
    assert not told
    assert capsys.readouterr().err == "error: batch_size=0: expected more\n"


def test_a_refusal_after_the_beginning_leaves_what_was_told(told, capsys):
    def refused():
        warn("smaller batches")
        tell_warnings()
        raise InputError("learning_rate=9: nothing was learned")

    with pytest.raises(SystemExit):
        guarded(refused, warnings_later=True)
    assert texts(told) == ["smaller batches"]
    assert capsys.readouterr().err == "error: learning_rate=9: nothing was learned\n"


def test_without_a_command_warnings_come_at_once(told):
    tell_warnings()
    warn("now")
    assert texts(told) == ["now"]
