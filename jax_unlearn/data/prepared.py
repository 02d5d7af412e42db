"""Finding a dataset that TFDS prepared, by the conventions of its folders, or preparing it.

TFDS keeps ``data_dir/<name>/<version>`` or, for a dataset with configs,
``data_dir/<name>/<config>/<version>``.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jax_unlearn.core import InputError, check_choice
from jax_unlearn.data.builders import SOURCES, Source
from jax_unlearn.data.builders.prepare import prepare
from jax_unlearn.data.tfds_reader import one_line
from jax_unlearn.wording import agree

COARSE = {"cifar20": "cifar100"}
"""Datasets that are another one with its coarse labels."""

BUILT_IN = (*SOURCES, *COARSE)
"""Names of the datasets that the library can prepare."""

FORMAT = "array_record"
INFO = "dataset_info.json"

_NUMBER = r"(?:\d+|\*)"
_VERSION = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"


class Wanted(NamedTuple):
    """A dataset's name as TFDS writes it, ``name/config:version``, in its parts.

    Attributes:
      name: of the dataset.
      config: '' where none is asked for.
      version: three numbers; ``*`` in the place of one stands for any, '' for the newest.
    """

    name: str
    config: str = ""
    version: str = ""

    @property
    def text(self) -> str:
        """Name and config."""
        return f"{self.name}/{self.config}" if self.config else self.name


def parse_name(name: str) -> Wanted:
    """Take a dataset's name apart; the version may also follow a slash, as in the folders.

    Raises:
      InputError: it is a path, or written otherwise.
    """
    found = re.fullmatch(
        rf"(?P<name>[\w.-]+)(?:/(?!{_VERSION}$)(?P<config>[^/:]+))?(?:[:/](?P<version>{_VERSION}))?",
        name,
    )
    if found is None or found["name"] in (".", "..") or found["config"] in (".", ".."):
        raise _no_name(name)
    stored = COARSE.get(found["name"], found["name"])
    return Wanted(stored, found["config"] or "", found["version"] or "")


def _no_name(name: str) -> InputError:
    path = Path(name)
    what = "is a file: " if path.is_file() else "is a folder: " if path.is_dir() else ""
    return InputError(
        f"dataset={name!r}: {what}expected a name such as cifar10, NAME/CONFIG or NAME:1.0.0 (with "
        "its folder as data_dir), the path of an .npz (see load_npz) or of a folder of images (see "
        "load_folder), or FILE.py:NAME"
    )


def plain_name(name: str) -> str:
    """The name without a version: what a dataset is called in tables and looked up by."""
    return re.sub(rf"[:/]{_VERSION}$", "", name)


def prepared_folder(
    name: str, data_dir: str | os.PathLike | None, root: Path, *, download: bool
) -> Path:
    """Find the prepared dataset, or prepare it.

    Args:
      name: as for :func:`jax_unlearn.data.load`.
      data_dir: root of prepared datasets, or the folder of this dataset, of its config or of one
        of its versions; None means ``<root>/tfds``.
      root: of the cache.
      download: whether a missing archive may be downloaded.

    Returns:
      The folder of one version, stored as array_record: the newest that fits the name.

    Raises:
      InputError: as :func:`jax_unlearn.data.load` says.
      UnwritableError: as :func:`jax_unlearn.data.builders.prepare.prepare` says.
    """
    wanted = parse_name(name)
    own = root / "tfds"
    base = own if data_dir is None else Path(os.path.expanduser(data_dir))
    if data_dir is not None and not base.is_dir():
        raise InputError(
            f"data_dir={str(data_dir)!r}: no such folder: expected a folder that holds "
            f"{wanted.text}/<version>/{INFO}; check the path"
        )
    found = _find(name, base, wanted)
    source = None if wanted.config else SOURCES.get(wanted.name)
    if source is not None and wanted.version not in ("", source.version):
        source = None
    readable = [version for version in found if FORMAT in _formats(version)]
    # Where TFDS's own version is one that only TensorFlow reads, ours is taken, if it was made.
    if readable and (readable[-1] == found[-1] or _is_ours(readable[-1], source)):
        return readable[-1]
    if source is not None and not source.archives:
        return _is_prepared(source, own) or prepare(source, own, argument="cache_dir")
    argument = "cache_dir" if data_dir is None else "data_dir"
    manual = base / "downloads" / "manual"
    archives = [] if source is None else _archives(source, (manual, base))
    if source is not None and len(archives) == len(source.archives):
        return prepare(source, base, archives, argument=argument)
    if found:
        raise _other_format(base, wanted, found[-1], readable, source)
    if source is None:
        raise _unknown(name, base, wanted)
    if download and source.downloadable:
        return prepare(source, base, argument=argument)
    _check_elsewhere(name, base, wanted)
    fetch = "pass download=True, or " if source.downloadable else ""
    what = agree(len(source.archives), "archive", "archives")
    raise InputError(
        f"{argument}={str(base)!r}: {source.name} is not there: expected {source.name}/<version>/"
        f"{INFO} or the {what} {source.files}; {fetch}put the {what} from {source.addresses} into "
        f"{manual}"
    )


def _archives(source: Source, places: Sequence[Path]) -> list[Path]:
    """The original files that are there, each from the first place that has it."""
    found = ([place / archive.name for place in places] for archive in source.archives)
    return [path for paths in found for path in [p for p in paths if p.is_file()][:1]]


def _is_ours(version: Path, source: Source | None) -> bool:
    return source is not None and version.name == source.version


def _is_prepared(source: Source, base: Path) -> Path | None:
    folder = base / source.name / source.version
    return folder if (folder / INFO).is_file() else None


def _find(name: str, base: Path, wanted: Wanted) -> list[Path]:
    """Folders of the prepared versions that fit, oldest first.

    Raises:
      InputError: there are several configs and none is asked for.
    """
    home = base / wanted.name / wanted.config
    found = [version for version in _versions(home) if _fits(version, wanted.version)]
    if found:
        return found
    if not wanted.config and not _versions(home):
        for folder in (home, base) if _is_home(base, wanted) else (home,):
            configs = [part for part in _folders(folder) if _versions(part)]
            if len(configs) > 1:
                names = sorted(f"{wanted.name}/{config.name}" for config in configs)
                raise InputError(
                    f"dataset={name!r}: has several configs: expected one of {', '.join(names)}"
                )
            found += [v for config in configs for v in _versions(config)]
    # The folder given may be that of the dataset, of its config or of its version.
    inside = [base] if (base / INFO).is_file() else []
    for folder in (base, base / wanted.config):
        inside += [v for v in _versions(folder) if v not in inside]
    found += [version for version in inside if _is_named(version, wanted)]
    return [version for version in found if _fits(version, wanted.version)]


def _is_home(base: Path, wanted: Wanted) -> bool:
    return base.resolve().name == wanted.name


def _is_named(version: Path, wanted: Wanted) -> bool:
    """Whether a version's folders, or what TFDS wrote into it, have the name."""
    *_, above, parent, _ = ("", "", "", *version.resolve().parts)
    info = _info(version)
    names = {
        (parent, ""),
        (above, parent),
        (str(info.get("name", "")), str(info.get("configName", ""))),
    }
    return any(name == wanted.name and wanted.config in ("", config) for name, config in names)


