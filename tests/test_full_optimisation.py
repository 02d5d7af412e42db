"""Golden and numerical tests with all of the compiler's optimisations.

The suite compiles with few of them. They are settings of a process, so this is another one, and in
a run of the whole suite these tests run in it alone.
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
ALL = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}


@pytest.mark.skipif(
    os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") != "1",
    reason="this run has all optimisations already",
)
def test_what_is_marked_optimised_passes_with_all_optimisations(optimised_apart):
    pytest_command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*pytest_command, "-m", "optimised", *(HERE / folder for folder in optimised_apart)],
        env={**os.environ, **ALL},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    # Each folder's files, with a dot for every test that passed.
    for folder in optimised_apart:
        assert re.search(rf"\b{folder}/\S+ \S*\.", done.stdout)
