"""The tests that only an accelerator can show, where the repository is at hand."""

import importlib.util
import itertools
import os
import pathlib
import subprocess
import sys

from ..benchmarks.cases import Row
from .session import Part, Session, UnfinishedError

TESTS = pathlib.Path(__file__).parents[3] / "tests"
"""Beside the commands in a clone; an installed package has none."""


def parts(session: Session) -> list[Part]:
    """One part."""
    return [Part("tests", 60, 180, lambda limit: _measure(session, limit))]


def _measure(session: Session, limit: float) -> list[Row]:
    if not (TESTS / "conftest.py").is_file():
        raise RuntimeError("an installed package has no tests: run this in a clone")
    if importlib.util.find_spec("pytest") is None:
        raise RuntimeError("pytest is not installed: pip install 'jax_unlearn[test]'")
    command = [sys.executable, "-m", "pytest", "-m", "accelerator", "-q", "--tb=line", "-rf"]
    command += ["-p", "no:cacheprovider", str(TESTS / "engine" / "test_accelerator.py")]
    try:
        done = subprocess.run(
            command,
            cwd=TESTS.parent,
            env={**os.environ, **session.environment},
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {limit:.0f} s") from None
    return read(done.stdout, done.stderr, done.returncode)


def read(output: str, errors: str, code: int) -> list[Row]:
    """Rows of what pytest wrote: how many passed.

    Raises:
      RuntimeError: it did not come to running tests.
      UnfinishedError: some failed, or none ran; with a row for each that failed.
    """
    lines = output.strip().splitlines()
    if code not in (0, 1):
        raise RuntimeError((errors.strip().splitlines() or lines or [f"exit code {code}"])[-1])
    ended = lines[-1].strip("= ")
    failed = [line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")]
    counted = [int(n) for n, what in _pairs(ended) if what == "passed"]
    passed = Row("accelerator tests", sum(counted), "passed", ended)
    if code or not passed.value:
        raise UnfinishedError([passed, *(Row("failed test", None, "", line) for line in failed)])
    return [passed]


def _pairs(ended: str) -> list[tuple[str, str]]:
    words = ended.replace(",", "").split()
    return [(n, what) for n, what in itertools.pairwise(words) if n.isdecimal()]
