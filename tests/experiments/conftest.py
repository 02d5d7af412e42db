"""Commands run in this process, on digits or on a handful of images in an .npz."""

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from experiments.bank import command as bank
from experiments.shared import auditing
from jax_unlearn.bank import filling
from jax_unlearn.report import audit_report


class Result(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


def run_main(main, *arguments):
    given, out, err, code = sys.argv, io.StringIO(), io.StringIO(), 0
    sys.argv = ["command", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = given
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def call():
    """Run a command's main in this process, as the command line would."""
    return run_main


@pytest.fixture(scope="session")
def refused(call):
    """Run a command that is to end with one line and exit code 2; gives the line."""

    def run(main, *flags):
        done = call(main, *flags)
        assert done.code == 2
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        return done.err

    return run


TINY = (
    *("--data.train-size", 300, "--data.test-size", 100, "--data.padding", 0, "--data.no-flip"),
    *("--network.width", 8, "--training.epochs", 4, "--training.batch-size", 50),
    *("--requests", "class:3", "random:0.1", "--methods", "finetune", "natmu", "mumis"),
    *("--seeds", 0, 1, "--set", "finetune.batch_size=50", "finetune.epochs=1"),
    *("natmu.batch_size=50", "natmu.epochs=1", "mumis.batch_size=20", "mumis.max_steps=10"),
    "mumis.stop_ratio=9.0",
)


@pytest.fixture(scope="session")
def tiny():
    """Flags of a whole experiment on digits that takes seconds."""
    return TINY


@pytest.fixture(scope="session")
def fill_bank(call, tmp_path_factory):
    """Fill a bank of very small networks on 8x8 digits; further flags go to the command."""

    def fill(*flags):
        path = tmp_path_factory.mktemp("bank") / "bank"
        done = call(
            bank.main,
            *("--out", path, "--data.test-size", 100, "--data.padding", 0, "--data.no-flip"),
            *("--training.batch-size", 50, "--methods", "finetune"),
            *("--set", "finetune.batch_size=50", "finetune.epochs=1", *flags),
        )
        assert done.code == 0, done.err
        return path

    return fill


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep what is decoded out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_UNLEARN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


HERE = Path(__file__).parent
DRAWN = []
"""Not empty while a block wants the pictures of its audits."""


def in_these_tests_only(draw, nothing):
    """Leave out what a test of this folder would draw, unless it asks for it."""

    def drawn(*given):
        # Fixtures of a session outlive this folder's tests in a worker that goes on to others.
        ours = Path(os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]).absolute()
        return nothing if HERE in ours.parents and not DRAWN else draw(*given)

    return drawn


@pytest.fixture(scope="session", autouse=True)
def no_pictures():
    """Leave out the pictures of audits: drawing them is most of what an audit costs.

    The tests of `report` draw them, and a run with :func:`pictures` shows that commands do.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module, name, nothing in (
            (audit_report, "pictures", ([], [])),
            (auditing, "method_figures", []),
        ):
            patch.setattr(module, name, in_these_tests_only(getattr(module, name), nothing))
        yield


@pytest.fixture(scope="session")
def pictures(no_pictures):
    """Let the commands of a block draw the pictures of their audits."""

    @contextlib.contextmanager
    def drawn():
        DRAWN.append(True)
        try:
            yield
        finally:
            DRAWN.pop()

    return drawn


@pytest.fixture(scope="session")
def images_npz(tmp_path_factory):
    """An .npz of 200 training and 40 test images of four classes."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("npz") / "four.npz"
    np.savez(
        path,
        train_images=rng.integers(0, 256, (200, 8, 8, 1), np.uint8),
        train_labels=np.arange(200) % 4,
        test_images=rng.integers(0, 256, (40, 8, 8, 1), np.uint8),
        test_labels=np.arange(40) % 4,
    )
    return path


@pytest.fixture
def trained(monkeypatch):
    """Every model that a bank trains, by kind and seed."""
    made, true = [], filling._train

    def train(bank, members, *rest):
        made.extend((m.ingredients["kind"], m.ingredients["seed"]) for m in members)
        return true(bank, members, *rest)

    monkeypatch.setattr(filling, "_train", train)
    return made
