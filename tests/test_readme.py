"""The README tells the truth: its code runs, its commands are CI's, its numbers are measured."""

import csv
import json
import pathlib
import re
import subprocess
import sys
import textwrap

import jax
import pytest

import jax_unlearn as ju
from experiments.leaderboard.page import board_page
from experiments.leaderboard.places import make_tables
from experiments.leaderboard.reading import read_run
from jax_unlearn.registry import find_method
from jax_unlearn.testing import check_method
from jax_unlearn.validation import check_model

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
MEASURED = ROOT / "experiments" / "results"
RESULTS = (MEASURED / "README.md").read_text()
COLUMNS = {
    "RA": "RA",
    "FA": "FA",
    "TA": "TA",
    "gap": "gap",
    "KL to oracle": "KL_forget",
}


def table_under(text, marker):
    """Rows of the Markdown tables that follow a marker, up to the next one, as dicts."""
    lines = text.split(f"<!-- {marker} -->")[1].split("\n<!--")[0].split("\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    header, _, *rows = cells
    return [dict(zip(header, row, strict=True)) for row in rows]


def is_rounded(text, value):
    """Whether a text, with what may follow it, is a value rounded to the text's places."""
    shown = re.match(r"-?[\d.]+", text)[0]
    return shown == f"{float(value):.{len(shown.partition('.')[2])}f}"


def test_the_python_example_runs():
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    forget, retain = map(float, run.stdout.split())
    assert forget < 0.2
    assert retain > 0.9


def test_the_second_python_example_makes_a_model():
    scope = {}
    exec(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1], scope)
    variables = jax.eval_shape(scope["model"].init, jax.random.key(0))
    assert check_model(scope["model"], variables, (8, 8, 1)) == 10


def test_the_method_that_contributors_are_shown_passes_the_battery(tmp_path):
    code = re.search(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL)[1]
    path = tmp_path / "calm_labels.py"
    path.write_text(textwrap.dedent(code))
    check_method(find_method(f"{path}:calm_labels"))


def test_ci_runs_the_readme_test_command():
    command = next(line for line in README.splitlines() if "-m pytest" in line)
    # What the README installs with pip CI installs with uv, which is quicker.
    with_uv = "uv pip install --quiet --python .venv/bin/python"
    script = (ROOT / ".ci" / "run").read_text().replace(with_uv, "pip install --quiet")
    for part in command.split(" && "):
        assert part in script


def test_the_table_of_methods_lists_every_method():
    names = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert names == list(ju.METHODS)
    needs = dict(re.findall(r"^\| `(\w+)` \|.*?\| (yes|no) \|", README, re.MULTILINE))
    assert {name: word == "yes" for name, word in needs.items()} == {
        name: method().needs_retain for name, method in ju.METHODS.items()
    }


def measured_by(folder):
    with (folder / "audit.csv").open() as file:
        return {(line["row"], line["measure"]): line for line in csv.DictReader(file)}


def test_the_short_table_is_the_quickstarts():
    shown = table_under(README, "quickstart table")
    for word, slug in (("class", "class-3"), ("hardest", "hardest-0.1")):
        measured = measured_by(MEASURED / "quickstart" / slug)
        rows = json.loads((MEASURED / "quickstart" / slug / "audit.json").read_text())["rows"]
        assert [line["model"] for line in shown] == [row["name"] for row in rows]
        for line, row in zip(shown, rows, strict=True):
            for title, measure in {"FA": "FA", "gap": "gap", "KL": "KL_forget"}.items():
                value = measured[row["name"], measure]["value"]
                assert is_rounded(line[f"{title}, {word}"], value), (line, title)
            if word == "class":
                assert is_rounded(line["seconds"], row["seconds"]["value"])


def test_what_the_readme_says_of_the_verdicts_is_measured():
    told = " ".join(README.split())
    for slug, names in (("class-3", ("mumis", "natmu", "amnesiac")), ("hardest-0.1", ("salun",))):
        rows = json.loads((MEASURED / "quickstart" / slug / "audit.json").read_text())["rows"]
        verdicts = {row["name"]: row["verdict"] for row in rows}
        passing = {name for name, verdict in verdicts.items() if verdict["outcome"] == "passes"}
        assert passing == {"oracle"}
        fewest = min(v["outside"] for name, v in verdicts.items() if name not in passing)
        assert {name for name, v in verdicts.items() if v["outside"] == fewest} == set(names)
        assert f"{fewest} of {verdicts[names[0]]['judged']}" in told


def test_the_gaps_of_mumis_by_class_are_the_measured_ones():
    rows = table_under(RESULTS, "mumis table")
    assert [row["class"] for row in rows] == ["0", "3", "8"]
    for row in rows:
        measured = measured_by(MEASURED / "mumis_digits" / f"class-{row['class']}")
        assert is_rounded(row["oracle's own gap"], measured["oracle", "gap"]["value"])
        assert is_rounded(row["null band"].split(" to ")[1], measured["mumis", "gap"]["band_high"])
        for title, name in {"MU-Mis": "mumis", "MU-Mis, last layer": "mumis_last_layer"}.items():
            line = measured[name, "gap"]
            mean, half = row[title].split(" ± ")
            assert is_rounded(mean, line["value"])
            assert is_rounded(half, (float(line["high"]) - float(line["low"])) / 2)
            assert line["verdict"] == "inside"


