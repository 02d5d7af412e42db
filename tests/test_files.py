"""Locks that die with their owner, and files that appear whole or not at all."""

import os
import subprocess
import sys

import pytest

from jax_unlearn.files import locked, write_whole

HOLDER = """
import pathlib, sys, time
from jax_unlearn.files import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("content", [b"new\x00", "n\u00e9w\n"])
@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(content, durable, tmp_path):
    path = tmp_path / "a" / "b.md"
    write_whole(path, "old")
    assert write_whole(str(path), content, durable=durable) == path
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [child.name for child in path.parent.iterdir()] == ["b.md"]


@pytest.mark.parametrize("partial", [None, "part"])
def test_a_write_that_fails_leaves_the_earlier_file_alone(partial, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    path = write_whole(tmp_path / "file", "old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, "new", partial=partial and tmp_path / partial)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unfinished_file_has_the_name_that_it_is_recognised_by(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(os, "replace", lambda old, new: names.append(os.path.basename(old)))
    write_whole(tmp_path / "config.json", "{}")
    write_whole(tmp_path / "config.json", "{}", partial=tmp_path / "other.tmp")
    assert names[0].startswith(".config.json.")
    assert names[1] == "other.tmp"


def test_a_file_can_be_read_by_whom_the_users_mask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        assert write_whole(tmp_path / "file", "x").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_a_lock_is_held_once_or_shared(tmp_path):
    path = tmp_path / "locks" / "one"
    with locked(path) as first, locked(path, wait=False) as second:
        assert first
        assert not second
    with locked(path, shared=True), locked(path, shared=True, wait=False) as other:
        assert other
        with locked(path, wait=False) as alone:
            assert not alone
    assert path.exists()


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with locked(path, wait=False) as mine:
            assert not mine
        process.kill()
        process.wait()
    with locked(path, wait=False) as mine:
        assert mine
