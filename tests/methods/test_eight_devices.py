"""Training and evaluation on as many devices as one machine usually has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EIGHT = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}

# One of each way to lay out rows: of one set, of two, of mixed images, of the forget set alone; and
# an edit, which lays them out itself. The battery shows the same of every method on four devices.
KINDS = ("finetune", "neggrad_plus", "natmu", "mumis")
EDITS = ("fisher_forgetting",)

EIGHT_DEVICES = """
import sys

import pytest

test, *names = sys.argv[1:]
code = pytest.main(["-q", "-p", "no:cacheprovider", "-k", "8", test])

import jax
from jax_unlearn import METHODS
from jax_unlearn.testing.battery import Battery
from jax_unlearn.testing.runs import devices_agree

assert jax.device_count() == 8
for name in names:
    arguments = {"max_steps": 4} if name == "mumis" else {}
    devices_agree(Battery.of(METHODS[name], arguments))
    print(name)
raise SystemExit(code)
"""
TEST = "tests/engine/test_predictions.py::test_weights_on_a_mesh_give_the_same_logits"


@pytest.fixture(scope="module")
def printed():
    """What a process with eight devices says of all of it."""
    done = subprocess.run(
        [sys.executable, "-c", EIGHT_DEVICES, TEST, *KINDS, *EDITS],
        env=EIGHT,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_training_on_eight_devices_equals_that_on_one(printed):
    assert printed.split()[-len(KINDS + EDITS) :] == [*KINDS, *EDITS]


def test_evaluation_on_eight_devices_equals_that_on_one(printed):
    assert "1 passed" in printed