def _versions(folder: Path) -> list[Path]:
    """The prepared versions in a folder, oldest first."""
    found = [
        info.parent
        for info in folder.glob(f"*/{INFO}")
        if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)
    ]
    return sorted(found, key=lambda version: tuple(map(int, version.name.split("."))))


def _fits(version: Path, pattern: str) -> bool:
    given = version.name if re.fullmatch(_VERSION, version.name) else _info(version).get("version")
    parts = zip(pattern.split("."), str(given).split("."), strict=False)
    return not pattern or all(part in ("*", number) for part, number in parts)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:
        return []


def _info(version: Path) -> dict[str, Any]:
    path = version / INFO
    try:
        info = json.loads(path.read_bytes())
        if isinstance(info, dict):
            return info
        error: Exception = ValueError(f"a {type(info).__name__}")
    except (OSError, ValueError, RecursionError) as problem:
        error = problem
    raise InputError(
        f"data_dir: {path} cannot be read ({one_line(error)}): expected what TFDS writes; prepare "
        "the dataset again"
    ) from error


def _formats(version: Path) -> list[str]:
    """File formats that a version is stored in, its own first."""
    info = _info(version)
    others = info.get("alternativeFileFormats")
    # TFDS wrote no format while tfrecord was the only one.
    return [
        str(info.get("fileFormat", "tfrecord")),
        *(map(str, others) if isinstance(others, list) else ()),
    ]


def _other_format(
    base: Path, wanted: Wanted, newest: Path, readable: list[Path], source: Source | None
) -> InputError:
    """Refuse a version that only TensorFlow reads, rather than silently take an older one."""
    older = f"ask for {wanted.text}:{readable[-1].name}, which is; or " if readable else ""
    archive = (
        f"; or put {source.files} into {base / 'downloads' / 'manual'}"
        if source is not None
        else ""
    )
    return InputError(
        f"data_dir={str(base)!r}: {wanted.text}/{newest.name} is stored as {_formats(newest)[0]}, "
        f"which only TensorFlow can read: expected {FORMAT}; {older}prepare it again, where "
        f"TensorFlow is installed, with tfds.builder({wanted.text!r}, data_dir=..., "
        f"file_format='{FORMAT}').download_and_prepare(){archive}"
    )


def _unknown(name: str, base: Path, wanted: Wanted) -> InputError:
    """The error for a name that no folder has."""
    if Path(name).is_file():
        return _no_name(name)
    _check_elsewhere(name, base, wanted)
    there = _find(name, base, wanted._replace(version=""))
    if there:
        versions = ", ".join(f"{wanted.text}:{version.name}" for version in there)
        return InputError(f"dataset={name!r}: no such version: expected one of {versions}")
    if wanted.name in SOURCES and not wanted.config:
        return InputError(
            f"dataset={name!r}: no such version: expected {plain_name(name)} alone or "
            f"{plain_name(name)}:{SOURCES[wanted.name].version}"
        )
    names = {*SOURCES, *COARSE, *_names(base)}
    try:
        also = "the path of a folder of images or of an .npz, hf:NAME, or FILE.py:NAME"
        check_choice("dataset", name, names, also)
    except InputError as error:
        return error
    raise AssertionError(f"{name} is among {sorted(names)} and was not found")


def _names(base: Path) -> Iterator[str]:
    """Names of the datasets in a folder, with their configs."""
    for folder in _folders(base):
        if _versions(folder):
            yield folder.name
            continue
        for config in _folders(folder):
            if _versions(config):
                yield f"{folder.name}/{config.name}"


def _check_elsewhere(name: str, base: Path, wanted: Wanted) -> None:
    """Name the folder beside, above or below in which the dataset lies, if there is one."""
    base = base.resolve()
    for place in (base.parent, base.parent.parent, *_folders(base)):
        home = place / wanted.name / wanted.config
        folders = [home] if wanted.config else [home, *_folders(home)]
        if any(
            _fits(version, wanted.version) for folder in folders for version in _versions(folder)
        ):
            raise InputError(
                f"dataset={name!r}: is not in data_dir={str(base)!r}: expected the folder that "
                f"holds {wanted.text}; pass data_dir={str(place)!r}"
            )
