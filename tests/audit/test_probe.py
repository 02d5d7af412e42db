"""The probe of a model: stored, refused, and what the audit makes of it."""

import math

import jax
import numpy as np
import pytest

from jax_unlearn import Examples, Model
from jax_unlearn.audit import (
    linear_cka,
    linear_probe_accuracy,
    relearn_curve,
    relearn_time,
    save_predictions,
    zrf,
)
from jax_unlearn.audit.comparison.compare import NO_PROBE, compare
from jax_unlearn.audit.comparison.models import Run, gather_models
from jax_unlearn.audit.measures.features import LINEAR_CKA, LINEAR_PROBE
from jax_unlearn.audit.measures.measure import Evidence
from jax_unlearn.audit.measures.relearn_time import RELEARN_TIME
from jax_unlearn.audit.measures.zrf import ZRF
from jax_unlearn.audit.predictions import load_predictions
from jax_unlearn.audit.probes.relearn import Relearn
from jax_unlearn.audit.probes.take import PROBE_EXAMPLES, probe_rows, take_probe
from jax_unlearn.audit.stored_probe import (
    Probe,
    align_probe,
    check_probe,
    load_probe,
    save_probe,
)
from jax_unlearn.core import InputError
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.sharding import make_mesh

D, STEPS = 6, 30
TRAIN, TEST = 120, 60


def make(predictions, *, known, steps_to=20, seed=0):
    """A probe whose features lead for the true class by ``known`` and that relearns in time."""
    rng = np.random.default_rng([seed, 3])
    basis = np.random.default_rng(1).normal(size=(10, D))
    own = np.random.default_rng(2).normal(size=(10_000, D))

    def features(outputs, lead):
        noise = own[outputs.id] + 0.3 * rng.normal(size=(len(outputs.id), D))
        return (lead * basis[outputs.label] + noise).astype(np.float32)

    forget, retain = predictions.forget, predictions.retain
    return Probe(
        forget.id,
        features(forget, known),
        retain.id,
        features(retain, 4.0),
        np.random.default_rng(4).normal(size=forget.logits.shape).astype(np.float32),
        np.arange(STEPS + 1),
        # At 0.01, below every original's loss, from the step on.
        np.where(np.arange(STEPS + 1) < steps_to, 9.0, 0.0),
    )


@pytest.fixture(scope="module")
def runs(simulate):
    def some(n, lead, first, *, probe=True, steps_to=20, class_wise=False):
        found = []
        for s in range(first, first + n):
            predictions = simulate(s, lead=lead, train=TRAIN, test=TEST, class_wise=class_wise)
            late = steps_to + s % 3
            mine = make(predictions, known=lead / 2.0, steps_to=late, seed=s) if probe else None
            found.append(Run(predictions, s, probe=mine))
        return found

    return some


@pytest.fixture(scope="module")
def compared(runs):
    """Eight oracles, six of them probed; a method like them and one like the original."""
    oracle = runs(6, 3.0, 100) + runs(2, 3.0, 106, probe=False)
    methods = {
        "like": runs(3, 3.0, 200) + runs(1, 3.0, 300, probe=False),
        "unseen": runs(2, 3.0, 400, probe=False),
    }
    return compare(gather_models(oracle, methods, runs(4, 8.0, 500, steps_to=2)))


def cells(comparison, name):
    return next(row for row in comparison.rows if row.group.name == name).results


def test_an_inside_survives_the_disk(runs, tmp_path):
    probe = runs(1, 3.0, 0)[0].probe
    save_probe(tmp_path / "new" / "probe.npz", probe)
    for mine, theirs in zip(load_probe(tmp_path / "new" / "probe.npz"), probe, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_inside_may_stand_in_the_file_of_the_predictions(runs, same_predictions, tmp_path):
    run = runs(1, 3.0, 0)[0]
    path = tmp_path / "mine.npz"
    save_predictions(path, run.predictions)
    assert load_probe(path) is None
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays, **dict(list(run.probe._asdict().items())[1:]))
    assert same_predictions(load_predictions(path), run.predictions)
    np.testing.assert_array_equal(load_probe(path).forget_features, run.probe.forget_features)


