"""A user's own code by name: found, run once, named stably, and explained where it fails."""

import dataclasses
import hashlib
import importlib
import os
import sys
import typing

import pytest

from jax_unlearn.core import InputError
from jax_unlearn.user_code import is_reference, load_object, source_digest

TEXT = """
from __future__ import annotations
import dataclasses

@dataclasses.dataclass
class Mine:
    rate: float = 0.5

    def twice(self) -> float:
        return 2 * self.rate

NUMBER = 7
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my-method.py"
    path.write_text(TEXT)
    return path


def refused(text, *parts, load=load_object):
    with pytest.raises(InputError) as caught:
        load(text, argument="method")
    message = str(caught.value)
    assert message.startswith(f"method={text!r}: ")
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mine.py:Mine", True),
        ("/some where/mine.py:Mine", True),
        ("C:\\mine.py:Mine", True),
        ("mine.py:Mine.twice", True),
        ("package.module:name", True),
        ("module:name", True),
        ("mine.py", True),
        ("mine.py:", True),
        ("module:", True),
        ("natmu", False),
        ("", False),
        (":name", False),
        ("data.npz", False),
        ("/folder/data.npz", False),
        ("mnist:3.0.1", False),
        ("imagenet_v2/matched-frequency", False),
        ("imagenet_v2/matched-frequency:3.0.0", False),
        ("random:0.1", False),
        (None, False),
        (3, False),
    ],
)
def test_references_are_told_from_names_files_and_versions(text, expected):
    assert is_reference(text) is expected


def test_a_file_gives_its_objects_and_parts_of_them(file):
    assert load_object(f"{file}:NUMBER") == 7
    mine = load_object(f"{file}:Mine")
    assert mine().twice() == 1.0
    assert load_object(f"{file}:Mine.twice") is mine.twice


def test_a_relative_path_counts_from_the_current_folder(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert load_object("my-method.py:NUMBER") == 7


def test_the_same_file_gives_the_same_objects_and_an_edited_one_new_ones(file):
    first = load_object(f"{file}:Mine")
    assert load_object(f"{file}:Mine") is first
    stamp = file.stat()
    file.write_text(TEXT.replace("7", "8"))
    # A compiled copy would be taken for fresh: the same size, the same time.
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert load_object(f"{file}:NUMBER") == 8
    assert load_object(f"{file}:Mine") is not first
    assert not (file.parent / "__pycache__").exists()


def test_the_module_is_named_by_the_file_and_its_content_alone(file, tmp_path_factory):
    first = load_object(f"{file}:Mine")
    assert first.__module__.startswith("user_code_my_method_")
    copy = tmp_path_factory.mktemp("elsewhere") / file.name
    copy.write_text(TEXT)
    second = load_object(f"{copy}:Mine")
    assert second is not first
    assert second.__module__ == first.__module__
    copy.write_text(TEXT + "\n")
    assert load_object(f"{copy}:Mine").__module__ != first.__module__


def test_text_annotations_are_resolved_in_the_file(file):
    mine = load_object(f"{file}:Mine")
    assert [field.name for field in dataclasses.fields(mine)] == ["rate"]
    assert typing.get_type_hints(mine) == {"rate": float}


def test_a_file_of_a_standard_module_s_name_shadows_nothing(tmp_path):
    path = tmp_path / "random.py"
    path.write_text("def method():\n    return 'mine'\n")
    assert load_object(f"{path}:method")() == "mine"
    assert importlib.import_module("random").random() < 1


def test_neighbours_can_be_imported_and_the_search_path_stays(tmp_path):
    (tmp_path / "neighbour_of_mine.py").write_text("VALUE = 3\n")
    path = tmp_path / "mine.py"
    path.write_text("from neighbour_of_mine import VALUE\nimport sys\nsys.path.append('/x')\n")
    before = [*sys.path]
    try:
        assert load_object(f"{path}:VALUE") == 3
    finally:
        sys.modules.pop("neighbour_of_mine", None)
    assert sys.path == before


def test_modules_are_found_where_installed_and_in_the_current_folder(tmp_path, monkeypatch):
    assert load_object("os.path:join") is os.path.join
    package = tmp_path / "package_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("VALUE = 5\n")
    monkeypatch.chdir(tmp_path)
    before = [*sys.path]
    try:
        assert load_object("package_of_mine.inner:VALUE") == 5
        assert source_digest("package_of_mine.inner:VALUE") == digest(package / "inner.py")
    finally:
        for name in ("package_of_mine", "package_of_mine.inner"):
            sys.modules.pop(name, None)
    assert sys.path == before


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_is_that_of_the_source(file):
    assert source_digest(f"{file}:Mine") == digest(file)
    before = source_digest(f"{file}:NUMBER")
    file.write_text(TEXT + "# edited\n")
    assert source_digest(f"{file}:NUMBER") == digest(file) != before


def test_a_text_of_another_form_is_refused():
    refused("natmu", "expected FILE.py:NAME or pkg.module:NAME")
    refused("mine.py", "colon and the name")
    refused("mine.py:", "colon and the name")
    refused("mine.py:3", "colon and the name")
    refused("natmu", "expected FILE.py:NAME", load=source_digest)


@pytest.mark.parametrize("load", [load_object, source_digest])
def test_a_missing_file_names_its_neighbour(file, load):
    refused(f"{file.parent / 'my_method.py'}:Mine", "no such file", "my-method.py", load=load)
    refused(f"{file.parent / 'none' / 'x.py'}:Mine", "no such file", load=load)


def test_a_missing_name_names_those_that_come_near(file):
    refused(f"{file}:Mime", "has no Mime", "did you mean Mine?", "expected one of Mine")
    refused(f"{file}:Mine.thrice", "has no thrice", "did you mean twice?")
    refused("os.path:joyn", "has no joyn", "join")


@pytest.mark.parametrize("load", [load_object, source_digest])
def test_a_missing_module_is_named(file, load, monkeypatch):
    refused("no_such_package.inner:name", "no module no_such_package", load=load)
    refused("os.no_such_module:name", "no module os.no_such_module", load=load)
    (file.parent / "plain.py").write_text("")
    monkeypatch.chdir(file.parent)
    refused("no.plain:name", "no module no", load=load)


def test_a_module_without_a_file_has_no_digest():
    refused("sys:path", "no source file", load=source_digest)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x = 1\ny = nothing\n", ("in line 2", "NameError: name 'nothing' is not defined")),
        ("def broken(:\n", ("SyntaxError",)),
        ("import no_such_package\n", ("in line 1", "No module named 'no_such_package'")),
        ("raise RuntimeError('one\\n  two')\n", ("RuntimeError: one two",)),
        ("import sys\nsys.exit(3)\n", ("in line 2", "SystemExit: 3")),
        ("from . import other\n", ("ImportError", "relative import")),
        ("x = '\x00'\n", ("SyntaxError", "null bytes")),
    ],
)
def test_a_failing_import_says_what_was_raised_and_where(tmp_path, text, parts):
    path = tmp_path / "broken.py"
    path.write_text(text)
    before, modules = [*sys.path], {*sys.modules}
    for _ in range(2):
        refused(f"{path}:name", "importing broken.py fails", *parts)
    assert sys.path == before
    assert not any(name.startswith("user_code_broken") for name in {*sys.modules} - modules)


def test_a_module_that_fails_says_what_was_raised(tmp_path, monkeypatch):
    (tmp_path / "failing_of_mine.py").write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    refused("failing_of_mine:name", "importing failing_of_mine fails", "no_such_package")


def test_an_interruption_is_passed_on(tmp_path):
    path = tmp_path / "interrupted.py"
    path.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_object(f"{path}:name")
