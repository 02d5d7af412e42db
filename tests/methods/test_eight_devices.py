"""The tests of several devices once more, with as many as one machine usually has."""

import os
import subprocess
import sys
from pathlib import Path

import jax_unlearn as ju

HERE = Path(__file__).parent
TESTS = (
    f"{HERE / 'test_every_method.py'}::test_several_devices_give_the_result_of_one",
    f"{HERE.parent / 'engine' / 'test_predictions.py'}"
    "::test_weights_on_a_mesh_give_the_same_logits",
)


def test_training_and_evaluation_of_every_method_on_eight_devices_equal_those_on_one():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "8", *TESTS],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    # One test for each method, and that of the evaluation.
    assert f"{len(ju.METHODS) + 1} passed" in done.stdout