def test_half_an_inside_and_damaged_files_are_refused(runs, tmp_path):
    probe = runs(1, 3.0, 0)[0].probe
    path = tmp_path / "probe.npz"
    np.savez(path, forget_id=probe.forget_id, probe_id=probe.probe_id)
    with pytest.raises(InputError, match="lacks forget_features, probe_features, random_logits"):
        load_probe(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged or not an"):
        load_probe(path)
    with pytest.raises(InputError, match="no such file"):
        load_probe(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("forget_features", lambda a: a[:-1], r"forget_features=float32 .*: expected floating"),
        ("forget_features", lambda a: a[:, :3], "probe_features=.*: expected 3 features"),
        ("probe_features", lambda a: a[:, :0], "probe_features=.*not empty"),
        ("probe_id", lambda a: a * 1.0, "probe_id=float64 .*: expected integers"),
        ("probe_id", lambda a: a * 0, "probe_id=0 comes .* times"),
        ("random_logits", lambda a: a.astype(int), "random_logits=int64 .*: expected floating"),
        ("relearn_losses", lambda a: a[1:], "relearn_losses=float64"),
        ("relearn_steps", lambda a: a + 1, "relearn_steps=.*rise from 0"),
        ("relearn_steps", lambda a: a * 0, "relearn_steps=.*rise from 0"),
    ],
)
def test_malformed_arrays_are_named(runs, field, change, message):
    probe = runs(1, 3.0, 0)[0].probe
    with pytest.raises(InputError, match=f"mine: {message}"):
        check_probe(probe._replace(**{field: change(getattr(probe, field))}), "mine")


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("forget_id", lambda a: a + 1000, "forget_id: .* probe the model for the same request"),
        ("probe_id", lambda a: a + 1000, "probe_id: some are not in the retain set"),
        ("random_logits", lambda a: a[:, :4], "random_logits=.*: expected 10 classes"),
        (
            "random_logits",
            lambda a: a + 1.0,
            "random_logits differ .* by 1: expected one untrained network for all",
        ),
        (
            "random_logits",
            lambda a: a * np.nan,
            "random_logits differ .* expected one untrained network for all",
        ),
        ("relearn_steps", lambda a: 2 * a, "relearn_steps differ"),
    ],
)
def test_probes_of_another_request_or_way_of_looking_are_refused(runs, field, change, message):
    first, other = runs(2, 3.0, 0)
    wrong = other.probe._replace(**{field: change(getattr(other.probe, field))})
    models = [first, Run(other.predictions, 1, probe=wrong)]
    with pytest.raises(InputError, match=rf"oracle\[seed 1\]: probe: {message}"):
        gather_models(models, {"mine": [first]})


def test_probes_fitted_to_other_examples_are_not_compared(runs):
    first, other = runs(2, 3.0, 0)
    fewer = other.probe._replace(
        probe_id=other.probe.probe_id[1:], probe_features=other.probe.probe_features[1:]
    )
    with pytest.raises(InputError, match="probe_id differs from the first model's"):
        gather_models([first, Run(other.predictions, 1, probe=fewer)], {"mine": [first]})


