"""A folder of images: its splits, its classes, and the files of each."""

import os
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.wording import counted, listed

SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
"""What folders of splits are called, whatever the case of their letters."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
"""By which files that lie outside class folders are taken for images."""

_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx")
"""What operating systems leave beside the files that they themselves begin with a dot."""


class Split(NamedTuple):
    """The files of a split, class by class and inside a class in the order of their paths.

    Attributes:
      paths: N paths below the folder of all the data.
      label: int32 [N].
    """

    paths: tuple[str, ...]
    label: np.ndarray


class Tree(NamedTuple):
    """All files of a folder of images.

    Attributes:
      class_names: names of the class folders, sorted; a label is a position among them.
      splits: by ``train``, ``test`` and ``validation`` those that have a folder; a folder without
        such folders is all ``train``.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, Split]


def list_images(root: Path, source: str) -> Tree:
    """List a folder with a sub-folder for each class, in folders of splits or without them.

    Classes are the names of their folders, sorted, and files come in the order of torchvision's
    ImageFolder: class by class, sorted by the folder inside it and the name. Links are followed.
    Hidden files, and what operating systems leave behind, are passed over.

    Args:
      root: the folder.
      source: what messages begin with.

    Raises:
      InputError: it is no such folder; a class has no file, there is one class alone, splits have
        different classes, names differ in case alone, or a link leads back to where it lies.
    """
    folders = _split_folders(root, source)
    named = {split: _class_folders(folder, source) for split, folder in folders.items()}
    _check_alike(named, source)
    classes = tuple(sorted(named["train"]))
    if len(classes) == 1:
        raise InputError(
            f"{source}: has one class, {classes[0]}: expected at least two, each in a folder of "
            "its own; name the folder around the class folders"
        )
    if {name.casefold() for name in classes} <= SPLITS.keys():
        raise InputError(
            f"{source}: {listed(classes)} hold images and no class folders: expected a folder for "
            "each class in them; sort the images into such folders"
        )
    splits = {}
    for split, by_name in named.items():
        paths = [_files(by_name[name], root, source) for name in classes]
        label = np.repeat(np.arange(len(classes)), [len(some) for some in paths])
        splits[split] = Split(
            tuple(path for some in paths for path in some), label.astype(np.int32)
        )
    return Tree(classes, splits)


def _split_folders(root: Path, source: str) -> dict[str, Path]:
    """Folders of splits by what they are; the folder itself is ``train`` where it has none."""
    there = _folders(root, source)
    found: dict[str, Path] = {}
    for folder in there:
        split = SPLITS.get(folder.name.casefold())
        # A class may be called train; its images lie right in it.
        if split is None or not _folders(folder, source):
            continue
        if split in found:
            raise InputError(
                f"{source}: {found[split].name} and {folder.name} are both folders of {split} "
                "images: expected one; put them into one or rename one"
            )
        found[split] = folder
    if not found:
        return {"train": root}
    if "train" not in found:
        raise InputError(
            f"{source}: has {listed(p.name for p in found.values())} and no train: expected a "
            "folder train with a folder for each class; rename the one with the training images"
        )
    aside = [p for p in there if p not in found.values()]
    if SPLITS.keys() & {p.name.casefold() for p in aside}:
        (empty, *_) = [p.name for p in aside if p.name.casefold() in SPLITS]
        raise InputError(
            f"{source}: {empty} has no class folders: expected one for each class, as in train; "
            "sort its images into them, or move it elsewhere"
        )
    aside = [p for p in aside if _loose_images(p, source)]
    if aside:
        raise InputError(
            f"{source}: there are images in {aside[0].name} beside those in {found['train'].name}: "
            "expected class folders inside the folders of splits, or no such folders; move them"
        )
    return {split: found[split] for split in ("train", "test", "validation") if split in found}


def _class_folders(folder: Path, source: str) -> dict[str, Path]:
    loose = _loose_images(folder, source)
    classes = {path.name: path for path in _folders(folder, source)}
    if loose or not classes:
        outside = f"{counted(len(loose), 'image')} outside class folders ({', '.join(loose[:3])})"
        raise InputError(
            f"{source}: {folder} has {outside if loose else 'no class folders'}: expected a folder "
            "for each class with its images in it; sort them into such folders"
        )
    for name in classes:
        if not name.isprintable():
            raise InputError(
                f"{source}: the class folder {name!a} has a name that cannot be printed: expected "
                "text; rename it"
            )
    _check_case({name: str(path) for name, path in classes.items()}, source)
    return classes


def _check_case(places: Mapping[str, str], source: str) -> None:
    """Refuse names that many file systems take for one."""
    known: dict[str, str] = {}
    for name in sorted(places):
        same = known.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if same != name:
            raise InputError(
                f"{source}: {places[same]} and {places[name]} differ only in case or in how "
                "letters are composed: expected one name for one class; rename one"
            )


def _check_alike(named: Mapping[str, Mapping[str, Path]], source: str) -> None:
    """Refuse splits that have different classes."""
    _check_case({n: str(p) for by_name in named.values() for n, p in by_name.items()}, source)
    train = named["train"]
    for split, by_name in named.items():
        for where, names in (
            (split, sorted(set(by_name) - set(train))),
            ("train", sorted(set(train) - set(by_name))),
        ):
            if names:
                other = "train" if where == split else split
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                raise InputError(
                    f"{source}: {where} has the class {', '.join(names[:3])}{more}, which {other} "
                    "lacks: expected the same class folders in both; add or remove them"
                )


def _files(folder: Path, root: Path, source: str) -> list[str]:
    around = tuple(_identity(path) for path in {root, folder.parent})
    found = sorted(os.path.split(path) for path in _walk(folder, source, around))
    if not found:
        raise InputError(
            f"{source}: the class folder {folder} holds no images: expected at least one in each; "
            "add some or remove the folder"
        )
    return [os.path.relpath(os.path.join(*parts), root) for parts in found]


def _walk(folder: Path, source: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """All files below a folder; ``above`` identifies the folders around it."""
    own = _identity(folder)
    if own in above:
        raise InputError(
            f"{source}: {folder} is a link to a folder around it: expected folders that end; "
            "remove the link"
        )
    for entry in _entries(folder, source):
        if _is_folder(entry):
            yield from _walk(Path(entry.path), source, (*above, own))
        else:
            yield entry.path


def _identity(folder: Path) -> tuple[int, int]:
    """What tells a folder from all others, by whatever link it is reached."""
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _loose_images(folder: Path, source: str) -> list[str]:
    entries = _entries(folder, source)
    return sorted(
        e.name for e in entries if not _is_folder(e) and e.name.lower().endswith(SUFFIXES)
    )


def _folders(folder: Path, source: str) -> list[Path]:
    return sorted(Path(entry.path) for entry in _entries(folder, source) if _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself; reading it as a file says so.
        return False


def _entries(folder: Path, source: str) -> list[os.DirEntry[str]]:
    """What a folder holds that is not hidden."""
    try:
        with os.scandir(folder) as entries:
            return [
                e
                for e in entries
                if not e.name.startswith(".") and e.name.casefold() not in _SYSTEM
            ]
    except OSError as error:
        raise InputError(
            f"{source}: {folder} cannot be read ({(error.strerror or str(error)).lower()}): "
            "expected a folder that this user may read; check it"
        ) from error
