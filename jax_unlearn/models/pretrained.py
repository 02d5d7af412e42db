"""A network and its weights as a folder: ``config.json``, which rebuilds it, and safetensors."""

import inspect
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax

from jax_unlearn.core import InputError, Model, Variables
from jax_unlearn.files import write_whole
from jax_unlearn.models.hub_configs import network_of, weights_are_foreign
from jax_unlearn.models.registry import MODELS
from jax_unlearn.models.safetensors_io import (
    load_safetensors,
    open_safetensors,
    read_specs,
    save_safetensors,
)
from jax_unlearn.models.torch_weights import import_torch

CONFIG, WEIGHTS = "config.json", "model.safetensors"

_HUB_ID = re.compile(r"(hf-hub:)?[\w.-]+/[\w.-]+")


class Pretrained(NamedTuple):
    """What a folder holds.

    Attributes:
      model: the network.
      variables: its weights.
    """

    model: Model
    variables: Variables


def save_pretrained(folder: str | os.PathLike, model: Model, variables: Variables) -> None:
    """Write a network and its weights to a folder, from which :func:`from_pretrained` has them.

    Args:
      folder: is made if it is missing; its ``config.json`` and ``model.safetensors`` are replaced.
      model: the network. One of this library is rebuilt from ``config.json``; of any other its
        name alone is kept, and whoever reads it gives the Model.
      variables: its weights.

    Raises:
      InputError: the weights cannot be stored, or ``folder`` is a file.
    """
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise InputError(f"folder={str(folder)!r}: is a file; expected a folder; give another name")
    config = _rebuilding(model) if model.config else {"name": model.name}
    text = json.dumps({"library": "jax_unlearn", **config}, indent=2) + "\n"
    save_safetensors(place / WEIGHTS, variables)
    write_whole(place / CONFIG, text.encode(), durable=True)


def from_pretrained(
    source: str | os.PathLike,
    *,
    model: Model | None = None,
    num_classes: int | None = None,
    new_head: chex.PRNGKey | None = None,
    revision: str | None = None,
) -> Pretrained:
    """Read a network and its weights: ours, or a ViT, Swin-T or ResNet-50 of the Hugging Face hub.

    ::

        model, variables = ju.from_pretrained("runs/my-network")
        model, variables = ju.from_pretrained(
            "google/vit-base-patch16-224", num_classes=10, new_head=jax.random.key(0)
        )

    Args:
      source: a folder of :func:`save_pretrained`, of transformers' ``save_pretrained`` or of timm's
        ``save_for_hf``; or such a repository's id on the hub, for which ``huggingface_hub`` must be
        installed.
      model: the network, where ``config.json`` does not say how to build it, as it does not for
        networks of your own.
      num_classes: number of outputs K, where the last linear layer is drawn anew.
      new_head: a key to draw the last linear layer by, in place of the stored one.
      revision: branch, tag or commit on the hub.

    Returns:
      The network and its weights. A network from the hub normalises pixels as its own folder says.

    Raises:
      InputError: there is no such folder or repository; a file is missing or damaged; the network
        is of a kind that is not known; or arrays are missing, not expected or misshapen.
    """
    folder = _folder(source, revision)
    config = _read_config(folder)
    if num_classes is not None and new_head is None:
        raise InputError(
            f"num_classes={num_classes}: the stored layer is for the stored classes; expected "
            "new_head as well, a key by which another is drawn; give new_head=jax.random.key(0)"
        )
    foreign = weights_are_foreign(config)
    if model is None:
        settings = network_of(config, folder) if foreign else config
        model = _built(folder, settings, num_classes)
    weights = _weights_file(folder)
    if foreign:
        return Pretrained(model, import_torch(weights, model, new_head=new_head))
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    if new_head is None:
        return Pretrained(model, load_safetensors(weights, shapes))
    kept = load_safetensors(weights, _with_stored_head(shapes, weights))
    fresh = model.init(new_head)["params"]["fc"]
    return Pretrained(model, {**kept, "params": {**kept["params"], "fc": fresh}})