def test_the_order_of_examples_does_not_matter(runs):
    run = runs(1, 3.0, 0)[0]
    rng = np.random.default_rng(0)
    f, p = rng.permutation(len(run.probe.forget_id)), rng.permutation(len(run.probe.probe_id))
    shuffled = Probe(
        *(a[f] for a in run.probe[:2]),
        *(a[p] for a in run.probe[2:4]),
        run.probe.random_logits[f],
        *run.probe[5:],
    )
    forget, retain = run.predictions.forget, run.predictions.retain
    back = align_probe(shuffled, forget, retain, run.probe, "mine")
    for mine, theirs in zip(back, run.probe, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def linear():
    def init(key):
        return {"weight": 0.1 * jax.random.normal(key, (16, 4))}

    def apply(variables, images, *, train):
        return images.reshape(len(images), 16) @ variables["weight"], variables

    return Model(init, apply, "linear")


def test_looking_inside_a_linear_network_finds_its_pixels_and_its_relearning():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 4, 4, 1), np.uint8)
    label = (np.arange(20) % 4).astype(np.int32)
    forget, probe = (
        Examples(image[rows], label[rows], np.arange(20)[rows]) for rows in (slice(8), slice(8, 20))
    )
    model, recipe, key = linear(), Relearn(epochs=3, batch_size=4), jax.random.key(2)
    variables, untrained = model.init(jax.random.key(0)), model.init(jax.random.key(1))
    found = take_probe(model, variables, forget, probe, untrained, recipe, key, num_classes=4)
    pixels = image.reshape(20, 16) / 255.0
    np.testing.assert_allclose(found.forget_features, pixels[:8], rtol=1e-6)
    np.testing.assert_allclose(found.probe_features, pixels[8:], rtol=1e-6)
    np.testing.assert_array_equal(
        found.random_logits, predict_logits(model, untrained, forget.image)
    )
    mesh = make_mesh(1, 1, devices=jax.devices()[:1])
    curve = relearn_curve(recipe, model, variables, forget, key, num_classes=4, mesh=mesh)
    np.testing.assert_array_equal(found.relearn_steps, curve.steps)
    np.testing.assert_allclose(found.relearn_losses, curve.losses, rtol=1e-6)
    assert len(found.relearn_steps) == 4


def test_probe_rows_are_all_or_spread_evenly():
    np.testing.assert_array_equal(probe_rows(5), np.arange(5))
    rows = probe_rows(10 * PROBE_EXAMPLES)
    assert (len(rows), rows[0], rows[-1]) == (PROBE_EXAMPLES, 0, 10 * PROBE_EXAMPLES - 1)
    assert np.ptp(np.diff(rows)) <= 1


def test_the_measures_are_those_of_the_single_functions(runs):
    run = runs(1, 3.0, 0)[0]
    probe, forget, retain = run.probe, run.predictions.forget, run.predictions.retain
    known = Evidence(run.predictions, probe=probe, relearn_target=0.5)
    assert ZRF.function(known) == zrf(forget.logits, probe.random_logits)
    assert RELEARN_TIME.function(known) == relearn_time(probe.curve, 0.5) == 20.0
    assert not RELEARN_TIME.cut_off(known)
    assert LINEAR_PROBE.function(known) == linear_probe_accuracy(
        probe.probe_features, retain.label, probe.forget_features, forget.label
    )
    assert math.isnan(RELEARN_TIME.function(Evidence(run.predictions, probe=probe)))


def test_relearning_that_ends_too_soon_is_its_last_step_and_marked(runs):
    run = runs(1, 3.0, 0, steps_to=STEPS + 1)[0]
    known = Evidence(run.predictions, probe=run.probe, relearn_target=0.5)
    assert RELEARN_TIME.function(known) == STEPS
    assert RELEARN_TIME.cut_off(known)


def test_a_model_s_features_are_like_themselves_and_less_like_another_s(runs):
    one, other = (Evidence(run.predictions, probe=run.probe) for run in runs(2, 3.0, 0))
    assert LINEAR_CKA.function(one, one) == pytest.approx(1.0)
    between = LINEAR_CKA.function(one, other)
    assert between < 1.0
    features = (known.probe.forget_features for known in (one, other))
    assert between == linear_cka(*features, estimator="unbiased")
    few = Evidence(one.predictions, probe=one.probe._replace(forget_id=one.probe.forget_id[:3]))
    assert math.isnan(LINEAR_CKA.function(few, few))


@pytest.mark.parametrize("measure", ["ZRF", "relearn_time", "linear_probe", "linear_CKA"])
def test_oracles_lie_inside_the_bands_of_their_insides(compared, measure):
    assert compared.not_measured == {}
    assert cells(compared, "oracle")[measure].verdict == "inside"
    assert cells(compared, "oracle")[measure].n == 3
    assert measure in compared.bands


