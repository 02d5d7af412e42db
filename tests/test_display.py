import pytest

from jax_unlearn.display import display_name, row_titles


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("natmu", "NatMU"),
        ("bad_teacher", "bad teacher"),
        ("natmu_uniform", "NatMU uniform"),
        ("folder/my_file.py:MyMethod", "MyMethod"),
        ("package.module:my_method", "my method"),
        ("oracle", "oracle"),
        ("natmu, defaults", "NatMU, defaults"),
        ("my_file.py:MyMethod, defaults", "MyMethod, defaults"),
    ],
)
def test_a_method_is_named_as_its_class_declares_or_by_its_words(name, shown):
    assert display_name(name) == shown
    assert display_name(shown) == shown


def test_a_row_of_defaults_is_titled_as_its_method_and_no_other():
    declared = {"natmu": "NatMU", "natmu, defaults": "NatMU", "a.py:X, defaults": ""}
    assert list(row_titles(declared).values()) == ["NatMU", "NatMU, defaults", "X, defaults"]


def test_no_two_rows_have_one_title():
    declared = {"natmu": "NatMU", "natmu-2": "NatMU", "a.py:X": "oracle", "mine": ""}
    assert row_titles(declared) == {
        "natmu": "NatMU",
        "natmu-2": "NatMU 2",
        "a.py:X": "oracle 2",
        "mine": "mine",
    }
