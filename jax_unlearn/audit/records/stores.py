"""Predictions on disk, request by request: in banks, in folders of runs, and in files.

Predictions made elsewhere come as ``.npz`` files, one per model, with the arrays
``{forget,retain,test}_{logits,label,id}`` (floating [N, K], integers [N], integers [N];
un-augmented images, eval mode; the dataset's own ids) and ``test_forgotten`` (bool [T], True for
test images of a class that is forgotten as a whole). ``NAME-SEED.npz`` says which seed a file is
of. A file may also hold what measures of a model's probe take, the arrays of
:class:`jax_unlearn.audit.Probe` (``forget_id`` serves both): penultimate features on the forget
set and on some retain images, the logits of one untrained network, and the losses of relearning.
"""

import dataclasses
import glob
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jax_unlearn.audit import Probe, load_predictions, load_probe
from jax_unlearn.audit.comparison.models import Run
from jax_unlearn.audit.stored_probe import make_probe
from jax_unlearn.bank import Bank, open_bank
from jax_unlearn.bank.changed import banks_in
from jax_unlearn.bank.probes import probe_path, read_made_of, read_probe
from jax_unlearn.bank.record import Record, digest
from jax_unlearn.core import InputError, Predictions
from jax_unlearn.data.request_text import parse_request

NAMELESS = "a request without a name"
"""Text of a request whose oracles are files from elsewhere."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One model's predictions on disk.

    Attributes:
      path: an ``.npz`` of predictions, or the ``outputs.npz`` of a model in a bank.
      seed: None for unknown.
      seconds: run time, NaN for unknown.
      status: what the run reported.
      history: forget accuracy in percent per epoch, where the run was watched.
      probe: the file of its probe in a bank; None for none, or for the same file.
      request: hash that the model's bank knows the request by, '' for that of the audit.
      compile_seconds: time of compilation, NaN for unknown.
      title: how a reader knows its method, as the class declares it; '' for nothing declared.
      draw: seed of the unlearning run; None where it is the original's, or unknown.
      sensitivity_ratio: the original's own, true class to others, where the method measures it; NaN
        where it does not.
    """

    path: Path
    seed: int | None = None
    seconds: float = math.nan
    status: str = ""
    history: tuple[float, ...] = ()
    probe: Path | None = None
    request: str = ""
    compile_seconds: float = math.nan
    title: str = ""
    sensitivity_ratio: float = math.nan
    draw: int | None = None


@dataclasses.dataclass
class Sources:
    """Everything that belongs to one request.

    Attributes:
      hash: of the request, '' for unknown.
      text: as a person writes it.
      original: models trained on all data.
      oracle: retrained models.
      methods: unlearned models by name.
      arguments: of each method, None for unknown.
      subsets: models trained on random halves of the data.
      failed: by method why its hyperparameters stand for none that work; a search says so.
    """

    hash: str
    text: str
    original: list[Item] = dataclasses.field(default_factory=list)
    oracle: list[Item] = dataclasses.field(default_factory=list)
    methods: dict[str, list[Item]] = dataclasses.field(default_factory=dict)
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    subsets: list[Item] = dataclasses.field(default_factory=list)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def slug(self) -> str:
        """Name of a folder for the request, the same as in a run of it."""
        try:
            return parse_request(self.text).slug
        except InputError:  # Files may be of any request.
            return re.sub(r"[^A-Za-z0-9.]+", "-", self.text).strip("-") or self.hash[:12]


def read_item(item: Item, request: str) -> Predictions:
    """Read the predictions of a model for a request.

    Raises:
      InputError: if the file is missing, damaged or no predictions.
    """
    if in_bank(item.path):
        folder = item.path.parent
        return open_bank(folder.parent.parent).predictions(folder.name, item.request or request)
    return load_predictions(item.path)


def read_runs(items: Iterable[Item], request: str) -> list[Run]:
    """Read models with all that the audit needs to know of them.

    Raises:
      InputError: as :func:`read_item`, also for probes.
    """
    return [
        Run(read_item(i, request), i.seed, i.seconds, i.status, _read_probe(i), i.draw)
        for i in items
    ]


