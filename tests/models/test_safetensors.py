"""Weights written as .safetensors come back bit for bit, or one line says why not."""

import os
import resource
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from safetensors import safe_open
from safetensors.numpy import save_file

from jax_unlearn.core import InputError
from jax_unlearn.models import make_model
from jax_unlearn.models.safetensors_io import (
    STORABLE,
    load_safetensors,
    safetensors_metadata,
    save_safetensors,
)


class Layer(NamedTuple):
    weight: jax.Array
    bias: jax.Array


WEIGHTS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float32)}


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def error_of(function, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["resnet18", "vgg16_bn", "convnet"])
def test_a_networks_variables_come_back_bit_for_bit(name, tmp_path):
    model = make_model(name, 10, (32, 32, 3), width=2)
    variables = model.init(jax.random.key(0))
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, variables)
    assert_same(load_safetensors(path, variables), variables)
    assert_same(load_safetensors(path, jax.eval_shape(model.init, jax.random.key(1))), variables)


@pytest.mark.parametrize(
    "tree",
    [
        jnp.arange(3.0),
        [jnp.ones((2, 3), jnp.bfloat16), (jnp.int32(7), np.array([True, False]))],
        {"layers": {0: Layer(jnp.full((2, 2), jnp.nan), jnp.zeros((0, 3)))}, "none": None},
        {"far": np.array([1e300, -0.0]), "turned": np.arange(6).reshape(2, 3).T},
    ],
)
def test_any_pytree_of_arrays_comes_back_bit_for_bit(tree, tmp_path):
    path = tmp_path / "tree.safetensors"
    save_safetensors(path, tree)
    assert_same(load_safetensors(path, tree, finite=False), tree)


@pytest.mark.parametrize("dtype", STORABLE)
def test_every_storable_type_comes_back(dtype, tmp_path):
    tree = {"x": np.array([0, 1, 1]).astype(jnp.dtype(dtype))}
    path = tmp_path / "x.safetensors"
    save_safetensors(path, tree)
    assert_same(load_safetensors(path, tree), tree)


def test_names_are_the_paths_joined_with_dots(tmp_path):
    path = tmp_path / "names.safetensors"
    layer = Layer(jnp.ones(1), jnp.ones(1))
    save_safetensors(path, {"params": {"conv": [layer]}, "batch_stats": {"bn1": {"mean": WEIGHTS}}})
    with safe_open(path, "numpy") as file:
        assert set(file.keys()) == {
            "params.conv.0.weight",
            "params.conv.0.bias",
            "batch_stats.bn1.mean.a",
            "batch_stats.bn1.mean.b",
        }
    model = make_model("resnet8", 10, (8, 8, 3), width=2)
    save_safetensors(path, model.init(jax.random.key(0)))
    with safe_open(path, "numpy") as file:
        assert {"params.layer1_0.conv1.kernel", "batch_stats.bn1.mean"} <= set(file.keys())


def test_files_of_other_programs_are_read_by_the_same_names(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"params.a": WEIGHTS["a"], "params.b": WEIGHTS["b"]}, path)
    assert_same(load_safetensors(path, {"params": WEIGHTS}), {"params": WEIGHTS})


def test_leaves_come_back_in_the_places_of_those_they_are_like(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, WEIGHTS)
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    split = NamedSharding(mesh, PartitionSpec("data"))
    loaded = load_safetensors(
        path, {"a": jax.device_put(WEIGHTS["a"], split), "b": jnp.asarray(WEIGHTS["b"])}
    )
    assert loaded["a"].sharding == split
    assert not loaded["b"].committed
    assert_same(loaded, WEIGHTS)


def test_metadata_is_kept_and_may_be_absent(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, WEIGHTS, metadata={"network": "resnet18", "seed": "3"})
    assert safetensors_metadata(path) == {"network": "resnet18", "seed": "3"}
    save_safetensors(path, WEIGHTS)
    assert safetensors_metadata(path) == {}


def test_writing_makes_the_folder_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "folder" / "weights.safetensors"
    save_safetensors(path, {"a": np.zeros(3)})
    save_safetensors(path, WEIGHTS)
    assert_same(load_safetensors(path, WEIGHTS), WEIGHTS)
    assert os.listdir(path.parent) == ["weights.safetensors"]


