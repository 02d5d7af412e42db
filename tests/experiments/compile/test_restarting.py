"""The command starts again where a compiler has ended its process, or has filled the memory."""

import contextlib
import pathlib
import signal
import sys
import types

import pytest

from experiments.compile import restarting


@pytest.mark.parametrize("said", [b"", b"WARNING: slow\n*** SIGSEGV at 0\nPC: here\n"])
@pytest.mark.parametrize(
    "codes",
    [[0], [2], [-signal.SIGSEGV, -signal.SIGABRT, 0], [restarting.FULL, 0], [-signal.SIGKILL]],
)
def test_the_command_starts_again_where_a_compiler_ended_its_process(
    monkeypatch, capsys, codes, said
):
    started, words = [], []

    class Process:
        def __init__(self, command, env):
            assert env[restarting.INSIDE] == str(len(started))
            assert float(env[restarting.BEGAN]) > 0
            started.append(command)
            words.append(env.get(restarting.ENDED))
            self.words = pathlib.Path(env[restarting.WORDS])

        def wait(self):
            self.words.write_bytes(said)
            return codes[len(started) - 1]

    passed_on = []
    monkeypatch.setattr(signal, "signal", lambda number, _: passed_on.append(number))
    monkeypatch.setattr(restarting.subprocess, "Popen", Process)
    monkeypatch.setattr(sys, "argv", ["compile", "--target", "x"])
    with pytest.raises(SystemExit) as ended:
        restarting.restart_after_crashes()
    killed = codes[-1] == -signal.SIGKILL
    # As shells say it of a process that a signal ended.
    assert ended.value.code == (128 + signal.SIGKILL if killed else codes[-1])
    shown = capsys.readouterr()
    assert ("where memory runs out" in shown.err) == killed
    expected = [
        ("*** SIGSEGV at 0" if said else signal.Signals(-code).name) if code < 0 else None
        for code in codes[:-1]
    ]
    assert words == [None, *expected]
    assert shown.out.splitlines() == [
        f"the compiler ended the process: {one}; starting again" for one in expected if one
    ]
    assert [command[1:] for command in started] == [
        ["-m", "experiments.compile", "--target", "x"] for _ in codes
    ]
    assert passed_on == [signal.SIGTERM] * len(codes)


@pytest.mark.parametrize(("share", "ends"), [(0.6, True), (0.4, False)])
def test_a_process_ends_to_be_started_again_once_it_has_half_of_the_memory(
    monkeypatch, tmp_path, share, ends
):
    monkeypatch.setenv(restarting.INSIDE, "1")
    monkeypatch.setattr(restarting, "LIMIT", tmp_path / "memory.max")
    memory = 2**20
    restarting.LIMIT.write_text(f"{memory}\n")
    unit = 1 if sys.platform == "darwin" else 1024
    usage = types.SimpleNamespace(ru_maxrss=share * memory / unit)
    monkeypatch.setattr(restarting.resource, "getrusage", lambda _: usage)
    with pytest.raises(SystemExit) if ends else contextlib.nullcontext() as ended:
        restarting.make_room()
    assert not ends or ended.value.code == restarting.FULL
    for unlimited in (lambda: restarting.LIMIT.write_text("max\n"), restarting.LIMIT.unlink):
        unlimited()
        restarting.make_room()
