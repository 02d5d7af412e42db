"""What labels alone tell: NatMU's supply of partners, to the last image."""

import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import Examples, InputError


def examples(counts):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    return Examples(np.zeros((len(labels), 4, 4, 1), np.uint8), labels, np.arange(len(labels)))


def supply(num, forget, retain):
    problem = ju.Problem(
        model=None,
        variables=None,
        forget=examples(forget),
        retain=examples(retain),
        num_classes=len(forget),
    )
    ju.natmu(num=num).check_supply(problem)


@pytest.mark.parametrize(
    ("num", "forget", "retain"),
    [
        (2, [5, 0, 0], [0, 5, 5]),
        (3, [2, 2, 2, 2], [6, 6, 6, 6]),
        (1, [4, 4, 0], [4, 4, 0]),
    ],
)
def test_a_supply_that_just_suffices_passes(num, forget, retain):
    supply(num, forget, retain)


@pytest.mark.parametrize(
    ("num", "forget", "retain", "message"),
    [
        # One image short in one class, though there are ten to spare in another.
        (2, [5, 0, 0], [0, 4, 15], "5 forget images need 10 partners, each 2 of different classes"),
        # Its own class does not serve.
        (2, [5, 0, 0], [50, 5, 4], "the retain set has 9 for them"),
        # Enough for each class's forget images apart, too little for all of them.
        (2, [3, 3, 0], [20, 20, 4], "6 forget images need 12 partners"),
        (1, [2, 0, 0], [9, 0, 0], "the retain set has 0 for them"),
        (3, [1, 0, 0], [9, 9, 9], "num=3: expected at most 2, the number of other classes"),
        (2, [5, 0, 0], [0, 4, 4], "5 forget images need 10 retain images and there are 8"),
    ],
)
def test_a_supply_that_cannot_suffice_is_refused(num, forget, retain, message):
    with pytest.raises(InputError) as caught:
        supply(num, forget, retain)
    assert message in str(caught.value)