def test_the_studies_figures_in_words_are_the_measured_ones():
    told = " ".join(RESULTS.split())
    for study, slug, phrases in (
        (
            "mumis_study",
            "class-3",
            {
                "learning_rate=0.0064": "the gap is {},",
                "stop_ratio=2.5": "2.5 gives {}",
                "body_rate=0.05": "0.05: {}",
                "body_rate=0.2": "0.2: {1}; 1,",
                "terms=target": "({})",
            },
        ),
        (
            "natmu_study",
            "hardest-0.1",
            {
                "inject=false": "retain image {}",
                "hybrid_label=random_wrong": "for the hybrid {}",
                "masks=patches": "binary patches {}",
                "targets=random": "Random classes {}",
            },
        ),
    ):
        with (MEASURED / study / slug / "ablation.csv").open() as file:
            gaps = {line["setting"]: line["gap"] for line in csv.DictReader(file)}
        for setting, phrase in phrases.items():
            value = float(gaps[setting])
            text = phrase.replace("{}", f"{value:.2f}").replace("{1}", f"{value:.1f}")
            assert text in told, (setting, text)


def test_the_numbers_of_cifar10_are_those_of_the_results():
    shown = table_under(RESULTS, "cifar10_cpu table")
    for request, slug in (("class:0", "class-0"), ("random:0.1", "random-0.1")):
        folder = MEASURED / "cifar10_cpu" / slug
        rows = json.loads((folder / "audit.json").read_text())["rows"]
        measured = measured_by(folder)
        lines = [line for line in shown if line["request"] == request]
        assert [line["model"] for line in lines] == [row["name"] for row in rows]
        for line, row in zip(lines, rows, strict=True):
            for title, measure in COLUMNS.items():
                assert is_rounded(line[title], measured[row["name"], measure]["value"])
            assert is_rounded(line["seconds"], row["seconds"]["value"])
            verdict = row["verdict"]
            assert line["measures outside"] == f"{verdict['outside']} of {verdict['judged']}"
            assert line["audit"] == verdict["outcome"]


def test_every_linked_file_exists():
    guide = ROOT / "experiments" / "README.md"
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", guide, MEASURED / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), (page, target)


@pytest.mark.parametrize(
    ("marker", "folder", "nearest"),
    [
        ("strong audit", "digits_audit", "natmu"),
        ("strong audit, class", "digits_class_audit", "l1_sparse"),
    ],
)
def test_the_strong_audits_numbers_are_the_measured_ones(marker, folder, nearest):
    columns = {
        "gap": "gap",
        "KL to oracle": "KL_forget",
        "forgetting quality": "forgetting_quality",
        "U-LiRA AUC": "ulira_auc",
        "KLOM, 95 %": "klom_forget_p95",
    }
    measured = measured_by(MEASURED / folder)
    band, *models = table_under(RESULTS, marker)
    assert band["model"] == "null band"
    assert [row["model"] for row in models][:3] == ["original", "oracle", nearest]
    assert {row["model"] for row in models} == {model for model, _ in measured}
    for column, name in columns.items():
        line = measured["original", name]
        low, high = band[column].split(" to ")
        assert is_rounded(low, line["band_low"])
        assert is_rounded(high, line["band_high"])
    for shown in models:
        marks = [row["verdict"] for (model, _), row in measured.items() if model == shown["model"]]
        judged = marks.count("inside") + marks.count("outside")
        assert shown["measures outside"] == f"{marks.count('outside')} of {judged}"
        for column, name in columns.items():
            row = measured[shown["model"], name]
            value, _, mark = shown[column].partition(" ")
            places = len(value.partition(".")[2])
            assert value == f"{float(row['value']):.{places}f}"
            assert (mark == "*") == (row["verdict"] == "outside")


def test_the_leaderboard_is_that_of_the_results():
    runs = [read_run(folder) for folder in sorted(MEASURED.glob("zoo_*"))]
    tables = make_tables(request for run in runs for request in run)
    shown = (MEASURED / "leaderboard.md").read_text()
    assert board_page(tables, [run[0] for run in runs], "leaderboard") == shown


def test_what_is_said_of_every_method_is_measured():
    """Whose gap lies in the null band: by name on the hardest tenth, by number on the class."""
    inside = {}
    for slug in ("class-3", "hardest-0.1"):
        measured = measured_by(MEASURED / "zoo_digits" / slug)
        inside[slug] = {
            name
            for (name, measure), line in measured.items()
            if measure == "gap" and line["kind"] == "method" and line["verdict"] == "inside"
        }
    assert inside["hardest-0.1"] == {"finetune", "amun", "sfr_on", "msg", "natmu"}
    assert len(inside["class-3"]) == 21
