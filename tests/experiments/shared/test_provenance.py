"""What a number must be read with says how it was called."""

import sys
import types

import pytest

from experiments.shared.provenance import provenance


@pytest.mark.parametrize(
    ("module", "called"),
    [
        ("experiments.run.__main__", "python -m experiments.run"),
        ("experiments.quickstart", "python -m experiments.quickstart"),
        ("jax_unlearn.commands.run.__main__", "jax-unlearn run"),
    ],
)
def test_the_command_is_what_can_be_typed_again(monkeypatch, module, called):
    spec = types.SimpleNamespace(name=module)
    monkeypatch.setitem(sys.modules, "__main__", types.SimpleNamespace(__spec__=spec))
    monkeypatch.setattr(sys, "argv", ["x", "--out", "a folder"])
    assert provenance()["command"] == f"{called} --out 'a folder'"