def find_weights(source: str | os.PathLike, revision: str | None = None) -> Path:
    """The file of weights of a folder or a repository, see :func:`from_pretrained`."""
    return _weights_file(_folder(source, revision))


def _with_stored_head(shapes: Variables, path: Path) -> Variables:
    """Shapes of a network's weights, but of the last layer those that a file has."""
    with open_safetensors("source", path) as file:
        specs = read_specs(file)

    def stored(name: str, leaf: Any) -> Any:
        spec = specs.get(f"params.fc.{name}")
        return leaf if spec is None else jax.ShapeDtypeStruct(spec.shape, leaf.dtype)

    if "fc" not in shapes.get("params", {}):
        raise InputError(
            "new_head: the network has no last linear layer 'fc': expected one of this library; "
            "leave it out"
        )
    head = {name: stored(name, leaf) for name, leaf in shapes["params"]["fc"].items()}
    return {**shapes, "params": {**shapes["params"], "fc": head}}


def _rebuilding(model: Model) -> dict[str, Any]:
    """The arguments of the constructor that builds a network of ours, with the network's name."""
    fields = json.loads(model.config)
    taken = inspect.signature(MODELS[fields["network"]]).parameters
    return {key: value for key, value in fields.items() if key == "network" or key in taken}


def _built(folder: Path, settings: Mapping[str, Any], num_classes: int | None) -> Model:
    name = str(settings.get("network", ""))
    if name not in MODELS:
        told = settings.get("name") or name
        raise InputError(
            f"source={str(folder)!r}: holds the weights of {told!r}, which is no network of this "
            "library; expected the Model beside them; give model=..."
        )
    arguments = {key: value for key, value in settings.items() if key not in ("network", "library")}
    unknown = sorted(set(arguments) - set(inspect.signature(MODELS[name]).parameters))
    if unknown or not {"num_classes", "image_shape"} <= set(arguments):
        raise InputError(
            f"source={str(folder)!r}: {CONFIG} is not of {name}: expected its arguments, not "
            f"{', '.join(unknown) or 'fewer'}; write the folder again"
        )
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    return MODELS[name](**arguments)


def _folder(source: str | os.PathLike, revision: str | None) -> Path:
    place = Path(source)
    if place.is_dir():
        return place
    text = str(source)
    if not _HUB_ID.fullmatch(text):
        raise InputError(
            f"source={text!r}: no such folder; expected a folder with {CONFIG} and safetensors, or "
            "an id of the hub, such as google/vit-base-patch16-224; check the path"
        )
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(
            f"source={text!r}: no such folder, and ids of the hub need huggingface_hub; pip "
            "install 'jax_unlearn[hub]'"
        ) from None
    try:
        found = huggingface_hub.snapshot_download(
            text.removeprefix("hf-hub:"),
            revision=revision,
            allow_patterns=["*.json", "*.safetensors"],
        )
    except Exception as error:  # whatever the network and the hub may answer
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"source={text!r}: no such folder, and the hub does not give it "
            f"({type(error).__name__}: {reason}); check the name and the connection"
        ) from error
    return Path(found)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        config = None
        reason = f"holds no {CONFIG}"
    except (OSError, ValueError) as error:
        config, reason = None, f"{CONFIG} cannot be read ({str(error).splitlines()[0]})"
    else:
        reason = f"{CONFIG} holds no settings"
    if not isinstance(config, dict):
        raise InputError(
            f"source={str(folder)!r}: {reason}; expected a folder of save_pretrained; write or "
            "copy it again"
        )
    return config


def _weights_file(folder: Path) -> Path:
    files = sorted(folder.glob("*.safetensors"))
    if folder / WEIGHTS in files:
        return folder / WEIGHTS
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise InputError(
            f"source={str(folder)!r}: expected {WEIGHTS}, or one .safetensors file alone, not "
            f"{names}; where PyTorch is installed, safetensors.torch.save_file writes one"
        )
    return files[0]
