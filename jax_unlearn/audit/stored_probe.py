"""The probe of a model: what the audit needs of weights and images, as stored arrays.

It is taken once, where the weights are (:mod:`jax_unlearn.audit.probes.take`), so that everything
after it is a function of arrays. An ``.npz`` file holds the arrays of :class:`Probe` under its
field names and no pickled object; they may stand in the file of the model's predictions, whose
``forget_id`` then serves both.
"""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_unlearn.audit.measures.relearn_time import RelearnCurve
from jax_unlearn.bank.files import npz_bytes
from jax_unlearn.core import InputError, Outputs
from jax_unlearn.files import write_whole
from jax_unlearn.wording import counted

ANOTHER_NETWORK = 1e-2
"""Difference of logits, relative to the largest, that rounding on other hardware stays below."""


class Probe(NamedTuple):
    """What a model holds besides its answers; un-augmented images, eval mode.

    Attributes:
      forget_id: int64 [F], ids of the whole forget set.
      forget_features: float32 [F, D], inputs of the last linear layer.
      probe_id: int64 [P], ids of retain examples, the same for all models of a request.
      probe_features: float32 [P, D], as on the forget set.
      random_logits: float32 [F, K], of one untrained network on the forget set, the same for all
        models of a request.
      relearn_steps: int64 [S + 1], updates made on the forget set, from 0.
      relearn_losses: float64 [S + 1], mean cross-entropy on the forget set after them, in nats.
    """

    forget_id: np.ndarray
    forget_features: np.ndarray
    probe_id: np.ndarray
    probe_features: np.ndarray
    random_logits: np.ndarray
    relearn_steps: np.ndarray
    relearn_losses: np.ndarray

    @property
    def curve(self) -> RelearnCurve:
        """The course of relearning."""
        return RelearnCurve(self.relearn_steps, self.relearn_losses)


DTYPES = (np.int64, np.float32, np.int64, np.float32, np.float32, np.int64, np.float64)
"""Of a probe's fields, in their order."""


def save_probe(path: str | os.PathLike, probe: Probe) -> None:
    """Write a probe to an ``.npz`` file, whole or not at all.

    Args:
      path: the file; its folder is made if it is missing, an existing file is replaced.
      probe: what to store.

    Raises:
      InputError: if it is malformed, see :func:`check_probe`.
    """
    write_whole(path, npz_bytes(check_probe(probe, "probe")._asdict()))


