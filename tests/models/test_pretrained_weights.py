"""Weights of timm, torchvision and transformers give those packages' logits.

How the golden files were made is told in tests/golden/README.md.
"""

import pathlib

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from jax_unlearn.core import InputError
from jax_unlearn.models import import_torch

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
LOGITS = np.load(GOLDEN / "pretrained_logits.npz")


def error_of(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        import_torch(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.optimised
@pytest.mark.parametrize("name", LOGITS)
def test_logits_equal_those_of_the_package(name, tiny):
    kind = name.split("_")[0]
    model = tiny.model_of(kind, **({"epsilon": 1e-12} if name == "vit_transformers" else {}))
    variables = import_torch(tiny.file_of(name), model)
    logits = jax.jit(model.logits)(variables, tiny.images_of(kind))
    np.testing.assert_allclose(logits, LOGITS[name], rtol=0, atol=1e-4)
    # The images' logits differ by far more than that.
    assert LOGITS[name].std(axis=0).mean() > 0.05


def test_weights_of_another_network_are_told_in_one_line(tiny):
    message = error_of(tiny.file_of("vit_timm"), tiny.model_of("vit", depth=3))
    assert "not the state dict of this network: missing: blocks.2.attn.proj.bias, " in message
    assert "not expected" not in message
    message = error_of(tiny.file_of("vit_transformers"), tiny.model_of("vit", patch=16))
    assert (
        "misshapen: embeddings.patch_embeddings.projection.weight [16, 3, 8, 8] where "
        "[16, 3, 16, 16] belongs, embeddings.position_embeddings [1, 17, 16] where [1, 5, 16]"
    ) in message
    assert message.endswith("width, classes and channels, and images of the same size")
    message = error_of(tiny.file_of("swin_timm"), tiny.model_of("vit"))
    assert "missing: " in message
    assert "layers.0.blocks.0.attn.proj.bias" in message.split("not expected: ")[1]
    message = error_of(tiny.file_of("vit_torchvision"), tiny.model_of("vit", classes=7))
    assert "heads.head.weight [5, 16] where [7, 16] belongs; expected" in message


@pytest.mark.parametrize("name", ["vit_timm", "swin_transformers", "resnet50_torchvision"])
def test_a_new_head_is_drawn_and_the_rest_is_kept(name, tiny):
    kind = name.split("_")[0]
    whole = import_torch(tiny.file_of(name), tiny.model_of(kind))
    key = jax.random.key(3)
    other = import_torch(tiny.file_of(name), tiny.model_of(kind, classes=7), new_head=key)
    fresh = tiny.model_of(kind, classes=7).init(key)["params"]["fc"]
    jax.tree.map(np.testing.assert_array_equal, other["params"].pop("fc"), fresh)
    whole["params"].pop("fc")
    jax.tree.map(np.testing.assert_array_equal, other, whole)


def test_other_names_for_the_same_are_understood(tiny):
    arrays = load_file(tiny.file_of("vit_torchvision"))
    older = {
        name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): x
        for name, x in arrays.items()
    }
    assert older.keys() != arrays.keys()
    same = [import_torch(given, tiny.model_of("vit")) for given in (arrays, older)]
    jax.tree.map(np.testing.assert_array_equal, *same)
    arrays = load_file(tiny.file_of("swin_timm"))
    older = {
        **{
            name: x for name, x in arrays.items() if "downsample" not in name and "head" not in name
        },
        **{
            f"layers.{int(name[7]) - 1}{name[8:]}": x
            for name, x in arrays.items()
            if "downsample" in name
        },
        **{name.replace("head.fc", "head"): x for name, x in arrays.items() if "head" in name},
    }
    same = [import_torch(given, tiny.model_of("swin")) for given in (arrays, older)]
    jax.tree.map(np.testing.assert_array_equal, *same)
    # Without a classifier: the package's bare network.
    bare = {
        name.removeprefix("vit."): x
        for name, x in load_file(tiny.file_of("vit_transformers")).items()
        if not name.startswith("classifier")
    } | {"pooler.dense.weight": np.ones((16, 16), np.float32)}
    import_torch(bare, tiny.model_of("vit"), new_head=jax.random.key(0))
