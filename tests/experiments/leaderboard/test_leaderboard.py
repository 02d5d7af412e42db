"""A leaderboard ranks the methods of runs that are alike, and refuses what it cannot rank."""

import json

import pytest

from experiments.leaderboard import command
from experiments.leaderboard.places import place_all
from experiments.leaderboard.reading import read_run
from tests.report.records import record

OWN = "/home/someone/my_file.py:Mine"


def ends(value, half):
    return {"value": value, "low": max(value - half, 0.0), "high": value + half, "n": 3}


def audit(rows):
    """A record with a gap, half its interval and a forget accuracy for each method."""
    found = record(tuple(rows))
    found["request"]["text"] = "class:3"
    found["provenance"] = {
        "command": "python -m experiments.run --out runs/x",
        "date": "2026-11-28",
        "versions": {"jax": "0.10.2"},
        "hardware": {"platform": "cpu", "devices": ["cpu"], "cpu": "a CPU", "cores": 2},
    }
    numbers = {"original": (30.0, 1.0, 100.0), "oracle": (0.1, 0.1, 0.0), **rows}
    for row in found["rows"]:
        gap, half, accuracy = numbers[row["name"]]
        row["results"]["gap"] |= ends(gap, half)
        row["results"]["FA"] |= {"value": accuracy, "verdict": "outside"}
        row["results"]["KL_forget"] = ends(2.0, 0.5)
    for method in found["models"]["methods"].values():
        method["failed"] = ""
        # One of them waited for something.
        method["seconds"] = [1.0, 1.2, 9.0]
    timed = [{"seconds": 5.0}, {"seconds": None}]
    found["files"] = {"original": timed, "oracle": timed}
    return found


def write_run(folder, rows, *, change=None, epochs=100):
    """The folder of a run with one request, as experiments.run writes it."""
    (folder / "class-3").mkdir(parents=True)
    sources = {OWN: "ab12cd34" * 8}
    settings = {
        "experiment": {
            "data": {"name": "digits", "padding": 0, "flip": False, "train_size": 1000},
            "network": {"name": "convnet"},
            "training": {"epochs": epochs},
            "requests": ["class:3"],
            "seeds": [0, 1, 2],
            "hyperparameters": "" if OWN in rows else "zoo_digits",
            "set": [f"{name}.batch_size=50" for name in rows],
        },
        "requests": {
            "class:3": {
                name: {"arguments": {"batch_size": 50} | {"learning_rate": 0.1}} for name in rows
            }
        },
        "data_fingerprint": "f00d",
        "sources": sources,
    }
    config = {"settings": settings, "versions": {}, "hardware": {}}
    (folder / "config.json").write_text(json.dumps(config))
    found = audit(rows)
    if change:
        change(found)
    (folder / "class-3" / "audit.json").write_text(json.dumps(found))
    return folder


ZOO = {
    "natmu": (0.4, 0.1, 0.0),
    "mumis": (0.2, 0.1, 1.0),
    "salun": (0.5, 0.1, 2.0),
    "finetune": (0.0, 0.0, 90.0),
    "amnesiac, defaults": (0.3, 0.1, 0.0),
}


def spoil(found):
    found["models"]["methods"]["salun"]["failed"] = "no setting found that forgets"
    found["unfit"] = [{"name": "neggrad_plus", "title": "NegGrad+", "why": "whole classes only"}]


@pytest.fixture
def zoo(tmp_path):
    return write_run(tmp_path / "zoo", ZOO, change=spoil)


@pytest.fixture
def results(monkeypatch, tmp_path):
    """An empty experiments/results."""
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def board(call, results, tmp_path):
    """Make a board and give its lines by what their second cell says."""

    def make(*runs):
        out = tmp_path / "board" / "leaderboard.md"
        done = call(command.main, *runs, "--out", out)
        assert done.code == 0, done.err
        assert (out.parent / "leaderboard-digits.png").stat().st_size > 1000
        lines = [line for line in out.read_text().splitlines() if line.startswith("| ")]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        return {row[1]: row for row in cells if len(row) == 10 and row[1] != "---"}

    return make


def test_methods_stand_by_their_gap_with_the_places_that_intervals_leave_open(board, zoo):
    rows = board(zoo)
    # 0.2 +- 0.1 and 0.4 +- 0.1 differ by more than the half of their difference's interval.
    assert (rows["MU-Mis"][0], rows["NatMU"][0]) == ("1", "2")
    assert list(rows)[:5] == ["method", "original", "oracle", "MU-Mis", "NatMU"]
    assert rows["MU-Mis"][2:5] == ["built-in", "searched", "0.200 ±0.100"]
    assert rows["MU-Mis"][8].startswith("fails, 1 of 2 outside")
    assert (rows["MU-Mis"][7], rows["oracle"][7]) == ("1.200", "5.000")


