"""Measures that a request brings with it: known answers, and only where they belong."""

import numpy as np
import pytest

from jax_unlearn import audit
from jax_unlearn.audit import load_predictions, save_predictions
from jax_unlearn.audit.comparison.models import align
from jax_unlearn.audit.measures.catalogue import BY_NAME
from jax_unlearn.audit.measures.measure import Evidence, resolutions
from jax_unlearn.core import InputError, Outputs

NAMES = ("attack_success", "confusion", "adjacent_accuracy", "twin_accuracy")


def with_focus(predictions, name, right, total=8):
    """Predictions whose focus of a name is answered as it counts for ``right`` of ``total``."""
    label = np.arange(total, dtype=np.int32)
    answered = np.where(np.arange(total) < right, label, (label + 1) % 10)
    logits = np.eye(10, dtype=np.float32)[answered] * 9.0 - 1.0
    outputs = Outputs(logits, label, np.arange(total, dtype=np.int64) + 5000)
    return predictions._replace(focus={name: outputs})


@pytest.mark.parametrize("name", NAMES)
def test_the_rate_is_the_share_answered_as_it_counts(simulate, name):
    evidence = Evidence(with_focus(simulate(0), name, right=3))
    assert BY_NAME[name].function(evidence) == pytest.approx(37.5)
    assert BY_NAME[name].resolution(evidence, lambda other: 0.0) == pytest.approx(12.5)


def test_it_is_taken_of_requests_that_bring_it_alone(simulate):
    plain, focused = simulate(0), with_focus(simulate(0), "confusion", 3)
    for name in NAMES:
        assert not BY_NAME[name].fits(plain)
        assert BY_NAME[name].fits(focused) == (name == "confusion")
    found = resolutions(audit.CATALOGUE, Evidence(focused))
    assert set(found) & set(NAMES) == {"confusion"}


def test_an_audit_tells_an_open_backdoor_from_one_that_is_shut(simulate):
    """Originals answer 7 of 8 with the target, oracles 1 of 8; a method leaves it open."""

    def runs(lead, right, first=0):
        made = (simulate(seed, lead=lead) for seed in range(first, first + 6))
        return [
            audit.Run(with_focus(p, "attack_success", right), seed) for seed, p in enumerate(made)
        ]

    models = audit.gather_models(
        runs(4.0, 1), {"open": runs(4.0, 7, 20), "shut": runs(4.0, 1, 40)}, runs(8.0, 7, 60)
    )
    comparison = audit.compare(models, level="quick")
    assert "attack_success" in [measure.name for measure in comparison.measures]
    means = {row.group.name: row.results["attack_success"].value for row in comparison.rows}
    assert means["open"] == means["original"] == pytest.approx(87.5)
    assert means["shut"] == means["oracle"] == pytest.approx(12.5)


def test_what_it_is_taken_on_is_stored_and_aligned(tmp_path, simulate):
    mine = with_focus(simulate(0), "confusion", 3)
    save_predictions(tmp_path / "p.npz", mine)
    loaded = load_predictions(tmp_path / "p.npz").focus["confusion"]
    for column, stored in zip(mine.focus["confusion"], loaded, strict=True):
        np.testing.assert_array_equal(column, stored)
    turned = Outputs(*(column[::-1] for column in loaded))
    found = align(mine._replace(focus={"confusion": turned}), mine, "mine").focus["confusion"]
    np.testing.assert_array_equal(found.id, loaded.id)
    np.testing.assert_array_equal(found.logits, loaded.logits)
    with pytest.raises(InputError, match=r"^mine: focus_confusion_id: expected the oracles' 8 ids"):
        align(simulate(0), mine, "mine")
