"""Signals wait for the end of a step."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest

from jax_unlearn.engine.signals import Interrupted, acting, deferred, held

BOTH = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def outer():
    """Signals that reach the handlers of whoever runs the block."""
    heard = []
    before = {s: signal.signal(s, lambda signum, frame: heard.append(signum)) for s in BOTH}
    yield heard
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def foreground():
    """SIGINT as in a process of the foreground; one of the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_exit_code_is_that_of_the_signal(signum, code):
    error = Interrupted(signum)
    assert (error.signal, error.exit_code) == (signum, code)
    assert str(error) == f"stopped by {signum.name}"
    assert pickle.loads(pickle.dumps(error)).exit_code == code


@pytest.mark.parametrize("signum", BOTH)
def test_a_signal_is_noted_and_the_block_goes_on(signum, outer):
    with deferred() as received:
        assert received() is None
        os.kill(os.getpid(), signum)
        assert received() == signum
    assert outer == []


def test_the_first_signal_counts(outer):
    with deferred() as received:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert received() == signal.SIGTERM


def test_a_second_sigint_goes_through_at_once(outer):
    with deferred():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert outer == []


def test_further_sigterms_change_nothing(outer):
    with deferred() as received:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert received() == signal.SIGTERM
    assert outer == []


def test_the_handlers_from_before_return_after_an_error():
    def failing():
        with deferred():
            during.extend(signal.getsignal(s) for s in BOTH)
            raise ValueError("step")

    during, before = [], [signal.getsignal(s) for s in BOTH]
    with pytest.raises(ValueError, match="step"):
        failing()
    assert [signal.getsignal(s) for s in BOTH] == before
    assert not set(during) & set(before)


@pytest.mark.parametrize("signum", BOTH)
def test_a_signal_that_nobody_asked_about_is_delivered_afterwards(signum, outer):
    with deferred() as received:
        received()
        signal.raise_signal(signum)
        assert outer == []
    assert outer == [signum]


def test_a_block_within_a_block_hands_on_what_it_did_not_notice():
    with deferred() as outside:
        with deferred():
            signal.raise_signal(signal.SIGTERM)
        assert outside() == signal.SIGTERM


def test_other_threads_notice_nothing_and_change_nothing():
    before = [signal.getsignal(s) for s in BOTH]
    seen = []

    def work():
        with deferred() as received:
            seen.append(([signal.getsignal(s) for s in BOTH], received()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, None)]


def test_a_process_finishes_its_step_and_exits_with_the_code_of_the_signal():
    code = """
import os, signal, sys
from jax_unlearn.engine.signals import Interrupted, acting, deferred
try:
    with deferred() as received:
        while True:
            os.kill(os.getpid(), signal.SIGTERM)
            print("step done")
            if received():
                raise Interrupted(received())
except Interrupted as stopped:
    sys.exit(stopped.exit_code)
"""
    # The limit is for a loop that no signal ends.
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, timeout=3600)
    assert (done.returncode, done.stdout) == (143, "step done\n")


@pytest.mark.usefixtures("foreground")
def test_a_signal_whose_exception_was_lost_is_known_to_the_next_block():
    """As in a callback of the garbage collector, which swallows what it raises."""
    with acting():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with deferred() as interrupted:
            assert interrupted() == signal.SIGINT
    with deferred() as interrupted:
        assert interrupted() is None


def test_sigterm_acts_as_an_exception_and_the_handlers_return():
    before = [signal.getsignal(s) for s in BOTH]
    with pytest.raises(Interrupted) as stop, acting():
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.exit_code == 143
    assert [signal.getsignal(s) for s in BOTH] == before


@pytest.mark.parametrize("block", [held, deferred, acting])
def test_handlers_return_though_a_signal_came_between_two_of_them(block, outer, monkeypatch):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = [signal.getsignal(signum) for signum in BOTH]
    install, installed = signal.signal, []

    def exchange(signum, handler):
        if len(installed) == 1:
            installed.append(signum)
            with contextlib.suppress(Interrupted):
                signal.raise_signal(signal.SIGTERM)
            raise KeyboardInterrupt
        installed.append(signum)
        return install(signum, handler)

    monkeypatch.setattr(signal, "signal", exchange)
    with pytest.raises(KeyboardInterrupt), block():
        pytest.fail("the block began")
    assert [signal.getsignal(signum) for signum in BOTH] == before
    assert outer == ([] if block is acting else [signal.SIGTERM])


@pytest.mark.parametrize("signum", BOTH)
def test_a_held_signal_acts_at_the_end_of_the_block(signum, outer):
    with held():
        signal.raise_signal(signum)
        assert outer == []
    assert outer == [signum]


def test_a_second_sigint_ends_what_holds_the_first(outer):
    def insist():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), held():
        insist()
    assert outer == [signal.SIGINT, signal.SIGINT]


def test_a_held_signal_counts_more_than_an_error_of_the_block():
    def fail():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError

    with pytest.raises(Interrupted) as stop, acting(), held():
        fail()
    assert isinstance(stop.value.__context__, ValueError)


def test_in_another_thread_no_signal_is_held():
    before = [signal.getsignal(s) for s in BOTH]
    seen = []

    def work():
        with held():
            seen.append([signal.getsignal(s) for s in BOTH])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_what_handles_errors_lets_a_stop_pass():
    with pytest.raises(Interrupted), contextlib.suppress(Exception):
        raise Interrupted(signal.SIGTERM)
