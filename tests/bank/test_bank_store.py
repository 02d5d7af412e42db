"""The bank on disk: whole or not at all, each model once, damage named."""

import contextlib
import dataclasses
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn.bank import DataDescription, Labelled, open_bank
from jax_unlearn.bank.record import address_of, ids_digest
from jax_unlearn.core import InputError

CLASSES = 3
REQUEST = "ab12" * 16


def describe(train=20, test=8, fingerprint="f00d"):
    ids = np.arange(100, 100 + train)[::-1]
    return DataDescription(
        "toys",
        fingerprint,
        CLASSES,
        Labelled(ids, ids % CLASSES),
        Labelled(np.arange(test), np.arange(test) % CLASSES),
    )


def ingredients(seed=0, kind="oracle", **changes):
    return {
        "kind": kind,
        "data": "f00d",
        "removed": ids_digest(np.arange(5)),
        "request": None,
        "network": {"name": "mlp", "width": 8},
        "recipe": {"epochs": 2, "learning_rate": 0.1},
        "seed": seed,
        "version": 1,
        "method": None,
        "original": None,
        **changes,
    }


def weights(seed=0, size=4):
    rng = np.random.default_rng(seed)
    return {"params": {"w": rng.normal(size=(size, 3)).astype(np.float32)}, "scale": jnp.ones(2)}


def logits(seed=0, train=20, test=8):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(n, CLASSES)).astype(np.float32) for n in (train, test))


def put(bank, seed=0, size=4, **changes):
    outcome = {"status": "ended", "steps": 7, "run_seconds": 0.5, "kl": float("nan")}
    return bank.store(ingredients(seed, **changes), outcome, weights(seed, size), *logits(seed))


@pytest.fixture
def bank(tmp_path):
    return open_bank(tmp_path / "bank", data=describe(), create=True)


