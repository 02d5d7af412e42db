"""What an audit compares: the oracles' requests, and the models that belong to each."""

import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jax_unlearn.audit import load_predictions
from jax_unlearn.audit.records.stores import (
    NAMELESS,
    Item,
    Sources,
    by_seed,
    files_in,
    in_bank,
    is_store,
    mixed_in,
    model_name,
    read_item,
    stores_in,
)
from jax_unlearn.bank import ids_digest
from jax_unlearn.core import InputError, Predictions
from jax_unlearn.data.request_sequences import steps_of
from jax_unlearn.warn import warn_user


def gather_sources(
    targets: Sequence[str], oracles: str, originals: Sequence[str], requests: Sequence[str]
) -> list[Sources]:
    """Find what there is to audit, request by request.

    Args:
      targets: folders of runs, banks, ``.npz`` files or folders of them, each with or without
        ``NAME=`` in front; several paths of one name are separated by commas, and a path may be a
        pattern such as ``p/natmu-*.npz``. None means all unlearned models of the bank of oracles.
      oracles: a bank, a run's folder or ``.npz`` files; '' takes those of the targets. In a folder
        where some files are called oracle, others are originals and methods by their names.
      originals: ``.npz`` files or folders of them; none takes those of the bank or run.
      requests: hash, its beginning, or text of each request, with the steps of a sequence that
        come before; none for all that have oracles. A warning says which of them are not there.
        A name for the request where the oracles are files.

    Raises:
      InputError: if something is not there, or nothing is left to audit.
    """
    if not targets and not oracles:
        raise InputError("oracles='': expected a bank, a run's folder or .npz files; see --help")
    found = (
        stores_in(oracles) if oracles else [s for t in targets for s in stores_in(t, loose=False)]
    )
    found = [s for s in found if s.oracle]
    if not found:
        _check_there(targets)
        name, where = ("oracles", oracles) if oracles else ("targets", ", ".join(targets))
        raise InputError(
            f"{name}={where!r}: no oracle there; train some with python -m experiments.bank, or "
            "name another place with --oracles"
        )
    found = _chosen(found, requests)
    if oracles and targets:
        # What is unlearned elsewhere is to be audited, not what happens to lie beside the oracles.
        for sources in found:
            sources.methods, sources.arguments, sources.failed = {}, {}, {}
    ids = [_sets(read_item(s.oracle[0], s.hash)) for s in found]
    # Two requests may come to the same set, as classes 0,1 and class 0 and then 1.
    known = {(sources.hash, own) for sources, own in zip(found, ids, strict=True)}
    if len(known) < len(ids):
        raise InputError(
            f"targets={list(targets)}: several have oracles of one request; name those to compare "
            "with by --oracles"
        )
    for target in targets:
        if oracles:
            _add(target, found, ids)
        else:
            _add_loose(target, found, ids)
    if originals:
        for sources in found:
            sources.original = []
    for path in originals:
        items = files_in(path)
        _assign(items, "original", found, ids, path)
    kept = [s for s in found if s.methods]
    if not kept:
        raise InputError(
            f"targets={list(targets)}: no unlearned model of {', '.join(s.text for s in found)}; "
            "name a run's folder, a bank or .npz files"
        )
    if requests and (bare := [s.text for s in found if not s.methods]):
        warn_user(f"no unlearned model there of what was asked for, so left out: {', '.join(bare)}")
    for sources in kept:
        sources.original, sources.oracle = by_seed(sources.original), by_seed(sources.oracle)
        sources.methods = {name: by_seed(items) for name, items in sources.methods.items()}
    return kept


def _check_there(targets: Sequence[str]) -> None:
    """Raise InputError for a target that is neither a path nor a pattern that finds something."""
    for path in (path for target in targets for path in target.rpartition("=")[2].split(",")):
        if not (Path(path).exists() or glob.has_magic(path)):
            raise InputError(
                f"targets={path!r}: no such folder or file; expected a run, a bank or .npz files"
            )


def _chosen(found: list[Sources], requests: Sequence[str]) -> list[Sources]:
    if not requests:
        return found
    if found[0].text == NAMELESS:
        found[0].text = requests[0]
        return found
    kept: list[Sources] = []
    for request in requests:
        mine = [
            s
            for s in found
            if request in (s.text, s.slug) or (s.hash and s.hash.startswith(request))
        ]
        if not mine:
            raise InputError(
                f"requests={request!r}: expected one of {', '.join(sorted(s.text for s in found))}"
                ", the requests that have oracles"
            )
        # Of a sequence every step is audited.
        steps = [text for one in mine for text in steps_of(one.text)[:-1]]
        before = [sources for text in steps for sources in _of(text, found)]
        there = {sources.text for sources in before}
        if missing := [text for text in dict.fromkeys(steps) if text not in there]:
            warn_user(
                f"requests={request!r}: no oracles there of what it fulfils on its way, so left "
                f"out: {', '.join(missing)}"
            )
        kept += [sources for sources in (*before, *mine) if sources not in kept]
    return kept


