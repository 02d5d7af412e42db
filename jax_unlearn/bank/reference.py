"""Reference predictions: originals and oracles of a bank in one small file, to compare with.

Whoever has the file compares a method of their own with retraining, and retrains nothing. It is an
``.npz`` without any pickle::

    models                    JSON text: {"format": 1, "models": [{"ingredients", "outcome",
                              "digests"}, ...]}, digests by the names of the arrays
    sha256                    of that text
    <address>.train_logits    [N, K], and <address>.test_logits [T, K], in the order of the bank's
                              data: float16 of oracles, which are compared with; float32 of
                              originals, which tell models that never changed, and of those that
                              score examples, whose order must stay
    <address>.weights         uint8 [B], a .safetensors file; of originals alone, where methods
                              begin

Models enter a bank under their address, which says how they were made: with other data, another
network or another recipe none is found there.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.bank.files import npz_bytes, read_npz, sha256
from jax_unlearn.bank.record import Record, address_of
from jax_unlearn.bank.store import Bank
from jax_unlearn.core import InputError
from jax_unlearn.engine.agreement import differences
from jax_unlearn.files import write_whole

FORMAT = 1

SHARED = ("data", "network", "recipe", "version")
"""Ingredients that all models of a reference have in common."""

_LOGITS = ("train_logits", "test_logits")


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """The models of a file, each of whose arrays has the digest that it was written with.

    Attributes:
      source: the file, for messages and for the outcomes of models that are taken from it.
      records: how each model was made and what came of it; in the order of the file.
      arrays: by address, ``train_logits``, ``test_logits`` and, of originals, ``weights``.
    """

    source: str
    records: tuple[Record, ...]
    arrays: Mapping[str, Mapping[str, np.ndarray]]

    def differences(self, ingredients: Mapping[str, Any]) -> list[str]:
        """Say where its models were made otherwise than one of other settings.

        Args:
          ingredients: of that model, see :func:`jax_unlearn.bank.record.address_of`.
        """
        mine = self.records[0].ingredients
        theirs, ours = ({name: side[name] for name in SHARED} for side in (mine, ingredients))
        return differences(theirs, ours)

    def enter(self, bank: Bank) -> int:
        """Store those models that a bank lacks, and count them.

        Raises:
          InputError: the bank is of other data, or cannot be written to.
        """
        entered = 0
        for record in self.records:
            with bank.claim(record.address) as mine:
                # Another process that holds it is about to store it.
                if not mine or bank.sound(record.address):
                    continue
                bank.discard(record.address)
                arrays = self.arrays[record.address]
                weights = arrays["weights"].tobytes() if "weights" in arrays else None
                # Without times: those of another machine say nothing beside this one's.
                outcome = {**record.outcome, "reference": self.source}
                bank.store(record.ingredients, outcome, weights, *(arrays[n] for n in _LOGITS))
                entered += 1
        return entered


def write_reference(
    path: Path,
    bank: Bank,
    *,
    originals: Sequence[Record],
    scoring: Sequence[Record],
    oracles: Sequence[Record],
) -> Path:
    """Write models of a bank to a file of reference predictions.

    Args:
      path: of the file.
      bank: that holds the models.
      originals: to be unlearned.
      scoring: originals that only score examples, for requests such as ``hardest:0.1``.
      oracles: retrained models, of all requests.

    Raises:
      InputError: a model is missing or damaged, an original has no weights, or a logit does not fit
        into float16.
    """
    groups = ((originals, np.float32), (scoring, np.float32), (oracles, np.float16))
    arrays: dict[str, np.ndarray] = {}
    models = []
    for records, dtype in groups:
        for record in records:
            outputs = zip(_LOGITS, bank.outputs(record), strict=True)
            parts = {name: _rounded(record, part.logits, dtype) for name, part in outputs}
            if records is originals:
                parts["weights"] = np.frombuffer(bank.weights_file(record), np.uint8)
            named = {f"{record.address}.{name}": part for name, part in parts.items()}
            models.append(
                {
                    "ingredients": record.ingredients,
                    "outcome": {key: record.outcome[key] for key in ("status", "steps")},
                    "digests": {name: sha256(part.tobytes()) for name, part in named.items()},
                }
            )
            arrays |= named
    text = json.dumps({"format": FORMAT, "models": models})
    told = {"models": np.array(text), "sha256": np.array(sha256(text.encode()))}
    return write_whole(path, npz_bytes(told | arrays))


def _rounded(record: Record, logits: np.ndarray, dtype: Any) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = logits.astype(dtype)
    if not np.array_equal(np.isfinite(rounded), np.isfinite(logits)):
        raise InputError(
            f"model={record.address}: logits beyond {np.finfo(dtype).max:g}: expected such as fit "
            "into float16; train with weight decay"
        )
    return rounded


def read_reference(path: Path, argument: str = "reference") -> Reference:
    """Read a file of reference predictions.

    Args:
      path: of the file.
      argument: what named it, for messages.

    Raises:
      InputError: the file is missing, damaged, of another version or no reference.
    """
    source = f"{argument}={str(path)!r}"
    text, digest = (str(part) for part in read_npz(path, ("models", "sha256"), source))
    if sha256(text.encode()) != digest:
        raise _damaged(source)
    held = json.loads(text)
    if held["format"] != FORMAT:
        raise InputError(
            f"{source}: format={held['format']!r}: expected {FORMAT}, that of this version of "
            "jax_unlearn; write it again with experiments.reference"
        )
    records, arrays = [], {}
    for model in held["models"]:
        found = read_npz(path, tuple(model["digests"]), source)
        for part, expected in zip(found, model["digests"].values(), strict=True):
            if sha256(part.tobytes()) != expected:
                raise _damaged(source)
        address = address_of(model["ingredients"])
        records.append(Record(address, model["ingredients"], model["outcome"]))
        names = (name.removeprefix(f"{address}.") for name in model["digests"])
        arrays[address] = dict(zip(names, found, strict=True))
    return Reference(path.name, tuple(records), arrays)


def _damaged(source: str) -> InputError:
    return InputError(
        f"{source}: damaged: expected what experiments.reference wrote; fetch or write it again"
    )
