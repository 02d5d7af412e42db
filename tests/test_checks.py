"""What is said about numbers that cannot be used."""

import numpy as np
import pytest

from jax_unlearn.checks import InputError, check_number, check_traced


@pytest.mark.parametrize("value", [10**30, -(10**30), 10**400, 2**63])
@pytest.mark.parametrize("whole", [False, True])
def test_whole_numbers_that_no_array_holds_are_refused(value, whole):
    with pytest.raises(InputError, match=r"of at most 63 bits$"):
        check_number("count", value, whole=whole)


@pytest.mark.parametrize("value", [0, 2**63 - 1, -(2**63 - 1), np.int64(3), np.uint64(2**63)])
def test_those_that_arrays_hold_pass(value):
    check_number("count", value, whole=True)


@pytest.mark.parametrize("value", [True, 1.5, "1", None, np.nan, np.inf])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InputError, match=r"^count=.*: expected a whole number >= 0$"):
        check_number("count", value, low=0, whole=True)


@pytest.mark.parametrize("value", [2**31, -(2**31), np.int64(2**40), 1e39, -3.5e38])
def test_what_32_bits_do_not_hold_cannot_be_traced(value):
    with pytest.raises(InputError, match=r"^rate=.*: expected a (whole )?number of at most"):
        check_traced("rate", value)


@pytest.mark.parametrize("value", [2**31 - 1, 3e38, np.inf, True, np.float32(1)])
def test_what_they_hold_can(value):
    check_traced("rate", value)
