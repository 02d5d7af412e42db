"""The share of examples whose sensitivity falls: counts, ties, and what is refused."""

import numpy as np
import pytest

from jax_unlearn.audit.measures.sensitivity_change import falling_share
from jax_unlearn.core import InputError


def test_the_falling_share_counts_who_is_lower_afterwards_and_ties_half():
    before = np.array([1.0, 2.0, 3.0, 4.0])
    assert falling_share(before, before) == 50.0
    assert falling_share(before, before / 2) == 100.0
    assert falling_share(before / 2, before) == 0.0
    assert falling_share(before, np.array([0.5, 2.0, 4.0, 5.0])) == 37.5
    assert np.isnan(falling_share(before, before * np.nan))
    with pytest.raises(InputError, match="expected the same examples"):
        falling_share(before, before[:2])
