"""A user's own code by name: ``FILE.py:NAME`` or ``pkg.module:NAME`` where a name is expected."""

import contextlib
import difflib
import hashlib
import importlib
import importlib.abc
import importlib.util
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from jax_unlearn.core import InputError, check_choice

FORMS = "FILE.py:NAME or pkg.module:NAME"

# A script that parses a command line as it is imported exits.
_FAILURES = (Exception, SystemExit)
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def briefly(error: Exception) -> str:
    """What an exception of a user's code says, in a line: JAX's messages fill a screen."""
    # Of a number that is traced JAX names the library's function that traces it.
    said = str(error).partition("The error occurred while tracing")[0]
    return textwrap.shorten(said, 200, placeholder=" ...").removesuffix(".")


def is_reference(text: Any) -> bool:
    """Whether a text names an object in a file or module rather than a built-in thing.

    True for ``FILE.py:NAME`` and ``pkg.module:NAME``, and for the same with the name forgotten, so
    that :func:`load_object` can say what is missing. ``mnist:3.0.1`` (a version of a dataset),
    ``hf:mnist`` (one of Hugging Face) and ``data.npz`` are none.
    """
    if not isinstance(text, str) or text.startswith("hf:"):
        return False
    if text.endswith(".py"):
        return True
    place, colon, name = text.rpartition(":")
    if not colon or not place:
        return False
    return place.endswith(".py") or bool(
        _DOTTED.fullmatch(place) and (not name or _DOTTED.fullmatch(name))
    )


def load_object(text: str, *, argument: str = "name") -> Any:
    """Import the object that a reference names.

    A file needs no package and may import its neighbours at its top. It is executed once for each
    of its contents: the same file gives the same objects again, an edited one gives new ones. Its
    module is called ``user_code_<file>_<digest of its content>``, whatever folder it lies in.
    ``sys.path`` is afterwards what it was before.

    Args:
      text: ``FILE.py:NAME`` or ``pkg.module:NAME``; NAME may have parts, as ``Class.method``.
        Modules are also looked for in the current folder.
      argument: what the text was given for, for error messages.

    Returns:
      The object.

    Raises:
      InputError: if the text has another form, the file or module does not exist, importing it
        fails, or it has nothing of that name.
    """
    source = f"{argument}={text!r}"
    place, name = _parts(source, text)
    if place.endswith(".py"):
        module = _import_file(source, _file(source, place))
    else:
        module = _import_module(source, place)
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise InputError(f"{source}: {_unknown(found, part, place)}") from error
    return found


def find_object(text: str, known: Mapping[str, Any], group: str, *, argument: str) -> Any:
    """Find what a name stands for: ours, a user's own, or an installed package's.

    Args:
      text: a key of ``known``, a reference as for :func:`load_object`, or the name of an entry
        point.
      known: built-in and registered objects by name.
      group: of entry points.
      argument: what the text was given for, for error messages.

    Raises:
      InputError: there is nothing of that name, or importing it fails.
    """
    if text in known:
        return known[text]
    if is_reference(text):
        return load_object(text, argument=argument)
    offered = offered_by_packages(group)
    if text not in offered:
        check_choice(argument, text, [*known, *offered], "your own as FILE.py:NAME")
    try:
        return offered[text].load()
    except Exception as error:  # importing a package can raise anything
        raise InputError(
            f"{argument}={text!r}: importing {offered[text].value} fails ({_summary(error)}): "
            "expected a package that works; mend or remove it"
        ) from error


def offered_by_packages(group: str) -> dict[str, Any]:
    """Entry points by name that installed packages declare in a group."""
    return {point.name: point for point in metadata.entry_points(group=group)}


def described_offer(point: Any) -> tuple[str, str]:
    """What an entry point names, as ``pkg.module:NAME``, and its package with its version."""
    package = point.dist
    return point.value.partition("[")[0].strip(), f"{package.name} {package.version}"


