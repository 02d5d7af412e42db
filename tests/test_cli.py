"""`jax-unlearn` in a clone: which commands there are, and that they get their arguments."""

import sys
import types

import pytest

from jax_unlearn import cli
from jax_unlearn.core import InputError


@pytest.fixture
def folder(tmp_path):
    """A package with a command in a file, one in a folder, and what is neither."""
    (tmp_path / "train.py").write_text('"""Train: `x`."""\nif __name__ == "__main__":\n    pass\n')
    (tmp_path / "plain.py").write_text('"""A helper."""\n')
    (tmp_path / "__init__.py").write_text("")
    for name, files in (("audit", ("__init__.py", "__main__.py")), ("parts", ("__init__.py",))):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text('"""Audit models.\n\nMore."""\n')
    return tmp_path


def test_commands_are_what_can_be_run_each_with_its_first_line(folder):
    assert cli.list_commands(folder) == {"audit": "Audit models", "train": "Train"}


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_without_a_command_all_are_listed_with_a_line_each(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["jax-unlearn", *arguments])
    cli.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert {"audit", "run", "search"} <= {line.split()[0] for line in lines}
    assert all(len(line.split()) > 1 for line in lines)


def test_a_command_runs_as_a_module_and_gets_what_follows_its_name(monkeypatch):
    ran = []
    monkeypatch.setattr(sys, "argv", ["jax-unlearn", "run", "--out", "x"])
    monkeypatch.setattr(
        cli.runpy, "run_module", lambda name, **options: ran.append((name, options, sys.argv[1:]))
    )
    cli.main()
    options = {"run_name": "__main__", "alter_sys": True}
    assert ran == [("experiments.run", options, ["--out", "x"])]


def test_a_command_that_does_not_exist_is_said_in_one_line_with_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["jax-unlearn", "runn"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: command='runn': did you mean run")
    assert said.count("\n") == 1


def test_a_package_of_someone_elses_is_not_taken_for_the_commands(monkeypatch, tmp_path):
    other = types.SimpleNamespace(origin=str(tmp_path / "experiments" / "__init__.py"))
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: other)
    with pytest.raises(InputError, match=r"^commands: expected in .*experiments; "):
        cli._find_commands()


def test_without_the_extra_one_line_names_it(monkeypatch, capsys):
    find = cli.importlib.util.find_spec
    monkeypatch.setattr(
        cli.importlib.util, "find_spec", lambda name: None if name == "tyro" else find(name)
    )
    monkeypatch.setattr(sys, "argv", ["jax-unlearn", "run"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: command='run': expected the package tyro; pip install 'jax_unlearn[experiments]'\n"
    )


def test_completion_is_of_commands_and_of_what_tyro_knows_of_their_flags(monkeypatch):
    asked = []

    def run(arguments, **options):
        asked.append(arguments[1:])
        return types.SimpleNamespace(stdout="flags of one")

    monkeypatch.setattr(cli.subprocess, "run", run)
    script = cli.completion("experiments", ["audit", "run"])
    assert script.count("flags of one") == 2
    assert asked[0] == ["-m", "experiments.audit", "--tyro-print-completion", "bash"]
    assert 'compgen -W "audit run"' in script
    assert script.endswith("complete -F _jax_unlearn jax-unlearn")