def contents(folder):
    """Bytes of every file by its path, locks aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "locks"
    }


@contextlib.contextmanager
def refused(match):
    with pytest.raises(InputError, match=match) as error:
        yield
    assert "\n" not in str(error.value)


def start(function, *arguments):
    """Run a function of this file in a process of its own."""
    script = "import runpy, sys; runpy.run_path(sys.argv[1])[sys.argv[2]](*sys.argv[3:])"
    return subprocess.Popen(
        [sys.executable, "-c", script, __file__, function, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_is_stored_is_read_back_bit_for_bit(bank):
    record = put(bank, seed=3)
    again = open_bank(bank.path)
    train, test = again.outputs(record.address)
    expected = logits(3)
    np.testing.assert_array_equal(train.logits, expected[0], strict=True)
    np.testing.assert_array_equal(test.logits, expected[1], strict=True)
    np.testing.assert_array_equal(train.id, describe().train.id)
    assert (train.id.dtype, train.label.dtype) == (np.int64, np.int32)
    stored = again.weights(record, weights(9))
    np.testing.assert_array_equal(stored["params"]["w"], weights(3)["params"]["w"], strict=True)
    assert again.records() == [dataclasses.replace(record, outcome=again.records()[0].outcome)]
    assert record.ingredients == ingredients(3)
    assert record.outcome["steps"] == 7
    assert np.isnan(record.outcome["kl"])


def test_a_bank_has_the_documented_layout(bank):
    record = put(bank)
    bank.add_request(REQUEST, [100], np.zeros(8, bool), "ids:one.npy")
    assert set(contents(bank.path)) == {
        "bank.json",
        "data.npz",
        f"requests/{REQUEST}.npz",
        *(
            f"models/{record.address}/{name}"
            for name in ("record.json", "weights.safetensors", "outputs.npz")
        ),
    }
    header = {"name": "toys", "fingerprint": "f00d", "num_classes": 3}
    text = (bank.path / "bank.json").read_text()
    assert json.loads(text) == {"format": 2, "data": header}


def test_collapsed_models_can_be_stored(bank):
    train, test = (np.full_like(array, np.nan) for array in logits())
    record = bank.store(ingredients(), {}, weights(), train, test)
    assert np.isnan(bank.outputs(record)[0].logits).all()


def test_logits_of_any_float_come_back_as_float32(bank):
    train, test = logits()
    record = bank.store(ingredients(), {}, weights(), jnp.asarray(train, jnp.bfloat16), test * 1.0)
    assert bank.outputs(record)[0].logits.dtype == np.float32
    np.testing.assert_allclose(bank.outputs(record)[0].logits, train, rtol=1e-2)


def test_storing_what_exists_keeps_the_old(bank):
    old = put(bank)
    before = contents(bank.path)
    new = bank.store(ingredients(), {"status": "other"}, weights(1), *logits(1))
    assert new.address == old.address
    assert new.outcome["status"] == "ended"
    assert contents(bank.path) == before


def test_a_remark_joins_the_outcome_and_changes_nothing_else(bank):
    record = put(bank)
    before = contents(bank.path / "models" / record.address)
    bank.remark(record.address, {"status": "ended"})
    assert contents(bank.path / "models" / record.address) == before
    bank.remark(record.address, {"failed": "no setting found", "steps": 8})
    after = bank.record(record.address)
    assert after.address == record.address
    assert after.outcome["failed"] == "no setting found"
    assert (after.outcome["steps"], after.outcome["run_seconds"]) == (8, 0.5)
    assert bank.sound(record.address)
    for name in ("weights.safetensors", "outputs.npz"):
        assert (bank.path / "models" / record.address / name).read_bytes() == before[name]
    with refused("not in bank"):
        bank.remark("0" * 32, {"failed": "x"})


def test_the_address_depends_on_every_ingredient_and_not_on_their_order():
    base = ingredients()
    assert address_of(dict(reversed(base.items()))) == address_of(base)
    others = [
        ingredients(seed=1),
        ingredients(kind="subset"),
        *(ingredients(**{name: "0f"}) for name in ("data", "removed", "request", "original")),
        ingredients(network={"name": "mlp", "width": 9}),
        ingredients(recipe={}),
        ingredients(version=2),
        ingredients(method={"name": "natmu", "arguments": {"delta": -0.1}}),
    ]
    assert len({address_of(other) for other in [base, *others]}) == 11


def test_the_address_survives_json():
    odd = ingredients(recipe={"rates": {2: (0.1, 0.01), 10: ()}})
    assert address_of(json.loads(json.dumps(odd))) == address_of(odd)


def test_an_address_is_the_same_for_ever():
    assert address_of(ingredients()) == "102514a258ae39067000c8dfd73bf9a7"


def test_the_digest_of_ids_ignores_their_order_and_type():
    assert ids_digest(np.array([3, 1, 2], np.int32)) == ids_digest(np.array([1, 2, 3]))
    assert ids_digest(np.array([1, 2])) != ids_digest(np.array([1, 2, 3]))


def test_records_are_chosen_and_sorted_by_kind_seed_and_address(bank):
    for seed in (10, 2):
        put(bank, seed)
        put(bank, seed, kind="subset", request=REQUEST)
        put(bank, seed, kind="subset", version=2)
    order = [(r.ingredients["kind"], r.ingredients["seed"], r.address) for r in bank.records()]
    assert order == sorted(order)
    assert [entry[:2] for entry in order[:2]] == [("oracle", 2), ("oracle", 10)]
    assert len(bank.records(kind="subset")) == 4
    chosen = bank.records(kind="subset", request=REQUEST)
    assert [record.ingredients["seed"] for record in chosen] == [2, 10]
    assert bank.records(kind="unlearned") == []


def test_predictions_split_the_training_rows_by_the_request(bank):
    forgotten = np.arange(8) % CLASSES == 1
    bank.add_request(REQUEST, [119, 100, 107], forgotten, "class:1")
    predictions = bank.predictions(put(bank), REQUEST)
    assert predictions.forget.id.tolist() == [119, 107, 100]
    assert sorted([*predictions.forget.id, *predictions.retain.id]) == list(range(100, 120))
    np.testing.assert_array_equal(predictions.test_forgotten, forgotten)
    rows = {i: row for row, i in enumerate(describe().train.id)}
    for outputs in (predictions.forget, predictions.retain):
        expected = logits()[0][[rows[i] for i in outputs.id]]
        np.testing.assert_array_equal(outputs.logits, expected)
        np.testing.assert_array_equal(outputs.label, outputs.id % CLASSES)
    np.testing.assert_array_equal(predictions.test.logits, logits()[1])


def test_a_request_is_added_once_and_keeps_its_first_text(bank):
    mask = np.zeros(8, bool)
    bank.add_request(REQUEST, [101, 103], mask, "class:3")
    before = contents(bank.path)
    bank.add_request(REQUEST, [103, 101], mask, "class:cat")
    assert contents(bank.path) == before
    bank.add_request("0" * 8, [102], mask, "ids:é.npy")
    assert bank.requests() == {"0" * 8: "ids:é.npy", REQUEST: "class:3"}


@pytest.mark.parametrize("other", [([101], np.zeros(8, bool)), ([101, 103], np.arange(8) > 5)])
def test_another_request_under_the_same_hash_is_refused(bank, other):
    bank.add_request(REQUEST, [101, 103], np.zeros(8, bool), "class:3")
    before = contents(bank.path)
    with refused("request='ab12.*' has other ids or another mask"):
        bank.add_request(REQUEST, *other, "class:3")
    assert contents(bank.path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("../x", [101], np.zeros(8, bool)), r"request='\.\./x': expected a hash"),
        ((REQUEST, [5], np.zeros(8, bool)), "forget_id: 1 id: expected distinct ids of the 20"),
        ((REQUEST, [101, 101], np.zeros(8, bool)), "forget_id: 2 ids: expected distinct"),
        ((REQUEST, [], np.zeros(8, bool)), "forget_id: 0 ids: expected 1 to 19"),
        ((REQUEST, np.arange(100, 120), np.zeros(8, bool)), "forget_id: 20 ids: expected 1 to 19"),
        ((REQUEST, [101], np.zeros(7, bool)), r"test_forgotten=bool \[7\]: expected bool \[8\]"),
        ((REQUEST, [101], np.zeros(8)), r"test_forgotten=float64 \[8\]: expected bool"),
        ((REQUEST, [101], np.ones(8, bool)), "test_forgotten: all True"),
    ],
)
def test_a_malformed_request_is_refused(bank, arguments, message):
    before = contents(bank.path)
    with refused(message):
        bank.add_request(*arguments, "text")
    assert contents(bank.path) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "orcale"}, "kind='orcale': did you mean oracle"),
        ({"data": "beef"}, "data='beef': expected 'f00d', the data of bank"),
        ({"seed": 1.0}, "seed=1.0: expected an int"),
        ({"recipe": {"rate": float("nan")}}, "ingredients: .*expected plain finite numbers"),
        ({"recipe": {"rate": np.float32(1)}}, "float32 is not JSON serializable: expected plain"),
        ({"colour": "red"}, "ingredients: colour missing or unknown: expected exactly kind, data"),
    ],
)
def test_bad_ingredients_are_refused(bank, changes, message):
    with refused(message):
        bank.store({**ingredients(), **changes}, {}, weights(), *logits())
    assert bank.records() == []


@pytest.mark.parametrize(
    ("train", "test", "outcome", "message"),
    [
        (*logits(train=19), {}, r"train_logits=float32 \[19, 3\]: expected floating \[20, 3\]"),
        (*logits(test=9), {}, r"test_logits=float32 \[9, 3\]: expected floating \[8, 3\]"),
        (logits()[0].astype(int), logits()[1], {}, r"train_logits=int64 \[20, 3\]"),
        (*logits(), {"steps": np.int64(3)}, "outcome: .*int64.*expected plain numbers"),
    ],
)
def test_bad_results_are_refused(bank, train, test, outcome, message):
    with refused(message):
        bank.store(ingredients(), outcome, weights(), train, test)
    assert bank.records() == []


def test_what_is_not_in_the_bank_is_named(bank):
    address = bank.address(ingredients())
    assert not bank.has(address)
    assert not bank.sound(address)
    with refused(f"model={address}: not in bank"):
        bank.outputs(address)
    with refused(r"request='abababab': not in bank .*expected one of \(none\)"):
        bank.predictions(put(bank), "abababab")
    with refused(r"address='\.\./\.\.': expected 32 hex digits"):
        bank.has("../..")
    with refused("kind='models': expected one of oracle, original, subset, unlearned"):
        bank.records(kind="models")


def test_weights_of_another_network_are_refused(bank):
    record = put(bank)
    with refused(r"misshapen: params.w \[4, 3\] where \[5, 3\] belongs"):
        bank.weights(record, weights(size=5))


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGE = {"flipped": flip, "cut": lambda data: data[:-5], "empty": lambda data: b"", "gone": None}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["record.json", "weights.safetensors", "outputs.npz"])
def test_a_damaged_model_is_named_and_can_be_trained_again(bank, name, damage):
    whole, record = put(bank, 1), put(bank, 0)
    path = bank.path / "models" / record.address / name
    data = path.read_bytes()
    path.unlink() if damage == "gone" else path.write_bytes(DAMAGE[damage](data))
    reads = {
        "record.json": bank.records,
        "weights.safetensors": lambda: bank.weights(record, weights()),
        "outputs.npz": lambda: bank.outputs(record),
    }
    with refused(f"model={record.address}: {name} .*missing or damaged; discard the model"):
        reads[name]()
    assert not bank.sound(record.address)
    assert bank.has(record.address)
    assert bank.sound(whole.address)
    bank.discard(record.address)
    assert [r.address for r in bank.records()] == [whole.address]
    put(bank, 0)
    assert bank.sound(record.address)


def test_a_record_with_another_outcome_or_at_another_address_is_damaged(bank):
    record = put(bank)
    folder = bank.path / "models" / record.address
    moved = folder.with_name("0" * 32)
    shutil.copytree(folder, moved)
    assert not bank.sound(moved.name)
    path = folder / "record.json"
    path.write_text(path.read_text().replace('"steps": 7', '"steps": 8'))
    assert not bank.sound(record.address)


def test_discarding_nothing_is_no_error(bank):
    bank.discard(bank.address(ingredients()))
    assert list(contents(bank.path)) == ["bank.json", "data.npz"]


def test_a_damaged_request_is_named(bank):
    bank.add_request(REQUEST, [101], np.zeros(8, bool), "class:3")
    path = bank.path / "requests" / f"{REQUEST}.npz"
    path.write_bytes(path.read_bytes()[:100])
    with refused(f"request='.*{REQUEST}.npz': missing, damaged"):
        bank.predictions(put(bank), REQUEST)


def test_a_bank_that_was_made_in_part_is_completed(tmp_path):
    bank = open_bank(tmp_path, data=describe(), create=True)
    record, whole = put(bank), contents(tmp_path)["data.npz"]
    for damage in (lambda p: p.unlink(), lambda p: p.write_bytes(whole[: len(whole) // 2])):
        damage(tmp_path / "data.npz")
        with refused("data.npz: missing, damaged .*; open the bank with its data and create=True"):
            open_bank(tmp_path)
        assert open_bank(tmp_path, data=describe(), create=True).sound(record.address)
        np.testing.assert_array_equal(open_bank(tmp_path).train.id, describe().train.id)
    (tmp_path / "bank.json").unlink()
    shutil.rmtree(tmp_path / "models")
    (tmp_path / "data.npz").rename(tmp_path / ".partial-0")
    open_bank(tmp_path, data=describe(), create=True)
    assert list(contents(tmp_path)) == ["bank.json", "data.npz"]


def test_a_bank_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    bank = open_bank(tmp_path, data=describe(), create=True)
    record = put(bank)
    (tmp_path / ".partial-0").write_bytes(b"left")
    shutil.rmtree(tmp_path / "locks")

    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    for name in ("mkdir", "unlink", "rename", "replace"):
        monkeypatch.setattr(os, name, deny)
    before = contents(tmp_path)
    assert open_bank(tmp_path, data=describe()).outputs(record)
    assert contents(tmp_path) == before
    with refused("bank=.*: cannot write model .*Permission denied.*as it was"):
        put(bank, 1)
    with refused("cannot write the lock of model"), bank.claim(record.address):
        pass


FOREIGN = {
    "notes.txt": (b"mine", "the folder holds files of another kind"),
    "data.npz": (b"mine", "the folder holds files of another kind"),
    "bank.json": (b'{"accounts": []}', "bank.json is damaged or not that of a bank"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_that_is_no_bank_is_never_touched(tmp_path, name):
    content, message = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    with refused(message):
        open_bank(tmp_path, data=describe(), create=True)
    with refused("no bank there|not that of a bank"):
        open_bank(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ('{"format": 1, "shards": 4}', "format=1: expected 2, that of this version"),
        ('{"format": 2, "data": {"name": "toys"}}', "damaged or not that of a bank"),
        ("[1]", "damaged or not that of a bank"),
        ("", "damaged or not that of a bank"),
    ],
)
def test_another_format_is_refused_and_nothing_changes(bank, header, message):
    put(bank)
    (bank.path / "bank.json").write_text(header)
    (bank.path / ".partial-0").write_text("left")
    before = contents(bank.path)
    for arguments in ({}, {"data": describe(), "create": True}):
        with refused(message):
            open_bank(bank.path, **arguments)
    assert contents(bank.path) == before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (describe(fingerprint="beef"), r"other data, toys \(f00d, 3 classes\): expected .*beef"),
        (dataclasses.replace(describe(), num_classes=4), r"expected toys \(f00d, 4 classes\)"),
        (describe(train=21), "other ids or labels under the same fingerprint"),
    ],
)
def test_other_data_is_refused_and_nothing_changes(bank, data, message):
    before = contents(bank.path)
    with refused(message):
        open_bank(bank.path, data=data, create=True)
    assert contents(bank.path) == before


def test_what_is_missing_is_said(tmp_path):
    with refused("no bank there; expected a folder with bank.json"):
        open_bank(tmp_path / "none", data=describe())
    with refused("data=None: expected a DataDescription to make bank"):
        open_bank(tmp_path / "none", create=True)
    (tmp_path / "file").write_text("x")
    with refused("the folder holds files of another kind"):
        open_bank(tmp_path / "file", data=describe(), create=True)
    with refused("expected a folder that can be written to"):
        open_bank(tmp_path / "file" / "below", data=describe(), create=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (Labelled([1, 1], [0, 0]), "data: train ids: one comes twice"),
        (Labelled([1, 2], [0, 3]), r"data: train labels=0\.\.3: expected labels in \[0, 3\)"),
        (Labelled([1, 2], [0]), r"data: train ids \[2\] and labels \[1\]"),
        (Labelled([1.0], [0]), "data: train ids float64 and labels int64: expected integers"),
    ],
)
def test_a_malformed_description_is_refused(tmp_path, train, message):
    with refused(message):
        open_bank(tmp_path / "b", data=dataclasses.replace(describe(), train=train), create=True)
    assert not (tmp_path / "b").exists()


def test_a_claim_is_held_once_and_ends_with_its_block(bank):
    address = bank.address(ingredients())
    other = open_bank(bank.path)
    with bank.claim(address) as mine, other.claim(address) as theirs:
        assert (mine, theirs) == (True, False)
    with pytest.raises(OSError, match="own"), bank.claim(address):
        raise OSError("the caller's own")
    with bank.claim(address) as mine, other.claim("0" * 32) as theirs:
        assert (mine, theirs) == (True, True)


def train_all(path, first):
    """Train 24 models, from one on and round again, those that nobody has or holds."""
    bank = open_bank(path, data=describe(), create=True)
    trained = []
    bank.add_request(REQUEST, [101, 103], np.zeros(8, bool), "class:3")
    for seed in np.roll(np.arange(24), -int(first)).tolist():
        address = bank.address(ingredients(seed))
        with bank.claim(address) as mine:
            if mine and not bank.has(address):
                time.sleep(0.002)
                put(bank, seed)
                trained.append(seed)
    print(json.dumps(trained))


def test_processes_train_every_model_exactly_once(tmp_path):
    path = tmp_path / "bank"
    processes = [start("train_all", path, first) for first in (0, 0, 8)]
    trained = [json.loads(process.communicate(timeout=3600)[0]) for process in processes]
    assert sorted(itertools.chain(*trained)) == list(range(24))
    bank = open_bank(path)
    assert [record.ingredients["seed"] for record in bank.records()] == list(range(24))
    assert all(bank.sound(record.address) for record in bank.records())
    assert bank.requests() == {REQUEST: "class:3"}
    assert not list(path.glob(".partial-*"))


def store_without_claims(path):
    bank = open_bank(path)
    for seed in range(24):
        put(bank, seed)


def test_processes_without_claims_do_no_harm(bank):
    processes = [start("store_without_claims", bank.path) for _ in range(2)]
    assert [process.wait(timeout=3600) for process in processes] == [0, 0]
    assert [record.ingredients["seed"] for record in bank.records()] == list(range(24))
    assert all(bank.sound(record.address) for record in bank.records())


def stop_in_the_middle(path):
    """Claim and store a model, and stand still just before it is whole."""
    bank = open_bank(path)

    def stand_still(*_):
        print("here", flush=True)
        sys.stdin.read()

    os.rename = stand_still
    with bank.claim(bank.address(ingredients(5))):
        put(bank, 5)


def test_a_killed_process_leaves_nothing_but_what_the_next_removes(bank):
    put(bank, 1)
    before = contents(bank.path)
    address = bank.address(ingredients(5))
    process = start("stop_in_the_middle", bank.path)
    try:
        assert process.stdout.readline() == "here\n"
        other = open_bank(bank.path)
        assert len(list(bank.path.glob(".partial-*"))) == 1
        assert [record.ingredients["seed"] for record in other.records()] == [1]
        with other.claim(address) as mine:
            assert not mine
    finally:
        process.kill()
        process.wait()
    assert len(list(bank.path.glob(".partial-*"))) == 1
    again = open_bank(bank.path)
    assert contents(bank.path) == before
    with again.claim(address) as mine:
        assert mine
        assert again.sound(put(again, 5).address)


def store_with_little_room(path):
    bank = open_bank(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    put(bank, 2)
    try:
        put(bank, 3, size=10_000)
    except InputError as error:
        print(error)


def test_a_full_disk_is_said_and_the_others_stay_intact(bank):
    put(bank, 1)
    said = start("store_with_little_room", bank.path).communicate(timeout=3600)[0]
    assert said.startswith(f"bank='{bank.path}': cannot write model ")
    assert said.count("\n") == 1
    assert "make room" in said
    assert [record.ingredients["seed"] for record in bank.records()] == [1, 2]
    assert all(bank.sound(record.address) for record in bank.records())
    assert not list(bank.path.glob(".partial-*"))
    assert bank.sound(put(bank, 3, size=10_000).address)
