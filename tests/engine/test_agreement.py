"""Processes that go on together or end together."""

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from jax_unlearn.core import InputError
from jax_unlearn.engine.agreement import check_same, differences, same_everywhere


def test_differences_are_named_with_both_values():
    one = {"seeds": [0], "training": {"epochs": 2, "rate": 0.1}, "same": None, "gone": "x"}
    other = {"seeds": [1], "training": {"epochs": 4, "rate": 0.1}, "same": None}
    assert differences(one, other) == [
        "seeds is [0] there and [1] here",
        "training.epochs is 2 there and 4 here",
        'gone is "x" there and null here',
    ]
    assert differences(one, one) == []


def test_a_tuple_is_what_json_makes_of_it():
    assert differences({"seeds": (0, 1)}, {"seeds": [0, 1]}) == []


def test_one_process_agrees_with_itself():
    check_same({"a": 1})
    with pytest.raises(InputError, match=r"^mine$"), same_everywhere():
        raise InputError("mine")


@pytest.fixture
def told(monkeypatch):
    """Two processes, of which this is the first; the other one's text is what the test sets."""
    other = {"text": ""}

    def gathered(text):
        theirs = np.frombuffer(other["text"].encode().ljust(len(text)), np.uint8)
        return np.stack([text, theirs])

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "process_allgather", gathered)
    return other


def test_an_error_of_another_process_is_raised_here(told):
    told["text"] = "theirs"
    with pytest.raises(InputError, match=r"^process 1: theirs$"), same_everywhere():
        pass
    with pytest.raises(InputError, match=r"^mine$"), same_everywhere():
        raise InputError("mine")


def test_without_an_error_all_go_on(told):
    went_on = []
    with same_everywhere():
        went_on.append(told["text"])
    assert went_on == [""]
