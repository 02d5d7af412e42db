import numpy as np
import pytest

from jax_unlearn.audit import load_predictions, save_predictions
from jax_unlearn.audit.predictions import KEYS, check_predictions
from jax_unlearn.core import InputError


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path, simulate, same_predictions):
    predictions = simulate(0, class_wise=True)
    save_predictions(tmp_path / "seed" / "natmu.npz", predictions)
    assert same_predictions(load_predictions(tmp_path / "seed" / "natmu.npz"), predictions)
    assert [p.name for p in (tmp_path / "seed").iterdir()] == ["natmu.npz"]


def test_the_file_holds_ten_plain_arrays_under_documented_names(tmp_path, simulate):
    save_predictions(tmp_path / "p.npz", simulate(0))
    with np.load(tmp_path / "p.npz", allow_pickle=False) as stored:
        assert set(stored) == set(KEYS)
        assert len(KEYS) == 10
        assert stored["forget_logits"].dtype == np.float32
        assert stored["retain_label"].dtype == np.int32
        assert stored["test_id"].dtype == np.int64
        assert stored["test_forgotten"].dtype == np.bool_


def test_a_collapsed_run_can_be_stored(tmp_path, simulate, map_logits, same_predictions):
    collapsed = map_logits(simulate(0), lambda x: np.full_like(x, np.nan))
    save_predictions(tmp_path / "p.npz", collapsed)
    assert same_predictions(load_predictions(tmp_path / "p.npz"), collapsed)


def test_other_widths_of_the_same_kind_are_stored_with_the_declared_dtypes(
    tmp_path, simulate, same_predictions
):
    predictions = simulate(0)
    wide = map_fields(predictions, lambda x: x.astype(x.dtype.kind + "8"))
    save_predictions(tmp_path / "p.npz", wide)
    assert same_predictions(load_predictions(tmp_path / "p.npz"), predictions)


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path, simulate, same_predictions, monkeypatch
):
    old = simulate(0)
    save_predictions(tmp_path / "p.npz", old)

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_predictions(tmp_path / "p.npz", simulate(1))
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]
    assert same_predictions(load_predictions(tmp_path / "p.npz"), old)


def map_fields(predictions, change):
    sets = (o._replace(**{f: change(getattr(o, f)) for f in o._fields}) for o in predictions[:3])
    return type(predictions)(*sets, predictions.test_forgotten)


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file") as error:
        load_predictions(tmp_path / "none.npz")
    assert "none.npz" in one_line(error)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"not an archive",
        lambda data: data[: len(data) // 2],
        lambda data: data[:200] + b"\xff" * 64 + data[264:],
    ],
    ids=["empty", "foreign", "cut off", "overwritten"],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, simulate, spoil):
    path = tmp_path / "p.npz"
    save_predictions(path, simulate(0))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=r"damaged or not an \.npz") as error:
        load_predictions(path)
    assert "p.npz" in one_line(error)


def test_a_bare_array_is_refused(tmp_path):
    path = tmp_path / "p.npz"
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"damaged or not an \.npz"):
        load_predictions(path)


def test_a_pickled_object_is_never_read(tmp_path, simulate):
    path = tmp_path / "p.npz"
    save_predictions(path, simulate(0))
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["forget_logits"] = np.array([{"an": "object"}], dtype=object)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="plain arrays"):
        load_predictions(path)


def test_missing_arrays_are_named(tmp_path, simulate):
    path = tmp_path / "p.npz"
    save_predictions(path, simulate(0))
    with np.load(path) as stored:
        arrays = {k: v for k, v in stored.items() if k not in ("test_id", "forget_label")}
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="lacks") as error:
        load_predictions(path)
    assert "forget_label, test_id" in one_line(error)


def spoil_field(split, field, change):
    def spoil(predictions):
        outputs = getattr(predictions, split)
        outputs = outputs._replace(**{field: change(np.array(getattr(outputs, field)))})
        return predictions._replace(**{split: outputs})

    return spoil


def put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_field("forget", "logits", lambda x: x[:, 0]), "forget_logits=float32 .*N, K"),
        (spoil_field("test", "logits", lambda x: x.astype(int)), "test_logits=int64 .*floating"),
        (spoil_field("forget", "logits", lambda x: x[:0]), "forget_logits=float32 .*N, K >= 1"),
        (spoil_field("retain", "label", lambda x: x[:-1]), "retain_label=int32 .*one per row"),
        (spoil_field("retain", "label", lambda x: x * 1.0), "retain_label=float64 .*integers"),
        (spoil_field("test", "id", lambda x: x[:-1]), "test_id=int64 .*one per row"),
        (spoil_field("forget", "label", put(0, 10)), r"forget_label=0..10: .*\[0, 10\)"),
        (spoil_field("forget", "label", put(0, -1)), r"forget_label=-1..9: .*\[0, 10\)"),
        (spoil_field("test", "id", put(0, 1)), "test_id=1: comes 2 times"),
        (spoil_field("test", "logits", lambda x: x[:, :-1]), r"classes=\[10, 10, 9\]|test_label"),
        (
            lambda p: p._replace(forget=p.forget._replace(id=p.retain.id[: len(p.forget.id)])),
            "forget_id and retain_id share",
        ),
        (lambda p: p._replace(test_forgotten=p.test_forgotten[:-1]), "test_forgotten=bool"),
        (lambda p: p._replace(test_forgotten=p.test_forgotten * 1), "test_forgotten=int64"),
        (lambda p: p._replace(test_forgotten=~p.test_forgotten), "test_forgotten=all True"),
    ],
)
def test_malformed_predictions_are_refused_before_anything_is_written(
    tmp_path, simulate, spoil, message
):
    with pytest.raises(InputError, match=message) as error:
        save_predictions(tmp_path / "p.npz", spoil(simulate(0)))
    one_line(error)
    assert not list(tmp_path.iterdir())


def test_sets_with_different_numbers_of_classes_are_refused(simulate):
    predictions = simulate(0)
    wider = np.pad(predictions.test.logits, ((0, 0), (0, 1)))
    mixed = predictions._replace(test=predictions.test._replace(logits=wider))
    with pytest.raises(InputError, match=r"natmu: number of classes=\[10, 10, 11\]"):
        check_predictions(mixed, "natmu")
