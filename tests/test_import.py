"""Importing the package brings in no optional dependency and starts no backend."""

import json
import subprocess
import sys

import pytest

FORBIDDEN = (
    "tensorflow",
    "tensorflow_datasets",
    "array_record",
    "grain",
    "tyro",
    "rich",
    "matplotlib",
    "sklearn",
    "scipy.stats",
    "optuna",
    "haiku",
    "equinox",
    "huggingface_hub",
)

PROBE = """
import json, sys
import jax_unlearn
{more}
from jax._src import xla_bridge
print(json.dumps([sorted(sys.modules), bool(xla_bridge._backends)]))
"""

BLOCKED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
import jax, numpy as np
import jax_unlearn as ju
rng = np.random.default_rng(0)
examples = ju.Examples(
    rng.integers(0, 256, (12, 4, 4, 1), np.uint8), np.arange(12, dtype=np.int32) % 3, np.arange(12)
)
model = ju.make_model("convnet", 3, (4, 4, 1), width=2)
recipe = ju.retrain(epochs=1, batch_size=4)
print(ju.train(recipe, model, examples, jax.random.key(0), num_classes=3).status)
"""


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "more",
    [
        "",
        "import jax_unlearn.audit, jax_unlearn.data, jax_unlearn.engine, jax_unlearn.methods",
    ],
)
def test_importing_loads_no_optional_dependency_and_no_backend(more):
    modules, backend = json.loads(python(PROBE.format(more=more)))
    loaded = [name for name in FORBIDDEN if name in modules]
    assert not loaded
    assert not backend


def test_asking_for_an_adapter_loads_no_library_of_networks_but_flax():
    more = "jax_unlearn.from_haiku, jax_unlearn.from_equinox, jax_unlearn.from_pretrained"
    modules, _ = json.loads(python(PROBE.format(more=more)))
    assert not {"haiku", "equinox", "huggingface_hub"}.intersection(modules)


def test_it_trains_on_arrays_where_the_optional_dependencies_are_missing():
    # SciPy and rich are dependencies of JAX and Flax themselves.
    names = {name.split(".")[0] for name in FORBIDDEN} - {"scipy", "rich"}
    assert python(BLOCKED.format(names=sorted(names))).strip() == "finished"
