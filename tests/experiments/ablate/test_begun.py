"""What an ablation begins with where nothing is said."""

import pytest

from experiments.ablate.begun import DEFAULT, begin_with
from experiments.shared.config import Experiment


@pytest.mark.parametrize("arguments", [[], ["--data.name", "digits"], ["--seeds", "0"]])
def test_digits_begin_with_what_was_found_for_them(arguments):
    assert begin_with(arguments) is DEFAULT


@pytest.mark.parametrize("arguments", [["--data.name", "photos"], ["--data.name=photos"]])
def test_other_data_begins_with_the_methods_own_defaults(arguments):
    assert begin_with(["--method", "natmu", *arguments]) == Experiment(requests=("class:3",))
