"""Training and evaluation on as many devices as one machine usually has."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EIGHT = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}

# One of each kind, and edits, which lay out their rows themselves; the battery shows the same of
# every method on fewer devices.
KINDS = ("finetune", "neggrad_plus", "bad_teacher", "salun", "natmu", "mumis")
EDITS = ("ssd", "fisher_forgetting", "influence")

TRAIN = """
import sys

import jax

jax.config.update("jax_num_cpu_devices", 8)
from jax_unlearn import METHODS, testing

assert jax.device_count() == 8
for name in sys.argv[1:]:
    arguments = {"max_steps": 4} if name == "mumis" else {}
    testing._devices_agree(testing._battery(METHODS[name], arguments))
    print(name)
"""


def run(*command):
    done = subprocess.run(
        [sys.executable, *command], env=EIGHT, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_training_on_eight_devices_equals_that_on_one():
    assert run("-c", TRAIN, *KINDS, *EDITS).split() == [*KINDS, *EDITS]


def test_evaluation_on_eight_devices_equals_that_on_one():
    test = "tests/engine/test_predictions.py::test_weights_on_a_mesh_give_the_same_logits"
    assert "1 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "8", test)