def test_a_full_disk_leaves_the_earlier_file_valid_and_nothing_half_written(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, WEIGHTS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on file sizes fails a write half-way, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_safetensors(path, {"a": np.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_same(load_safetensors(path, WEIGHTS), WEIGHTS)
    assert os.listdir(tmp_path) == ["weights.safetensors"]


def test_everything_wrong_with_a_files_arrays_is_listed_in_one_line(tmp_path):
    path = tmp_path / "weights.safetensors"
    ones = np.ones((2, 3), np.float32)
    save_safetensors(
        path, {"turned": ones.T, "half": ones.astype(np.float16), "new": ones, "more": ones}
    )
    like = {"turned": ones, "half": ones, "gone": ones, "lost": ones}
    message = error_of(load_safetensors, path, like)
    assert message == (
        f"path={str(path)!r}: not the arrays of these variables: missing: gone, lost; "
        "not expected: more, new; misshapen: turned [3, 2] where [2, 3] belongs; of another type: "
        "half float16 where float32 belongs; expected the weights of this very network"
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(bad, dtype, tmp_path):
    path = tmp_path / "weights.safetensors"
    sick = np.ones((2, 3)).astype(jnp.dtype(dtype))
    sick[1, 1:] = bad
    tree = {"sick": sick, "sound": np.ones(2, np.float32), "count": np.ones(2, np.int32)}
    save_safetensors(path, tree)
    message = error_of(load_safetensors, path, tree)
    assert message.startswith(
        f"path={str(path)!r}: NaN or infinite numbers in sick (2 of 6): expected finite weights; "
    )
    assert_same(load_safetensors(path, tree, finite=False), tree)


@pytest.mark.parametrize("length", [0, 5, 40, -1])
@pytest.mark.parametrize(
    "read", [lambda path: load_safetensors(path, WEIGHTS), safetensors_metadata]
)
def test_a_truncated_file_is_named(read, length, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, WEIGHTS)
    path.write_bytes(path.read_bytes()[:length])
    assert f"path={str(path)!r}: damaged, or not a .safetensors file (" in error_of(read, path)


def test_a_foreign_file_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_text("these are not the weights that you are looking for")
    assert "damaged, or not a .safetensors file (" in error_of(load_safetensors, path, WEIGHTS)


def test_arrays_of_types_unknown_here_are_listed(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.ones(2, jnp.float8_e4m3fn)}, path)
    message = error_of(load_safetensors, path, {"a": np.ones(2, np.float32)})
    assert "of another type: a F8_E4M3 where float32 belongs" in message


@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "pytorch_model.bin", "model.ckpt"])
def test_a_pickle_is_refused_unopened_and_the_way_to_convert_it_told(name, tmp_path):
    message = error_of(load_safetensors, tmp_path / name, WEIGHTS)
    assert "a pickle can run any code and is never loaded" in message
    assert f"safetensors.torch.save_file(torch.load('{name}', weights_only=True)" in message


def test_a_missing_file_is_named(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        assert f"path={str(path)!r}: no such file" in error_of(load_safetensors, path, WEIGHTS)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"a": 1.0}, "variables: a is of type float: expected arrays of bool, int8"),
        ({"a": "text"}, "variables: a is of type str: expected arrays"),
        (2, "variables: the leaf is of type int: expected arrays"),
        ({"a": np.ones(2, np.complex128)}, "variables: a is of type complex128"),
        ({"a": np.array(["x"])}, "variables: a is of type <U1"),
        ({"a.b": WEIGHTS["a"], "a": {"b": WEIGHTS["a"]}}, "cannot use the name a.b"),
        ({"__metadata__": WEIGHTS["a"]}, "cannot use the name __metadata__"),
    ],
)
def test_what_cannot_be_stored_is_named_and_nothing_written(tree, said, tmp_path):
    assert said in error_of(save_safetensors, tmp_path / "x.safetensors", tree)
    assert not os.listdir(tmp_path)


def test_random_keys_are_refused_with_the_way_to_store_them(tmp_path):
    message = error_of(save_safetensors, tmp_path / "x.safetensors", {"key": jax.random.key(0)})
    assert "variables: key is of type key<fry>" in message
    assert "jax.random.key_data" in message


@pytest.mark.parametrize("name", ["weights.pth", "weights", "folder.safetensors"])
def test_a_path_that_ends_otherwise_or_is_a_folder_is_refused(name, tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    message = error_of(save_safetensors, tmp_path / name, WEIGHTS)
    assert "expected a file name that ends in .safetensors" in message


@pytest.mark.parametrize(
    "use",
    [
        lambda: save_safetensors(None, WEIGHTS),
        lambda: load_safetensors(None, WEIGHTS),
        lambda: safetensors_metadata(None),
    ],
)
def test_what_is_no_path_is_refused(use):
    assert error_of(use) == "path=None: expected the path of a .safetensors file"


def test_metadata_must_be_text(tmp_path):
    message = error_of(save_safetensors, tmp_path / "x.safetensors", WEIGHTS, metadata={"seed": 3})
    assert message == "metadata={'seed': 3}: expected text by name; use str(value)"


def test_the_package_safetensors_is_imported_only_when_a_file_is_touched():
    code = "import sys, jax_unlearn.models.torch_weights; sys.exit('safetensors' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