def test_rows_that_are_not_the_method_at_work_have_no_place_and_say_why(board, zoo):
    rows = board(zoo)
    assert rows["SalUn"][0] == "no setting found that forgets"
    # The smallest gap of all, but nine tenths of the set are known.
    assert rows["fine-tune"][0] == "leaves the set known"
    assert rows["amnesiac, defaults"][0] == "at its defaults"
    assert rows["NegGrad+"][0] == "not run"
    # Those without a place by why they have none.
    without = [row[0] for row in rows.values() if row[0] and not row[0][0].isdigit()]
    assert without[1:] == sorted(without[1:])
    assert rows["amnesiac, defaults"][3] == "defaults"
    assert rows["NegGrad+"][8] == "not run: whole classes only"


def test_a_method_of_one_s_own_joins_its_table_with_file_and_digest(board, zoo, tmp_path):
    rows = board(zoo, write_run(tmp_path / "mine", {OWN: (0.1, 0.05, 0.0)}))
    assert rows["Mine"][0] == "1 (1 to 2)"
    assert rows["Mine"][2] == "my\\_file.py (ab12cd34)"
    assert rows["Mine"][3] == "set"
    assert rows["Mine"][9] == "mine"
    assert rows["MU-Mis"][0] == "2 (1 to 2)"


def test_runs_of_other_settings_stand_in_a_table_of_their_own(board, zoo, tmp_path):
    other = write_run(tmp_path / "other", {OWN: (0.1, 0.05, 0.0)}, epochs=20)
    rows = board(zoo, other)
    assert (rows["Mine"][0], rows["MU-Mis"][0]) == ("1", "1")
    text = (tmp_path / "board" / "leaderboard.md").read_text()
    assert text.count("\n## digits, class 3\n") == 2
    assert "150 of 1500 training images; convnet, 20 epochs; 8 originals, 16 oracles." in text


def test_results_whose_names_begin_with_zoo_are_on_the_board(board, results):
    write_run(results / "zoo_digits", ZOO, change=spoil)
    write_run(results / "quickstart", {OWN: (0.1, 0.05, 0.0)})
    rows = board()
    assert "NatMU" in rows
    assert "Mine" not in rows


def test_commands_and_hardware_stand_beside_the_board(board, zoo, tmp_path):
    board(zoo)
    text = (tmp_path / "board" / "leaderboard.md").read_text()
    line = "| zoo | `python -m experiments.run --out runs/x` | 2 cores of a CPU | JAX 0.10.2 |"
    assert line in text


def test_without_intervals_every_place_is_open(zoo):
    (request,) = read_run(zoo)
    unknown = {"low": None, "high": None}
    entries = [e for e in request.entries if not e.unranked]
    bare = [e.__class__(**{**vars(e), "gap": {**e.gap, **unknown}}) for e in entries]
    assert [(p.place, p.best, p.worst) for p in place_all(bare)] == [(1, 1, 2), (2, 1, 2)]


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "lacks what a leaderboard needs"),
        (lambda run: (run / "config.json").write_text("{}"), "lacks what a leaderboard needs"),
        (lambda run: (run / "class-3/audit.json").unlink(), "lacks what a leaderboard needs"),
        (lambda run: (run / "class-3/audit.json").write_text("["), "lacks what a leaderboard"),
        (lambda run: (run / "class-3/audit.json").write_text("[]"), "lacks what a leaderboard"),
        (
            lambda run: (run / "class-3/audit.json").write_text('{"format": 1, "rows": []}'),
            "lacks what a leaderboard needs",
        ),
    ],
)
def test_a_run_that_lacks_something_is_refused_and_nothing_written(
    refused, results, zoo, tmp_path, spoiled, message
):
    spoiled(zoo)
    out = tmp_path / "board" / "leaderboard.md"
    assert f"run={str(zoo)!r}: {message}" in refused(command.main, zoo, "--out", out)
    assert not out.parent.exists()


def test_an_audit_without_a_measure_or_band_is_refused(refused, results, zoo, tmp_path):
    path = zoo / "class-3" / "audit.json"
    for part in ("gap", "FA"):
        found = audit(ZOO)
        for row in found["rows"]:
            del row["results"][part]
        path.write_text(json.dumps(found))
        assert "lacks what a leaderboard needs" in refused(command.main, zoo)
    found = audit(ZOO)
    found["bands"] = {}
    path.write_text(json.dumps(found))
    assert "lacks what a leaderboard needs" in refused(command.main, zoo)


def test_a_name_that_is_on_the_board_already_is_refused(refused, results, zoo, tmp_path):
    again = write_run(tmp_path / "again", {"natmu": (0.1, 0.1, 0.0)})
    out = tmp_path / "board" / "leaderboard.md"
    message = refused(command.main, zoo, again, "--out", out)
    assert "run='again': NatMU is on the board already, by run zoo" in message
    assert not out.parent.exists()


def test_no_run_at_all_and_another_kind_of_file_are_refused(refused, results, zoo, tmp_path):
    assert "runs=(): expected the folder of a run" in refused(command.main)
    message = refused(command.main, zoo, "--out", tmp_path / "board.txt")
    assert "expected the name of a file that ends in .md" in message