def probe_recipe(items: Iterable[Item]) -> dict[str, Any] | None:
    """Return what the probes of models in banks were made of; None where there is none.

    Raises:
      InputError: if a file is missing or damaged, or there is more than one way.
    """
    ways = {digest(way): way for way in (read_made_of(i.probe) for i in items if i.probe)}
    if len(ways) > 1:
        raise InputError(
            f"probe: models were probed in {len(ways)} ways: expected one recipe of "
            "relearning and one probe for all; fill the banks with the same settings and --probes "
            "again"
        )
    return next(iter(ways.values()), None)


def _read_probe(item: Item) -> Probe | None:
    if not in_bank(item.path):
        return load_probe(item.path)
    if item.probe is None:
        return None
    request, address = item.probe.parent.name, item.probe.stem
    bank = open_bank(item.probe.parent.parent.parent)
    arrays, _ = read_probe(bank, request, address, Probe._fields)
    return make_probe(arrays, str(item.probe))


def file_digest(path: Path) -> str:
    """Sha256 of a file, in hex.

    Raises:
      InputError: if it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"path={str(path)!r}: {error.strerror}; expected stored predictions"
        ) from None


def is_store(path: Path) -> bool:
    """Whether a path is a bank or a run's folder."""
    from jax_unlearn.audit.records.runs import is_old_run, is_run

    return (path / "bank.json").is_file() or is_run(path) or is_old_run(path)


def stores_in(place: str, *, loose: bool = True) -> list[Sources]:
    """Return the models of a bank or a run's folder, request by request.

    Args:
      place: the folder, or paths of ``.npz`` files separated by commas.
      loose: whether files are taken, as oracles of a request without a name; none are otherwise,
        but where files called oracle lie beside others, see :func:`mixed_in`.

    Raises:
      InputError: if nothing is there, or what is there is damaged.
    """
    from jax_unlearn.audit.records.runs import is_run, refuse_old_run, run_sources

    path = Path(place)
    if (path / "bank.json").is_file():
        return [sources for bank in banks_in(path) for sources in _bank_sources(bank)]
    if is_run(path):
        return run_sources(path)
    refuse_old_run(path, "path")
    mixed = mixed_in(place)
    if mixed is not None:
        return [mixed]
    if not loose:
        return []
    items = [item for part in place.split(",") for item in files_in(part)]
    return [Sources("", NAMELESS, oracle=items)]


def mixed_in(place: str) -> Sources | None:
    """Return the models of files that are called original, oracle, and as methods are.

    Args:
      place: a folder, a pattern, or paths separated by commas, without ``NAME=`` in front.

    Returns:
      The models of a request without a name; None where no file is called oracle, or all are.
    """
    paths = [path for part in place.split(",") for path in _paths_in(part)]
    named: dict[str, list[Item]] = {}
    for path in paths if all(path.is_file() for path in paths) else ():
        named.setdefault(model_name(path), []).append(Item(path, _seed_in(path)))
    if "oracle" not in named or len(named) < 2:
        return None
    original, oracle = named.pop("original", []), named.pop("oracle")
    return Sources("", NAMELESS, original=original, oracle=oracle, methods=named)


def model_name(path: Path) -> str:
    """What a file says by its name that its model is: ``natmu`` of ``natmu-3.npz``."""
    return re.sub(r"-\d+$", "", path.stem)


def _paths_in(place: str) -> list[Path]:
    """Files that a path, a folder or a pattern stands for, model2 before model10."""
    path = Path(place)
    if path.is_dir():
        found: Iterable[Path] = path.glob("*.npz")
    elif not path.exists() and re.search(r"[*?\[]", place):
        found = map(Path, glob.iglob(place))
    else:
        return [path]
    return sorted(found, key=_natural)


def files_in(place: str) -> list[Item]:
    """Return the ``.npz`` file at a path, or those of a folder or pattern by seed, then by name.

    Raises:
      InputError: if there is none.
    """
    paths = _paths_in(place)
    if not paths or not all(p.is_file() for p in paths):
        raise InputError(
            f"path={place!r}: no such file, bank, run or folder of .npz files; expected stored "
            "predictions"
        )
    return by_seed(Item(p, _seed_in(p)) for p in paths)


