"""Counts and lists as an English sentence has them."""

from collections.abc import Iterable


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its word: '1 oracle', '2 oracles', '3 classes'.

    Args:
      count: how many.
      one: the word in the singular.
      many: in the plural; '' adds an s.
    """
    return f"{count} {agree(count, one, many or f'{one}s')}"


def agree(count: int, one: str, many: str) -> str:
    """Choose the form of a word that goes with a count: 'is' or 'are'."""
    return one if count == 1 else many


def listed(words: Iterable[str]) -> str:
    """Join words into 'a, b and c'."""
    words = list(words)
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
