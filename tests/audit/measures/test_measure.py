"""A measure is one entry: what is written there is all that the audit knows of it."""

import ast
from pathlib import Path

import numpy as np
import pytest

from jax_unlearn.audit import measures
from jax_unlearn.audit.comparison.compare import compare
from jax_unlearn.audit.comparison.models import Run, gather_models
from jax_unlearn.audit.measures.catalogue import CATALOGUE
from jax_unlearn.audit.measures.measure import (
    ALONE,
    BANKS,
    BELOW,
    PAIR,
    QUICK,
    STRONG,
    Evidence,
    Measure,
    resolutions,
)
from jax_unlearn.audit.records.writing import to_record
from jax_unlearn.report.tables import long_table, to_csv

REQUEST = dict.fromkeys(("hash", "text", "ids_hash"), "x")


def toy(kind, function, **more):
    level = STRONG if kind == BANKS else QUICK
    words = {"does": "a toy", "higher": "more toy", "good": "good is a toy", "source": "this test"}
    return Measure("toy", "Toy measure", "nats", kind, level, function, **words, **more)


def largest(evidence):
    return float(np.mean(np.max(evidence.predictions.forget.logits, axis=1)))


def likeness(model, oracle):
    mine, theirs = (largest(evidence) for evidence in (model, oracle))
    return float(np.exp(-abs(mine - theirs)))


def apart(pair):
    return float(abs(pair.unlearned.forget.mean() - pair.oracle.forget.mean()))


@pytest.mark.parametrize(
    ("entry", "models"),
    [
        (toy(ALONE, largest), 3),
        (toy(PAIR, likeness, outside=BELOW, high=1.0), 3),
        (toy(BANKS, apart, outside="above", low=0.0), 16),
    ],
    ids=[ALONE, PAIR, BANKS],
)
def test_one_object_adds_a_measure_to_rows_record_and_tables(simulate, entry, models):
    # Banks are many models, of which each measure may be taken on fewer images.
    sizes = {"train": 40, "test": 20} if entry.kind == BANKS else {"train": 120, "test": 60}

    def runs(n, lead, first):
        return [Run(simulate(first + s, lead=lead, **sizes), s) for s in range(n)]

    # Of many models a few measures of the other kinds stand for all, which few models have.
    few = ("RA", "FA", "TA", "MIA_entropy_member", "gap")
    catalogue = [m for m in CATALOGUE if entry.kind != BANKS or m.kind == BANKS or m.name in few]
    oracles = runs(max(6, 2 * models), 3.0, 100)
    given = gather_models(oracles, {"mine": runs(models, 3.0, 300)}, runs(models, 9.0, 500))
    found = compare(given, catalogue=(*catalogue, entry))
    plain = compare(given, catalogue=catalogue)
    for row, other in zip(found.rows, plain.rows, strict=True):
        result = row.results["toy"]
        assert np.isfinite(result.value)
        assert result.band is not None
        # It changes no other number.
        assert repr({name: r for name, r in row.results.items() if name != "toy"}) == repr(
            other.results
        )
    original = next(row for row in found.rows if row.group.name == "original")
    assert original.results["toy"].verdict == "outside"
    record = to_record(found, REQUEST)
    assert [m["title"] for m in record["measures"] if m["name"] == "toy"] == ["Toy measure"]
    assert record["rows"][-1]["results"]["toy"]["n"] == models
    assert "toy" in record["bands"]
    record["provenance"] = {}
    units = {line["measure"]: line["unit"] for line in long_table(record)}
    assert units["toy"] == "nats"
    assert ",mine,method,toy,nats," in to_csv(record)


def test_a_measure_stands_in_one_module_and_is_found_there():
    folder = Path(measures.__path__[0])
    for m in CATALOGUE:
        module = (m.formula or m.function).__module__
        assert module.startswith("jax_unlearn.audit.measures.")
        assert (folder / f"{module.rpartition('.')[2]}.py").is_file()
        assert m.function.__module__ == module


@pytest.mark.parametrize(
    "file", sorted(Path(measures.__path__[0]).glob("*.py")), ids=lambda f: f.stem
)
def test_measures_import_neither_jax_nor_what_trains_or_compares(file):
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    allowed = "jax_unlearn.audit.measures"
    for name in found:
        assert name.split(".")[0] not in ("jax", "flax", "optax", "chex")
        if name.startswith("jax_unlearn") and not name.startswith(allowed):
            # The last is named in annotations only.
            assert name in (
                "jax_unlearn.core",
                "jax_unlearn.audit",
                "jax_unlearn.audit.stored_probe",
                "jax_unlearn.wording",
            )


def test_measures_that_count_examples_move_in_their_steps(simulate):
    known = Evidence(simulate(0, train=100, test=50, class_wise=False))
    steps = resolutions(CATALOGUE, known)
    forget, retain = (len(getattr(known.predictions, s).label) for s in ("forget", "retain"))
    assert steps["FA"] == steps["MIA_loss"] == 100.0 / forget
    assert steps["gap"] == pytest.approx((100 / forget + 100 / retain + 2.0) / 3.0)
    assert steps["ToW"] == pytest.approx((100 / forget + 100 / retain + 2.0) / 100.0)
    assert "KL_forget" not in steps
    assert "FA_test" not in steps
    assert resolutions(CATALOGUE, Evidence(simulate(0, class_wise=True)))["FA_test"] > 0.0
