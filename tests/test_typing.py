"""A user's method checks under ``mypy --strict``: the package is typed where users extend it."""

import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")

TYPED = pathlib.Path(__file__).parent / "typed_user_method.py"

WRONG = """\
import jax
import jax_unlearn as ju

class Wrong(ju.Descent):
    batch_size: int = ju.static("many")  # refused
    strength: float = 0.5

    def losses(self, logits: str, batch: ju.Batch, *rest: object) -> jax.Array:  # refused
        return batch.labels  # refused

    def stop(self, history: int, problem: ju.Problem) -> bool:  # refused
        return len(problem.retain.label) > 0  # refused

Wrong(strenght=0.1)  # refused
Wrong(strength="much")  # refused
ju.natmu(delta="much")  # refused
Wrong().strength = 1.0  # refused
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """What mypy says of a method that is right and of one that is wrong, in one run: it is slow."""
    folder = tmp_path_factory.mktemp("typing")
    wrong = folder / "wrong_user_method.py"
    wrong.write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    # Optax has no types of its own, which is no fault of a method that uses it.
    command += ["--disable-error-code=import-untyped", f"--cache-dir={folder / 'cache'}"]
    done = subprocess.run(
        [*command, str(TYPED), str(wrong)],
        cwd=TYPED.parents[1],
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_a_typed_method_passes_strict_checks(reported):
    assert [line for line in reported if "wrong_user_method.py" not in line] == []


def test_wrong_hooks_fields_and_arguments_are_reported(reported):
    found = {
        int(m[1]) for line in reported if (m := re.search(r"wrong_user_method.py:(\d+)", line))
    }
    marked = {n for n, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# refused")}
    assert found == marked
