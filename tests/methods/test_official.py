"""Every method equals its authors' own code, update by update, in float64."""

from pathlib import Path

import jax
import numpy as np
import pytest
from official import CASES, NOT_OFFERED, Golden, find, variants

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT.parent / "shared/golden/zoo", ROOT / "tests/golden/zoo")
"""The whole where it is at hand; else what travels with the tests, see tests/golden/README.md."""


LONG = pytest.mark.runs_long
# Attacks of many steps, and a gradient of every class for every image.
RUN_LONG = ("salun_family/amun", "salun_family/fisher_forgetting")


def pytest_generate_tests(metafunc):
    given = metafunc.config.getoption("--golden")
    files = find([given] if given else FOLDERS)
    if "name" in metafunc.fixturenames:
        metafunc.parametrize(("name", "path"), files.items(), ids=files)
    elif "file" in metafunc.fixturenames:
        named = {":".join(filter(None, case)): case for case in CASES if case[0] in files}
        cases = [
            pytest.param(*case, CASES[case], id=name, marks=LONG if case[0] in RUN_LONG else ())
            for name, case in named.items()
        ]
        metafunc.parametrize(("file", "variant", "check"), cases)


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def read(request):
    """A file's arrays by its name, read once."""
    given = request.config.getoption("--golden")
    files, known = find([given] if given else FOLDERS), {}

    def arrays(name):
        if name not in known:
            with np.load(files[name]) as file:
                known[name] = dict(file)
        return known[name]

    return arrays


def test_every_form_of_a_file_is_checked_or_said_not_to_be_offered(name, path, read):
    named = {variant for file, variant in [*CASES, *NOT_OFFERED] if file == name}
    missing = variants(read(name)) - named
    assert not missing, f"{path}: no case for {sorted(missing)}"


def test_ours_is_theirs(file, variant, check, read):
    check(Golden(read(file), variant))
