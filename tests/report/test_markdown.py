"""Text stands for itself in Markdown."""

import re

import pytest

from jax_unlearn.report.markdown import escape


@pytest.mark.parametrize("sign", list("\\`*_[]<>|#~$&"))
def test_a_sign_with_a_meaning_is_escaped_once(sign):
    assert escape(f"a{sign}b") == f"a\\{sign}b"


def test_what_is_escaped_is_the_text_again_without_its_backslashes():
    text = r"\| a \\ <b>&amp; | `x` *y* _z_ [l](u) # ~~s~~ $m$"
    assert re.sub(r"\\(.)", r"\1", escape(text)) == text


def test_no_sign_of_a_table_or_a_tag_is_left_bare():
    assert re.search(r"(?<!\\)(\\\\)*[<|]", escape("\\| \\\\| <b> \\<b>")) is None


def test_text_stays_on_one_line():
    assert escape(" a\n\n# b\t c ") == r"a \# b c"


def test_a_value_is_escaped_as_it_is_printed():
    assert escape(0.5) == "0.5"
    assert escape(["a_b"]) == r"\['a\_b'\]"