@pytest.mark.parametrize("measure", ["ZRF", "relearn_time"])
def test_the_original_lies_outside_what_its_inside_gives_away(compared, measure):
    assert cells(compared, "original")[measure].verdict == "outside"
    assert cells(compared, "like")[measure].verdict == "inside"


def test_cells_count_the_models_that_were_looked_into(compared):
    cell = cells(compared, "like")["relearn_time"]
    assert (cell.n, len(cell.values), len(cell.seeds)) == (3, 3, 3)
    assert cell.note == "the probe of 3 of 4 models is given"
    assert cells(compared, "like")["FA"].n == 4
    unseen = cells(compared, "unseen")["linear_CKA"]
    assert math.isnan(unseen.value)
    assert (unseen.n, unseen.verdict, unseen.note) == (0, "", "no model's probe is given")


def test_an_inside_changes_no_other_measure(compared, runs):
    oracle = runs(8, 3.0, 100, probe=False)
    methods = {"like": runs(3, 3.0, 200, probe=False) + runs(1, 3.0, 300, probe=False)}
    without = compare(gather_models(oracle, methods, runs(4, 8.0, 500, probe=False)))
    assert set(without.not_measured.values()) == {NO_PROBE}
    for name, cell in cells(without, "like").items():
        mine = cells(compared, "like")[name]
        assert (mine.value, mine.band) == (cell.value, cell.band)


def test_relearn_time_takes_the_originals_loss(runs):
    found = compare(gather_models(runs(6, 3.0, 100), {"like": runs(2, 3.0, 200)}))
    of_originals = ["relative_similarity", "RF_JSD", "relearn_time"]
    assert list(found.not_measured) == of_originals
    assert "the originals" in found.not_measured["relearn_time"]
    assert cells(found, "like")["linear_CKA"].n == 2


def test_a_probe_is_left_out_where_the_retain_set_lacks_the_forgotten_class(runs):
    oracle = runs(6, 3.0, 100, class_wise=True)
    methods = {"like": runs(2, 3.0, 200, class_wise=True)}
    found = compare(gather_models(oracle, methods, runs(2, 8.0, 300, class_wise=True)))
    assert list(found.not_measured) == ["RF_JSD_retain", "linear_probe"]


def test_the_quick_audit_leaves_probes_out_and_says_so(runs):
    models = gather_models(runs(6, 3.0, 100), {"like": runs(2, 3.0, 200)}, runs(2, 8.0, 300))
    found = compare(models, level="quick")
    assert set(found.not_measured.values()) == {"the quick audit leaves it out"}
    assert "ZRF" not in cells(found, "like")


def test_lower_bounds_on_both_sides_are_not_judged(runs):
    late = STEPS + 1
    oracle = runs(6, 3.0, 100, steps_to=late)
    methods = {"late": runs(2, 3.0, 200, steps_to=late), "early": runs(2, 3.0, 300)}
    found = compare(gather_models(oracle, methods, runs(2, 8.0, 400, steps_to=2)))
    cell = cells(found, "late")["relearn_time"]
    assert (cell.value, cell.verdict) == (STEPS, "")
    assert "cut off before the target in 2 of 2: a lower bound; oracles too" in cell.note
    # However long the oracles take, it is longer than this.
    assert cells(found, "early")["relearn_time"].verdict == "outside"


def test_without_an_oracle_s_inside_there_is_nothing_to_be_like(runs):
    oracle = runs(6, 3.0, 100, probe=False)
    found = compare(gather_models(oracle, {"mine": runs(2, 3.0, 200)}, runs(2, 8.0, 300)))
    assert cells(found, "mine")["linear_CKA"].note.startswith("no oracle's probe is given")
    zrf_cell = cells(found, "mine")["ZRF"]
    assert math.isfinite(zrf_cell.value)
    assert "no band below 2 oracles that work and have a probe" in zrf_cell.note
