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

STEPS = {
    "the package": "import jax_unlearn",
    "its parts": "import jax_unlearn.audit, jax_unlearn.data, jax_unlearn.engine, "
    "jax_unlearn.methods",
    "adapters": "jax_unlearn.from_haiku, jax_unlearn.from_equinox, jax_unlearn.from_pretrained",
}

PROBE = """
import json, sys
found = {}
for name, code in json.loads(sys.argv[1]).items():
    exec(code)
    from jax._src import xla_bridge
    found[name] = [sorted(sys.modules), bool(xla_bridge._backends)]
print(json.dumps(found))
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


def python(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def imported():
    """The modules loaded after each step, and whether a backend was started."""
    return json.loads(python(PROBE, json.dumps(STEPS)))


@pytest.mark.parametrize("step", ["the package", "its parts"])
def test_importing_loads_no_optional_dependency_and_no_backend(step, imported):
    modules, backend = imported[step]
    loaded = [name for name in FORBIDDEN if name in modules]
    assert not loaded
    assert not backend


def test_asking_for_an_adapter_loads_no_library_of_networks_but_flax(imported):
    modules, _ = imported["adapters"]
    assert not {"haiku", "equinox", "huggingface_hub"}.intersection(modules)


def test_it_trains_on_arrays_where_the_optional_dependencies_are_missing():
    # SciPy and rich are dependencies of JAX and Flax themselves.
    names = {name.split(".")[0] for name in FORBIDDEN} - {"scipy", "rich"}
    assert python(BLOCKED.format(names=sorted(names))).strip() == "finished"