def load_probe(path: str | os.PathLike) -> Probe | None:
    """Read a probe; None where a file, such as one of predictions alone, has none of its arrays.

    Args:
      path: the ``.npz`` file.

    Raises:
      InputError: if there is no such file, if it is damaged or foreign, or if it holds some of the
        arrays only or malformed ones.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"path={str(path)!r}: no such file; expected a probe stored as .npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            # Ids of the forget set are part of every file of predictions.
            if not set(Probe._fields[1:]) & set(stored.files):
                return None
            arrays = {name: stored[name] for name in Probe._fields if name in stored.files}
    # An .npy file opens as a bare array, which is no context manager: TypeError.
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"path={str(path)!r}: damaged or not an .npz of plain arrays "
            f"({type(error).__name__}); store the probe again"
        ) from error
    return make_probe(arrays, str(path))


def make_probe(arrays: Mapping[str, np.ndarray], source: str) -> Probe:
    """Return the probe that named arrays make.

    Args:
      arrays: by field name; others are ignored.
      source: a file's name, for the message.

    Raises:
      InputError: if one is missing or malformed, see :func:`check_probe`.
    """
    missing = [name for name in Probe._fields if name not in arrays]
    if missing:
        raise InputError(
            f"{source}: lacks {', '.join(missing)}; expected all of {', '.join(Probe._fields)}, "
            "or none but forget_id"
        )
    return check_probe(Probe(*(arrays[name] for name in Probe._fields)), source)


def check_probe(probe: Probe, source: str) -> Probe:
    """Return a probe with its declared dtypes, or say what is wrong with it.

    Args:
      probe: what to check; features and losses may be NaN.
      source: an argument's or a file's name, for the message.

    Raises:
      InputError: for wrong shapes or kinds of number, an id that comes twice, or steps that do not
        rise from 0.
    """
    arrays = Probe(*(np.asarray(array) for array in probe))
    f, p, s = (len(np.atleast_1d(a)) for a in (arrays.forget_id, arrays.probe_id, arrays[5]))
    shapes: list[tuple[int | None, ...]]
    shapes = [(f,), (f, None), (p,), (p, None), (f, None), (s,), (s,)]
    for name, array, shape, dtype in zip(Probe._fields, arrays, shapes, DTYPES, strict=True):
        kinds = "f" if np.dtype(dtype).kind == "f" else "iu"
        fits = len(array.shape) == len(shape) and all(
            n == m if m is not None else n > 0 for n, m in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype.kind not in kinds or not array.size:
            axes = ", ".join("any" if m is None else str(m) for m in shape)
            raise InputError(
                f"{source}: {name}={array.dtype} {list(array.shape)}: expected "
                f"{'floating' if kinds == 'f' else 'integers'} [{axes}], not empty"
            )
    if arrays.forget_features.shape[1] != arrays.probe_features.shape[1]:
        raise InputError(
            f"{source}: probe_features={list(arrays.probe_features.shape)}: expected "
            f"{arrays.forget_features.shape[1]} features, as in forget_features; use one layer"
        )
    for name in ("forget_id", "probe_id"):
        values, counts = np.unique(getattr(arrays, name), return_counts=True)
        if counts.max() > 1:
            raise InputError(
                f"{source}: {name}={values[np.argmax(counts)]} comes {counts.max()} times: "
                "expected every id once"
            )
    if arrays.relearn_steps[0] != 0 or (np.diff(arrays.relearn_steps) <= 0).any():
        raise InputError(
            f"{source}: relearn_steps={arrays.relearn_steps[:4].tolist()}...: expected numbers of "
            "updates that rise from 0; take them from relearn_curve"
        )
    return Probe(*(a.astype(d, copy=False) for a, d in zip(arrays, DTYPES, strict=True)))


def align_probe(
    probe: Probe, forget: Outputs, retain: Outputs, first: Probe | None, source: str
) -> Probe:
    """Return a probe with its examples in the order of the oracles' predictions.

    Args:
      probe: any order.
      forget: the forget set in the order wanted.
      retain: the retain set.
      first: one that is in order already, whose probe examples, untrained network and steps count;
        None for the first.
      source: a model's name, for the message.

    Raises:
      InputError: if examples are not those of the request, or the probe examples, the untrained
        network or the steps of relearning differ from the first's.
    """
    probe = check_probe(probe, f"{source}: probe")
    if not np.array_equal(np.sort(probe.forget_id), np.sort(forget.id)):
        raise InputError(
            f"{source}: probe: forget_id: {counted(len(probe.forget_id), 'id')}: expected the "
            f"{len(forget.id)} of the forget set; probe the model for the same request"
        )
    if not np.isin(probe.probe_id, retain.id).all():
        raise InputError(
            f"{source}: probe: probe_id: some are not in the retain set; take retain examples only"
        )
    if probe.random_logits.shape[1] != forget.logits.shape[1]:
        raise InputError(
            f"{source}: probe: random_logits={list(probe.random_logits.shape)}: expected "
            f"{forget.logits.shape[1]} classes, as the models have"
        )
    rows = _positions(probe.forget_id, forget.id)
    probe = probe._replace(
        forget_id=probe.forget_id[rows],
        forget_features=probe.forget_features[rows],
        random_logits=probe.random_logits[rows],
    )
    if first is None:
        return probe
    if not np.array_equal(np.sort(probe.probe_id), np.sort(first.probe_id)):
        raise InputError(
            f"{source}: probe: probe_id differs from the first model's: expected the same "
            "examples, for probes fitted to others are not comparable; probe all models again"
        )
    difference = np.abs(probe.random_logits - first.random_logits).max()
    if not difference <= ANOTHER_NETWORK * np.abs(first.random_logits).max():
        raise InputError(
            f"{source}: probe: random_logits differ from the first model's by {difference:.3g}: "
            "expected one untrained network for all; probe all models again"
        )
    length = min(len(probe.relearn_steps), len(first.relearn_steps))
    if not np.array_equal(probe.relearn_steps[:length], first.relearn_steps[:length]):
        raise InputError(
            f"{source}: probe: relearn_steps differ from the first model's: expected one recipe "
            "for all; probe all models again"
        )
    rows = _positions(probe.probe_id, first.probe_id)
    return probe._replace(
        probe_id=probe.probe_id[rows],
        probe_features=probe.probe_features[rows],
        # Equal up to rounding: now equal.
        random_logits=first.random_logits,
    )


def _positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows of ``ids`` that bring them into the order of ``wanted``, the same ids."""
    return np.argsort(ids)[np.argsort(np.argsort(wanted))]
