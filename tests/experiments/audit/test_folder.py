"""Where an audit may write: a new folder, or that of an earlier audit; a folder a request."""

import pytest

from experiments.audit.folder import check_is_audit, folders_of, remove_earlier
from jax_unlearn.audit.records.stores import Sources
from jax_unlearn.core import InputError


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return folder


AUDIT = ("audit.json", "audit.csv", "report.html", "report.md", "figures/gap.png")


@pytest.mark.parametrize(
    "names",
    [
        (),
        AUDIT,
        ("audit.json",),
        tuple(f"class-3/{name}" for name in AUDIT),
        (*AUDIT, *(f"class-3/{name}" for name in AUDIT), "random-0.1/audit.json"),
    ],
)
def test_a_new_folder_and_that_of_an_earlier_audit_are_taken(tmp_path, names):
    check_is_audit(fill(tmp_path / "out", *names))
    check_is_audit(tmp_path / "none")


@pytest.mark.parametrize(
    ("names", "foreign"),
    [
        (("thesis.tex",), "thesis.tex"),
        (("report.html",), "report.html"),
        ((*AUDIT, "thesis.tex"), "thesis.tex"),
        (("config.json", "bank/bank.json", "class-3/audit.json"), "bank"),
        (("class-3/audit.json", "class-3/notes.txt"), "class-3"),
        (("class-3/audit.json", "class-4/report.md"), "class-4"),
    ],
)
def test_a_folder_with_anything_else_is_refused(tmp_path, names, foreign):
    fill(tmp_path, *names)
    with pytest.raises(InputError, match=f"^out=.*: the folder holds '{foreign}', which is not of"):
        check_is_audit(tmp_path)


def test_requests_of_one_short_name_have_folders_of_their_own():
    texts = {"01" * 32: "ids:a/set.npy", "23" * 32: "ids:b/set.npy", "45" * 32: "class:3"}
    found = [Sources(hash_, text) for hash_, text in texts.items()]
    assert folders_of(found) == ["ids-set-01010101", "ids-set-23232323", "class-3"]
    assert folders_of(found[:1]) == [""]


def test_requests_of_predictions_made_elsewhere_have_folders_of_their_own():
    found = [Sources("", "a request without a name") for _ in range(2)]
    assert folders_of(found) == ["a-request-without-a-name-0", "a-request-without-a-name-1"]


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_an_earlier_audit_left_is_removed_and_nothing_else(tmp_path):
    whole = fill(tmp_path / "whole", *AUDIT)
    fill(whole / "class-3", *AUDIT)
    fill(whole / "class-5", *AUDIT)
    (whole / "notes").mkdir()
    (whole / "notes" / "mine.txt").write_text("")
    remove_earlier(whole, ["class-3", "class-4"])
    assert names(whole) == {f"class-3/{name}" for name in AUDIT} | {"notes/mine.txt"}
    single = fill(tmp_path / "single", *AUDIT)
    fill(single / "class-3", *AUDIT)
    remove_earlier(single, [""])
    assert names(single) == set(AUDIT)
