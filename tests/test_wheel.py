"""What is installed: the package and its commands, nothing that hides a user's own code."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
BUILD = "from hatchling.build import build_wheel; print(build_wheel({!r}))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the files that go into it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    # A build from the working tree would take along what is left there by other tools.
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("jax_unlearn", "experiments"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "runs")
        )
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(str(out))], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Call `jax-unlearn` from an empty folder, with the wheel unpacked on the path."""
    target = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    empty = tmp_path_factory.mktemp("empty")
    # What pip writes for a console script. Where a clone is installed editably its folder leaves
    # the path, so that nothing but the wheel can answer.
    script = (
        "import pathlib, sys; "
        "found = [p for p in sys.path if not pathlib.Path(p or '.', 'experiments').is_dir()]; "
        f"sys.path[:] = [{str(target)!r}, *found]; "
        "from jax_unlearn.cli import main; main()"
    )

    def call(*arguments):
        clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=empty,
            env={**clean, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
        assert list(empty.iterdir()) == []
        return done

    return call


def test_a_wheel_holds_one_package(names):
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"jax_unlearn"}


def test_of_results_a_wheel_holds_what_a_method_of_ones_own_is_ranked_among(names):
    results = {name for name in names if "results/" in name}
    folders = (ROOT / "experiments" / "results").glob("zoo_*")
    kept = {path for folder in folders for path in folder.rglob("*.json")}
    root = "jax_unlearn/commands"
    expected = {f"{root}/{path.relative_to(ROOT / 'experiments').as_posix()}" for path in kept}
    assert results == expected
    assert f"{root}/results/zoo_digits/config.json" in results
    assert not [name for name in names if name.endswith(".png")]


def test_the_installed_package_makes_the_leaderboard(installed, tmp_path):
    done = installed("leaderboard", "--out", str(tmp_path / "board.md"))
    assert done.returncode == 0, done.stderr
    board = (tmp_path / "board.md").read_text()
    assert "## digits, class 3" in board
    assert "NegGrad+" in board


def test_a_wheel_holds_all_that_is_no_python_file(names):
    """Style sheets, templates, presets' hyperparameters, the mark of a typed package."""
    places = {"jax_unlearn": "jax_unlearn", "experiments": "jax_unlearn/commands"}
    expected = {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, place in places.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".png", ".ipynb")
        if "results" not in path.parts
    }
    assert "jax_unlearn/py.typed" in expected
    assert "jax_unlearn/commands/configs/quickstart.json" in expected
    assert expected <= set(names)


def test_the_console_script_lists_the_commands(installed):
    done = installed("--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {"audit", "bank", "quickstart", "run", "search"} <= set(listed)
    assert "command" not in listed


def test_a_command_of_the_installed_package_names_itself_as_it_is_called(installed):
    done = installed("quickstart", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: jax-unlearn quickstart ")
    assert "experiments." not in done.stdout


def test_an_unknown_command_is_one_line_with_the_near_names(installed):
    done = installed("quikstart")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: command='quikstart': did you mean quickstart? expected one of "
    )
    assert done.stderr.count("\n") == 1
