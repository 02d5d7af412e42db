"""A folder holds a network whole: ours, transformers' and timm's."""

import json
import shutil
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.models import MODELS

FOREIGN = (
    "vit_timm",
    "vit_transformers",
    "swin_timm",
    "swin_transformers",
    "resnet50_transformers",
)


def error_of(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        ju.from_pretrained(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def foreign(tiny, name, folder, **changes):
    """A folder as the package writes it."""
    folder.mkdir(exist_ok=True)
    shutil.copy(tiny.file_of(name), folder / "model.safetensors")
    config = json.loads(tiny.file_of(name, "json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    pixels = {
        "vit_transformers": {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]},
        "resnet50_transformers": {"size": {"shortest_edge": 64}},
    }.get(name)
    if pixels:
        (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    return folder


@pytest.mark.parametrize("name", ["convnet", "resnet8", "vit_tiny", "swin_tiny"])
def test_a_network_of_ours_comes_back_as_the_same_model_with_the_same_weights(name, tmp_path):
    changes = {"vit_tiny": {"patch": 8, "depth": 1}, "swin_tiny": {"depths": [1, 1]}}.get(name, {})
    normalize = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    model = MODELS[name](5, (32, 32, 3), width=4, normalize=normalize, **changes)
    variables = jax.tree.map(
        lambda leaf: np.random.RandomState(0).normal(size=leaf.shape).astype(leaf.dtype),
        jax.eval_shape(model.init, jax.random.key(0)),
    )
    ju.save_pretrained(tmp_path / "net", model, variables)
    found = ju.from_pretrained(tmp_path / "net")
    assert found.model is model
    jax.tree.map(np.testing.assert_array_equal, found.variables, variables)
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_ours_may_get_a_new_head(tmp_path):
    model = ju.make_model("convnet", 5, (8, 8, 1), width=2)
    variables = model.init(jax.random.key(0))
    ju.save_pretrained(tmp_path, model, variables)
    key = jax.random.key(1)
    found = ju.from_pretrained(tmp_path, num_classes=3, new_head=key)
    assert found.model is ju.make_model("convnet", 3, (8, 8, 1), width=2)
    fresh = found.model.init(key)
    np.testing.assert_array_equal(
        found.variables["params"].pop("fc")["kernel"], fresh["params"]["fc"]["kernel"]
    )
    variables["params"].pop("fc")
    jax.tree.map(np.testing.assert_array_equal, found.variables, variables)
    assert error_of(tmp_path, num_classes=3).startswith("num_classes=3: the stored layer is for")


def test_a_network_of_ones_own_needs_its_model_beside_the_folder(tmp_path):
    def apply(variables, images, *, train):
        return images.reshape(len(images), -1) @ variables["w"], variables

    model = ju.Model(lambda key: {"w": jnp.ones((4, 3))}, apply, "mine")
    ju.save_pretrained(tmp_path, model, {"w": jnp.full((4, 3), 2.0)})
    assert "holds the weights of 'mine', which is no network of this library" in error_of(tmp_path)
    found = ju.from_pretrained(tmp_path, model=model)
    assert found.model is model
    np.testing.assert_array_equal(found.variables["w"], 2.0)


@pytest.mark.parametrize("name", FOREIGN)
def test_folders_of_other_packages_say_how_to_build_their_network(name, tiny, tmp_path):
    kind = name.split("_")[0]
    found = ju.from_pretrained(foreign(tiny, name, tmp_path))
    settings, expected = (json.loads(m.config) for m in (found.model, tiny.model_of(kind)))
    own = {"normalize", "network", "epsilon"}
    assert {k: v for k, v in settings.items() if k not in own} == {
        k: v for k, v in expected.items() if k not in own
    }
    if name == "vit_timm":
        expected = np.load(tiny.file_of("logits", "npz"))[name]
        logits = jax.jit(found.model.logits)(found.variables, tiny.images_of(kind))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    if name == "vit_transformers":
        assert settings["normalize"] == [[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]]
        assert settings["epsilon"] == 1e-12


def test_a_hub_id_is_downloaded_and_the_client_is_imported_for_nothing_else(
    tiny, tmp_path, monkeypatch
):
    asked = []

    def snapshot_download(repo_id, **options):
        asked.append((repo_id, options["revision"], options["allow_patterns"]))
        if repo_id == "no/body":
            raise OSError("404\nnot found")
        return str(foreign(tiny, "vit_timm", tmp_path))

    hub = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    key = jax.random.key(0)
    variables = ju.from_pretrained("some/vit", num_classes=3, new_head=key, revision="v1").variables
    assert asked == [("some/vit", "v1", ["*.json", "*.safetensors"])]
    assert variables["params"]["fc"]["bias"].shape == (3,)
    assert "the hub does not give it (OSError: 404 not found)" in error_of("no/body")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'jax_unlearn[hub]'" in error_of("some/vit")
    assert "no such folder; expected a folder with config.json" in error_of("/nowhere/at/all")


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("vit_transformers", {"model_type": "bert"}, "a network of type 'bert'; expected a vit"),
        (
            "vit_transformers",
            {"hidden_act": "gelu_new"},
            "hidden_act='gelu_new' in config.json: ex",
        ),
        ("swin_transformers", {"num_heads": [2, 2, 2, 2]}, "num_heads=[2, 2, 2, 2] in config.json"),
        ("resnet50_transformers", {"layer_type": "basic"}, "layer_type='basic' in config.json: ex"),
        ("vit_timm", {"architecture": "vit_giant"}, "timm's vit_giant; expected vit_tiny, vit_sm"),
        (
            "vit_timm",
            {"pretrained_cfg": {}},
            "config.json lacks a setting, or holds one of another",
        ),
        ("vit_timm", {"num_classes": 7}, "head.weight [5, 16] where [7, 16] belongs"),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(name, changes, told, tiny, tmp_path):
    assert told in error_of(foreign(tiny, name, tmp_path, **changes))


def test_a_folder_without_its_files_is_refused_in_one_line(tmp_path):
    assert "holds no config.json; expected a folder of save_pretrained" in error_of(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "config.json cannot be read (" in error_of(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    assert "config.json holds no settings" in error_of(tmp_path)
    model = ju.make_model("convnet", 5, (8, 8, 1), width=2)
    ju.save_pretrained(tmp_path, model, model.init(jax.random.key(0)))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"depth": 3}))
    assert "config.json is not of convnet: expected its arguments, not depth" in error_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").unlink()
    assert "one .safetensors file alone, not none" in error_of(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; expected a folder"):
        ju.save_pretrained(tmp_path / "file", model, {})