def by_seed(items: Iterable[Item]) -> list[Item]:
    """Sort models by seed; those without one come last, in the order given.

    Which oracles are held out goes by position: the same models must give the same numbers
    whether they come from a bank, a run or files.
    """
    return sorted(items, key=lambda item: math.inf if item.seed is None else item.seed)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Key by which model2 comes before model10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]


def _seed_in(path: Path) -> int | None:
    found = re.search(r"-(\d+)$", path.stem)
    return int(found.group(1)) if found else None


def in_bank(path: Path) -> bool:
    """Whether a path is that of the outputs of a model in a bank."""
    return path.name == "outputs.npz" and path.parent.parent.name == "models"


def _bank_sources(path: Path) -> list[Sources]:
    bank = open_bank(path)
    records = bank.records()
    originals = [r for r in records if r.ingredients["kind"] == "original"]
    found = []
    for request, text in bank.requests().items():
        mine = [r for r in records if r.ingredients["request"] == request]
        oracles = [r for r in mine if r.ingredients["kind"] == "oracle"]
        recipes = {digest([r.ingredients["network"], r.ingredients["recipe"]]) for r in oracles}
        if len(recipes) > 1:
            raise InputError(
                f"oracles={str(path)!r}: oracles of {text} are of {len(recipes)} recipes or "
                "networks: expected one; keep a bank for each"
            )
        # Other recipes' originals, such as those that only score examples, are no comparison.
        fit = [r for r in originals if _recipe(r) in recipes and _is_audited(r, oracles)]
        sources = Sources(request, text)
        sources.original = bank_items(bank, fit, request)
        sources.oracle = bank_items(bank, oracles, request)
        subsets = [
            r for r in records if r.ingredients["kind"] == "subset" and _recipe(r) in recipes
        ]
        sources.subsets = bank_items(bank, subsets, request)
        for record in mine:
            if record.ingredients["kind"] != "unlearned":
                continue
            name, arguments = (record.ingredients["method"][k] for k in ("name", "arguments"))
            name = _variant(sources.arguments, name, arguments)
            sources.arguments[name] = arguments
            if record.outcome.get("failed"):
                sources.failed[name] = str(record.outcome["failed"])
            sources.methods.setdefault(name, []).extend(bank_items(bank, [record], request))
        found.append(sources)
    return found


def _recipe(record: Record) -> str:
    return digest([record.ingredients["network"], record.ingredients["recipe"]])


def _is_audited(record: Record, oracles: Sequence[Record]) -> bool:
    """Whether an original has an oracle of its seed, which those that score examples have not."""
    return record.ingredients["seed"] in {r.ingredients["seed"] for r in oracles}


def _variant(known: Mapping[str, Any], name: str, arguments: Any) -> str:
    """The method's name, with a number from the second set of arguments on."""
    number, candidate = 1, name
    while candidate in known and known[candidate] != arguments:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def bank_items(bank: Bank, records: Iterable[Record], request: str) -> list[Item]:
    """Return models of a bank with what it knows of them."""
    probes = {r.address: probe_path(bank, request, r.address) for r in records}
    return [
        Item(
            bank.path / "models" / record.address / "outputs.npz",
            record.ingredients["seed"],
            bank.run_seconds(record),
            str(record.outcome.get("note") or record.outcome.get("status", "")),
            _course(record.outcome.get("history", [])),
            probes[record.address] if probes[record.address].is_file() else None,
            request,
            float(record.outcome.get("compile_seconds", math.nan)),
            str(record.outcome.get("title", "")),
            _first(record.outcome.get("history", []), "sensitivity_ratio"),
            (record.ingredients["method"] or {}).get("seed"),
        )
        for record in records
    ]


def _first(history: Iterable[Mapping[str, Any]], name: str) -> float:
    """What a run measured first under a name; NaN where it never did."""
    values = (entry.get(name) for entry in history)
    return next((float(value) for value in values if value is not None), math.nan)


def _course(history: Iterable[Mapping[str, Any]]) -> tuple[float, ...]:
    values = [entry.get("forget_accuracy") for entry in history]
    return tuple(float(v) for v in values if v is not None)