def _of(text: str, found: Sequence[Sources]) -> list[Sources]:
    return [sources for sources in found if sources.text == text]


def _sets(predictions: Predictions) -> tuple[str, str, int]:
    """What tells a request's sets from another's: one may have changed labels, or added images."""
    forget = predictions.forget
    order = np.argsort(forget.id)
    return ids_digest(forget.id), str(forget.label[order].tolist()), len(predictions.retain.id)


def _add(target: str, found: list[Sources], ids: list[tuple]) -> None:
    """Add the unlearned models of a run's folder, of a bank or of files."""
    stores = stores_in(target, loose=False)
    if not stores:
        _add_loose(target, found, ids)
        return
    matched = False
    for store in stores:
        items = [item for group in store.methods.values() for item in group]
        if not items:
            continue
        mine = _sets(read_item(items[0], store.hash))
        for sources, theirs in zip(found, ids, strict=True):
            if mine != theirs:
                continue
            matched = True
            for name, group in store.methods.items():
                _put(sources, name, group, target)
                sources.arguments[name] = store.arguments.get(name)
                if name in store.failed:
                    sources.failed[name] = store.failed[name]
            sources.original = sources.original or store.original
            # Items of another bank know only its hash; both name the same ids.
            sources.hash = sources.hash or store.hash
            if sources.text == NAMELESS:
                sources.text = store.text
    if not matched:
        for store in stores:
            for sources in found:
                if store.text == sources.text and store.methods:
                    raise _other_ids(target, store, sources)
        raise InputError(
            f"target={target!r}: none of its requests "
            f"({', '.join(s.text for s in stores) or 'none'}) has the ids of the oracles' "
            f"({', '.join(s.text for s in found)}): a bank or run of another request; train "
            "oracles for it, or name others with --oracles"
        )


def _other_ids(target: str, store: Sources, sources: Sources) -> InputError:
    """What to say of two requests of one text that name different examples."""
    item = next(item for group in store.methods.values() for item in group)
    mine = read_item(item, store.hash).forget.id
    theirs = read_item(sources.oracle[0], sources.hash).forget.id
    file = item.path
    if in_bank(file):
        file = file.parent.parent.parent / "requests" / f"{store.hash}.npz"
    return InputError(
        f"target={target!r}: {store.text} is {len(mine)} examples there and {len(theirs)} in the "
        f"oracles', {len(np.intersect1d(mine, theirs))} of them the same: expected the same; "
        "data may differ, and requests scored by trained models (hardest) depend on the rounding "
        "of the machine; audit it with its own oracles, without --oracles, or fill a bank for its "
        f"ids: save forget_id of {str(file)!r} as ids.npy, then experiments.bank --requests "
        "ids:ids.npy"
    )


def _add_loose(target: str, found: list[Sources], ids: list[tuple]) -> None:
    """Add files from elsewhere under the name given or that of the file or folder."""
    if is_store(Path(target)) or mixed_in(target) is not None:
        return
    name, _, paths = target.rpartition("=")
    items = [item for path in paths.split(",") for item in files_in(path)]
    groups = {name: items}
    if not name:
        only = Path(paths.split(",")[0])
        groups = {only.name: items} if only.is_dir() else _by_name(items, apart=not only.exists())
    if "oracle" in groups:
        raise InputError(
            f"target={target!r}: called oracle, and given as unlearned: expected the files of "
            "--oracles separated by commas, or a pattern in quotes"
        )
    for name, items in groups.items():
        _assign(items, name, found, ids, target)


def _by_name(items: list[Item], *, apart: bool) -> dict[str, list[Item]]:
    """Models by what their files are called: each its own, or all like the first."""
    if not apart:
        return {model_name(items[0].path): items}
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(model_name(item.path), []).append(item)
    return groups


def _assign(
    items: list[Item], name: str, found: list[Sources], ids: list[tuple], target: str
) -> None:
    first = _sets(load_predictions(items[0].path))
    for sources, theirs in zip(found, ids, strict=True):
        if first == theirs or len(found) == 1:
            # With a single request the check of the models says what does not match.
            if name == "original":
                sources.original += items
            else:
                _put(sources, name, items, target)
            return
    raise InputError(
        f"target={target!r}: its forget ids are those of no request that has oracles "
        f"({', '.join(s.text for s in found)}); train oracles for its request"
    )


def _put(sources: Sources, name: str, items: list[Item], target: str) -> None:
    if name in sources.methods:
        raise InputError(
            f"target={target!r}: {name} is there already; give it another name, other={target}"
        )
    sources.methods[name] = items
