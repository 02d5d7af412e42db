"""The README tells the truth: its code runs, its commands are CI's, its numbers are measured."""

import csv
import pathlib
import re
import subprocess
import sys

import pytest

import jax_unlearn as ju

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COLUMNS = {
    "RA": "RA",
    "FA": "FA",
    "TA": "TA",
    "gap": "gap",
    "KL to oracle": "KL_forget",
    "seconds": "seconds",
}


def table_under(marker):
    """Rows of the Markdown tables that follow a marker, up to the next heading, as dicts."""
    lines = README.split(f"<!-- {marker} -->")[1].split("\n#")[0].split("\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    header, _, *rows = cells
    return [dict(zip(header, row, strict=True)) for row in rows]


# What the example takes as given: a user's own network, trained, and data.
GIVEN = """
import jax
import jax.numpy as jnp
import numpy as np
import jax_unlearn as ju


def init(key):
    return {"w": 0.01 * jax.random.normal(key, (3072, 10)), "b": jnp.zeros(10)}


def apply(variables, images, *, train):
    return images.reshape(len(images), -1) @ variables["w"] + variables["b"], variables


rng = np.random.default_rng(0)
data = ju.Examples(
    rng.integers(0, 256, (600, 32, 32, 3), dtype=np.uint8),
    np.arange(600, dtype=np.int32) % 10,
    np.arange(600),
)
forget, retain = (ju.Examples(*(x[rows] for x in data)) for rows in (slice(60), slice(60, None)))
trained = init(jax.random.key(9))
images, labels = jnp.asarray(forget.image / 255.0), jnp.asarray(forget.label)
"""
SHOWN = "print(unlearned.status, alone.steps, masks.shape, bool(jnp.isfinite(loss)))"


def test_the_python_example_runs():
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    code = "\n".join([GIVEN, example, SHOWN])
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    status, steps, rest = run.stdout.split(" ", 2)
    assert status == "finished"
    assert int(steps) > 0
    assert rest == "(4, 32, 32, 1) True\n"


def test_ci_runs_the_readme_test_command():
    command = next(line for line in README.splitlines() if "-m pytest" in line)
    script = (ROOT / ".ci" / "run").read_text()
    for part in command.split(" && "):
        assert part in script


def test_the_table_of_methods_lists_every_method():
    names = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert names == list(ju.METHODS)
    needs = dict(re.findall(r"^\| `(\w+)` \|.*?\| (yes|no) \|", README, re.MULTILINE))
    assert {name: word == "yes" for name, word in needs.items()} == {
        name: method.needs_retain for name, method in ju.METHODS.items()
    }


@pytest.mark.parametrize("run", ["quickstart", "cifar10_cpu"])
def test_the_numbers_are_those_of_the_results(run):
    with (ROOT / "experiments" / "results" / run / "table.csv").open() as file:
        measured = {(row["request"], row["model"]): row for row in csv.DictReader(file)}
    shown = table_under(f"{run} table")
    assert {(row["request"], row["model"]) for row in shown} == set(measured)
    for row in shown:
        for title, measure in COLUMNS.items():
            value = measured[row["request"], row["model"]][measure]
            if not value:
                assert row[title] == "-"
                continue
            mean = re.match(r"[\d.]+", row[title])[0]
            digits = len(mean.partition(".")[2])
            assert mean == f"{float(value):.{digits}f}", (row, title)


def test_every_linked_file_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_strong_audits_numbers_are_the_measured_ones():
    columns = {
        "gap": "gap",
        "KL to oracle": "KL_forget",
        "forgetting quality": "forgetting_quality",
        "U-LiRA AUC": "ulira_auc",
        "KLOM, 95 %": "klom_forget_p95",
    }
    path = ROOT / "experiments" / "results" / "digits_audit" / "audit.csv"
    with path.open() as file:
        measured = {(row["model"], row["measure"]): row for row in csv.DictReader(file)}
    band, *models = table_under("strong audit")
    assert band["model"] == "null band"
    assert [row["model"] for row in models][:3] == ["original", "oracle", "natmu"]
    for shown in models:
        marks = [row["mark"] for (model, _), row in measured.items() if model == shown["model"]]
        judged = sum(mark != "" for mark in marks)
        assert shown["measures outside"] == f"{marks.count('outside')} of {judged}"
        for column, name in columns.items():
            row = measured[shown["model"], name]
            value, _, mark = shown[column].partition(" ")
            places = len(value.partition(".")[2])
            assert value == f"{float(row['value']):.{places}f}"
            assert (mark == "*") == (row["mark"] == "outside")
