"""Training and evaluation on as many devices as one machine usually has."""

import os
import subprocess
import sys
from pathlib import Path

import jax_unlearn as ju

ROOT = Path(__file__).parents[2]
EIGHT = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}

TRAIN = """
import jax

jax.config.update("jax_num_cpu_devices", 8)
from jax_unlearn import METHODS, testing

assert jax.device_count() == 8
for name, constructor in METHODS.items():
    arguments = {"max_steps": 4} if name.startswith("mumis") else {}
    testing._devices_agree(testing._battery(constructor, arguments))
    print(name)
"""


def run(*command):
    done = subprocess.run(
        [sys.executable, *command], env=EIGHT, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_training_of_every_method_on_eight_devices_equals_that_on_one():
    assert run("-c", TRAIN).split() == list(ju.METHODS)


def test_evaluation_on_eight_devices_equals_that_on_one():
    test = "tests/engine/test_predictions.py::test_weights_on_a_mesh_give_the_same_logits"
    assert "1 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "8", test)
