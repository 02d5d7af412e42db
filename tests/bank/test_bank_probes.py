"""Probes in a bank: whole or not at all, and never taken for others."""

import pathlib

import numpy as np
import pytest

from jax_unlearn.bank import DataDescription, Labelled, open_bank
from jax_unlearn.bank.probes import has_probe, probe_path, read_probe, store_probe
from jax_unlearn.core import InputError

REQUEST, ADDRESS = "ab" * 32, "cd" * 16
NAMES = ("features", "steps")
MADE_OF = {"recipe": {"rate": 0.01, "betas": (0.9, 0.99)}, "version": 1}


@pytest.fixture
def bank(tmp_path):
    split = Labelled(np.arange(4, dtype=np.int64), np.zeros(4, np.int32))
    data = DataDescription("four", "f" * 64, 2, split, split)
    return open_bank(tmp_path / "bank", data=data, create=True)


def arrays(value=1.0):
    return {"features": np.full((2, 3), value, np.float32), "steps": np.arange(3)}


def test_what_is_stored_is_read(bank):
    assert not has_probe(bank, REQUEST, ADDRESS, NAMES, MADE_OF)
    store_probe(bank, REQUEST, ADDRESS, arrays(), MADE_OF)
    found, made_of = read_probe(bank, REQUEST, ADDRESS, NAMES)
    for name, array in arrays().items():
        np.testing.assert_array_equal(found[name], array)
    assert made_of["version"] == 1
    assert has_probe(bank, REQUEST, ADDRESS, NAMES, MADE_OF)
    path = bank.path / "probes" / REQUEST / f"{ADDRESS}.npz"
    assert probe_path(bank, REQUEST, ADDRESS) == path
    assert path.is_file()


def test_what_was_made_another_way_is_not_there_and_is_replaced(bank):
    store_probe(bank, REQUEST, ADDRESS, arrays(), {**MADE_OF, "version": 0})
    assert not has_probe(bank, REQUEST, ADDRESS, NAMES, MADE_OF)
    store_probe(bank, REQUEST, ADDRESS, arrays(2.0), MADE_OF)
    assert read_probe(bank, REQUEST, ADDRESS, NAMES)[0]["features"][0, 0] == 2.0


def test_every_changed_byte_is_noticed(bank):
    store_probe(bank, REQUEST, ADDRESS, arrays(), MADE_OF)
    path = probe_path(bank, REQUEST, ADDRESS)
    with np.load(path) as stored:
        changed = dict(stored) | {"steps": np.arange(3) + 1}
    np.savez(path, **changed)
    with pytest.raises(InputError, match="damaged; fill the bank with the same --probes again"):
        read_probe(bank, REQUEST, ADDRESS, NAMES)
    path.write_bytes(path.read_bytes()[:-40])
    assert not has_probe(bank, REQUEST, ADDRESS, NAMES, MADE_OF)
    path.unlink()
    with pytest.raises(InputError, match="missing, damaged or not an"):
        read_probe(bank, REQUEST, ADDRESS, NAMES)


def test_a_full_disk_leaves_the_inside_that_was_there(bank, monkeypatch):
    store_probe(bank, REQUEST, ADDRESS, arrays(), MADE_OF)

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "replace", full)
    with pytest.raises(InputError, match=r"cannot write the probe of model .*No space left"):
        store_probe(bank, REQUEST, ADDRESS, arrays(2.0), MADE_OF)
    assert read_probe(bank, REQUEST, ADDRESS, NAMES)[0]["features"][0, 0] == 1.0
    assert not list(bank.path.glob(".partial-*"))


@pytest.mark.parametrize(
    ("request_", "address", "message"),
    [
        ("../../etc", ADDRESS, "request='../../etc': expected 8 to 128 hex digits"),
        (REQUEST, "..", "address='..': expected 32 hex digits"),
    ],
)
def test_paths_outside_the_bank_are_refused(bank, request_, address, message):
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        probe_path(bank, request_, address)
