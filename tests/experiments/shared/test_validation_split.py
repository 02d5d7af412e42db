"""Images held out of all training: what `--data.validation-size` does."""

import numpy as np
import pytest

from experiments.shared.config import Data, Experiment, Training
from experiments.shared.execution import ORDINARY
from experiments.shared.loading import load_data
from experiments.shared.setting_up import set_up
from jax_unlearn.core import InputError

CHOOSES = """
from jax_unlearn import InputError
from jax_unlearn.methods.finetune import FineTune

class Chooses(FineTune):
    def check(self, problem, *, exact=True):
        if problem.validation is None:
            raise InputError("validation=None: expected images that are held out")
"""


def experiment(path, **data):
    path.write_text(CHOOSES)
    return Experiment(
        data=Data(train_size=200, test_size=50, **data),
        training=Training(epochs=1, batch_size=20),
        methods=(f"{path}:Chooses",),
        set=(f"{path}:Chooses.batch_size=20",),
    )


def test_the_validation_split_is_of_the_training_images_asked_for(tmp_path):
    asked = experiment(tmp_path / "own.py", validation_size=30)
    dataset = load_data(asked)
    whole = load_data(experiment(tmp_path / "own.py"))
    assert (len(dataset.train.label), len(dataset.validation.label)) == (170, 30)
    assert set(dataset.validation.id) < set(whole.train.id)
    np.testing.assert_array_equal(dataset.test.id, whole.test.id)


def test_a_method_that_needs_it_is_refused_before_anything_is_trained(tmp_path):
    path = tmp_path / "own.py"
    out = str(tmp_path / "out")
    set_up(experiment(path, validation_size=30), ORDINARY, out=out, download=False)
    with pytest.raises(InputError, match=r"validation=None: expected images"):
        set_up(experiment(path), ORDINARY, out=out, download=False)
    assert not (tmp_path / "out").exists()
