import pytest

from jax_unlearn.wording import agree, counted, listed


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 models"), (1, "1 model"), (2, "2 models"), (128, "128 models")]
)
def test_a_count_has_its_word_in_the_singular_for_one_alone(count, text):
    assert counted(count, "model") == text


def test_a_plural_may_be_irregular():
    assert (counted(1, "class", "classes"), counted(3, "class", "classes")) == (
        "1 class",
        "3 classes",
    )


def test_verbs_go_with_their_count():
    assert [agree(n, "is", "are") for n in (0, 1, 2)] == ["are", "is", "are"]


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), ("abc", "a, b and c")]
)
def test_lists_end_in_and(words, text):
    assert listed(words) == text
