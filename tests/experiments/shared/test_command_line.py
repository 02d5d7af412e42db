"""Wrong flags and values: one line that names what was typed, whatever tyro makes of them."""

import sys

import pytest
import tyro

from experiments.audit.command import Command as Audit
from experiments.bank.command import Command as Bank
from experiments.run.command import Command as Run
from experiments.shared.command_line import flags_of, parse
from experiments.shared.config import Experiment
from experiments.stress.command import Stress
from jax_unlearn.core import InputError

DEFAULTS = {
    Run: Run(experiment=Experiment()),
    Bank: Bank(experiment=Experiment()),
    Audit: Audit(),
    Stress: Stress(),
}


def read(cls, *flags):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["command", *flags])
        return parse(cls, "experiments.command", "", default=DEFAULTS[cls])


@pytest.mark.parametrize(
    ("cls", "flags", "message"),
    [
        (Run, ["--seeds", "a"], "seeds='a': expected whole numbers; see --help"),
        (Run, ["--seeds", "1", "1.5"], "seeds='1 1.5': expected whole numbers; see --help"),
        (Run, ["--seeds=x"], "seeds='x': expected whole numbers; see --help"),
        (Run, ["--training.epochs", "x"], "training.epochs='x': expected a whole number"),
        (Run, ["--oracles=3.5"], "oracles='3.5': expected a whole number"),
        (Run, ["--data.train_size", "q"], "data.train_size='q': expected a whole number"),
        (
            Run,
            ["--training.learning-rate", "fast"],
            "training.learning_rate='fast': expected a",
        ),
        (Run, ["--num-processes", "q"], "num_processes='q': expected a whole number"),
        (Run, ["--preset"], "--preset has no value after it: expected a text; see --help"),
        (Run, ["--out", "--resume"], "--out has no value after it: expected a text; see --help"),
        (Run, ["--data-dir"], "--data-dir has no value after it: expected a text"),
        (Run, ["--train-size", "3"], "--train-size: no such flag; did you mean --data.train-size?"),
        (Run, ["--data.nme", "3"], "--data.nme: no such flag; did you mean --data.name?"),
        (Run, ["-x"], "-x: no such flag; see --help"),
        (Run, ["--out", ""], "out='': expected a path of what is written; see --help"),
        (Run, ["--ovrwrite"], "--ovrwrite: no such flag; did you mean --overwrite"),
        (Run, ["--data.flip", "no"], "'no' belongs to no flag: expected flags, each with as many"),
        (Run, ["--resume=x"], "'x' belongs to no flag"),
        (Run, ["stray"], "'stray' belongs to no flag"),
        (Bank, ["--count", "many"], "count='many': expected a whole number; see --help"),
        (Bank, ["--checkpoint-seconds", "soon"], "checkpoint_seconds='soon': expected a number"),
        (Audit, ["--orcles", "x"], "--orcles: no such flag; did you mean --oracles? see --help"),
        (
            Audit,
            ["--protocol.svc-max-examples", "a"],
            "protocol.svc_max_examples='a': expected a whole number; see --help",
        ),
        (Audit, ["--check"], "--check has no value after it: expected a text; see --help"),
        (Stress, ["--longest", "x"], "longest='x': expected a number; see --help"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(capfd, cls, flags, message):
    """Fails where a version of tyro no longer tells what it refuses."""
    with pytest.raises(InputError) as caught:
        read(cls, *flags)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_where_tyro_tells_nothing_it_prints_its_own_message_and_ends_with_2(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tyro._errors", None)
    with pytest.raises(SystemExit) as stop:
        read(Run, "--seeds", "a")
    assert stop.value.code == 2
    assert "--seeds" in capsys.readouterr().err


@pytest.mark.parametrize("cls", DEFAULTS)
def test_flags_are_named_as_tyro_names_them(cls, capsys):
    with pytest.raises(SystemExit):
        tyro.cli(cls, default=DEFAULTS[cls], args=["--help"])
    shown = capsys.readouterr().out
    listed = {w.strip("│,") for w in shown.split() if w.startswith("--") and "[" not in w}
    assert {flag for flag in flags_of(cls) if flag not in listed} == set()