def source_digest(text: str, *, argument: str = "name") -> str:
    """Hash the source of what a reference names, so that a run can record what it ran.

    Args:
      text: as for :func:`load_object`. The object need not exist.
      argument: what the text was given for, for error messages.

    Returns:
      Sha256, in hex, of the bytes of the file, or of the module's source file. What these import
      is not part of it.

    Raises:
      InputError: if the text has another form, or there is no such file or module, or the module
        has no file.
    """
    source = f"{argument}={text!r}"
    place, _ = _parts(source, text)
    if place.endswith(".py"):
        return hashlib.sha256(_content(source, _file(source, place))).hexdigest()
    try:
        with _importing_from(Path.cwd()):
            spec = importlib.util.find_spec(place)
    except ModuleNotFoundError as error:
        raise _missing(source, place, error) from error
    except Exception as error:  # importing the package around the module can raise anything
        raise InputError(f"{source}: importing {place} fails ({_summary(error)})") from error
    if spec is None:
        raise _missing(source, place)
    if not spec.has_location or spec.origin is None:
        raise InputError(
            f"{source}: {place} has no source file: expected a module in a file of its own"
        )
    return hashlib.sha256(_content(source, Path(spec.origin))).hexdigest()


def _parts(source: str, text: str) -> tuple[str, str]:
    place, colon, name = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if not is_reference(text):
        raise InputError(f"{source}: expected {FORMS}")
    if not colon or text.endswith(".py") or not _DOTTED.fullmatch(name):
        raise InputError(
            f"{source}: expected {FORMS}; put a colon and the name of the object after the file"
        )
    return place, name


def _file(source: str, place: str) -> Path:
    path = Path(os.path.expanduser(place))
    if path.is_file():
        return path.resolve()
    folder = path.parent
    near = _near(path.name, [p.name for p in folder.glob("*.py")] if folder.is_dir() else [])
    raise InputError(
        f"{source}: no such file: {near}expected a Python file; "
        f"the path counts from {str(Path.cwd())!r}"
    )


def _content(source: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{source}: {path} cannot be read ({_summary(error)}): expected a file that this user "
            "may read"
        ) from error


class _Source(importlib.abc.SourceLoader):
    """Runs the very bytes that were hashed; never a compiled copy of an earlier version."""

    def __init__(self, path: Path, content: bytes):
        self._path, self._content = path, content

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        # SourceLoader also asks for a compiled copy, whose absence it takes from an OSError.
        if path != str(self._path):
            raise FileNotFoundError(path)
        return self._content


def _import_file(source: str, path: Path) -> ModuleType:
    content = _content(source, path)
    stem = re.sub(r"\W", "_", path.stem)
    name = f"user_code_{stem}_{hashlib.sha256(content).hexdigest()[:8]}"
    known = sys.modules.get(name)
    # The same text in another folder may have other neighbours.
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    loader = _Source(path, content)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and type hints look their module up while the file still runs.
    sys.modules[name] = module
    try:
        with _importing_from(path.parent):
            loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, _FAILURES):
            raise _failed(source, path.name, error, str(path)) from error
        raise
    return module


def _import_module(source: str, place: str) -> ModuleType:
    try:
        with _importing_from(Path.cwd()):
            return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{place}.".startswith(f"{error.name}."):
            raise _missing(source, place, error) from error
        raise _failed(source, place, error) from error
    except _FAILURES as error:
        raise _failed(source, place, error) from error


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Look for modules in a folder first, for the length of the block."""
    before = [*sys.path]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _failed(source: str, what: str, error: BaseException, path: str = "") -> InputError:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    where = f" in line {lines[-1]}" if lines else ""
    return InputError(
        f"{source}: importing {what} fails{where} ({_summary(error)}): expected code that runs; "
        "import it in Python to see the whole error"
    )


def _missing(source: str, place: str, error: ModuleNotFoundError | None = None) -> InputError:
    missing = place if error is None or error.name is None else error.name
    file = Path(*place.split(".")).with_suffix(".py")
    hint = f"did you mean {file}:...? " if file.is_file() else ""
    return InputError(
        f"{source}: there is no module {missing}: {hint}expected one that is installed or lies in "
        f"the current folder, or {FORMS.split()[0]}"
    )


def _unknown(owner: Any, name: str, place: str) -> str:
    own = [
        key
        for key, value in sorted(vars(owner).items() if hasattr(owner, "__dict__") else ())
        if not key.startswith("_") and not isinstance(value, ModuleType)
    ]
    # What a module defines before what it imports.
    defined = [
        key
        for key in own
        if getattr(vars(owner)[key], "__module__", "") == getattr(owner, "__name__", None)
    ]
    shown = ", ".join((defined or own)[:10])
    there = f"one of {shown}" if shown else "a name that it defines"
    return f"{place} has no {name}: {_near(name, own)}expected {there}"


def _near(word: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(word, choices, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}? " if near else ""


def _summary(error: BaseException) -> str:
    """Kind and message of an error on one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
