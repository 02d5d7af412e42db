"""Files of golden numbers: their two layouts read as one."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju

LAYERS = {
    "conv1": ("conv1", "kernel"),
    "scale1": ("norm1", "scale"),
    "bias1": ("norm1", "bias"),
    "conv2": ("conv2", "kernel"),
    "scale2": ("norm2", "scale"),
    "bias2": ("norm2", "bias"),
    "dense_kernel": ("dense", "kernel"),
    "dense_bias": ("dense", "bias"),
}
STATISTICS = {
    "mean1": ("norm1", "mean"),
    "var1": ("norm1", "var"),
    "mean2": ("norm2", "mean"),
    "var2": ("norm2", "var"),
}


def _tree(layers, leaf):
    tree = {}
    for name, (layer, part) in layers.items():
        tree.setdefault(layer, {})[part] = leaf(name)
    return tree


class Golden:
    """One variant of one file: its arrays by name, and what they are to this library.

    Attributes:
      arrays: every array of the file by its name there.
      variant: its name; '' where the file has one form alone.
      prefix: what the names of the variant's own arrays begin with.
    """

    def __init__(self, arrays, variant=""):
        self.arrays, self.variant = arrays, variant
        long = any(name.startswith(variant + "__") for name in arrays)
        self.prefix = variant + ("__" if long else "_") if variant else ""

    def __getitem__(self, name):
        own = self.prefix + name
        return self.arrays[own if own in self.arrays else name]

    def __contains__(self, name):
        return self.prefix + name in self.arrays or name in self.arrays

    def shared(self, variant):
        """Another variant of the file, whose arrays this one shares."""
        return Golden(self.arrays, variant)

    def number(self, name):
        """A hyperparameter as a plain number; those of both layouts have the same name here."""
        return self["hp_" + name if "hp_" + name in self else name].item()

    def params(self, prefix, row=...):
        """Trained parameters as a tree like the network's, or what has their names and shapes."""
        prefix = prefix if prefix + "conv1" in self else prefix + "param_"
        return _tree(LAYERS, lambda name: jnp.asarray(self[prefix + name][row]))

    def statistics(self, prefix, row=...):
        """BatchNorm's running statistics as a tree like the network's."""
        return _tree(STATISTICS, lambda name: jnp.asarray(self[prefix + name][row]))

    def variables(self, prefix="", row=...):
        """Weights and statistics: the start, or with a prefix what the file holds by it."""
        params, statistics = self.params(prefix, row), self.statistics(prefix, row)
        return {"params": params, "batch_stats": statistics}

    def after(self, update):
        """Weights and statistics after a stored update, from 0."""
        return self.variables("after_", self.stored.index(update))

    @property
    def stored(self):
        """The updates, from 0, after which the file has the state: all, if it says nothing."""
        if "after_update" in self:
            return (self["after_update"] - 1).tolist()
        return list(range(self.updates))

    @property
    def updates(self):
        """Number of updates stored."""
        return len(self["after_mean1"])

    @property
    def examples(self):
        """All examples in the order of the file, and which of them are to be forgotten."""
        if "forget" in self:
            image, label, forget = (self[name] for name in ("images", "labels", "forget"))
        else:
            sets = [name for name in ("forget", "retain") if name + "_images" in self]
            image = np.concatenate([self[name + "_images"] for name in sets])
            label = np.concatenate([self[name + "_labels"] for name in sets])
            forget = np.arange(len(label)) < len(self["forget_labels"])
        label = np.asarray(label, np.int32)
        return ju.Examples(image, label, np.arange(len(label))), np.asarray(forget, bool)

    def rows(self, name, epochs=1):
        """The set's index batches as rows of ``pool``, [T, B], the same ones in every epoch."""
        first = len(self["forget_labels"]) if name == "retain" else 0
        return np.tile(self[f"{name}_batches"] + first, (epochs, 1))

    def pool(self, labels=None):
        """All examples as rows in the order of the file; -1 in ``index`` is padding there too."""
        examples, forget = self.examples
        role = np.where(forget, ju.FORGET, ju.RETAIN).astype(np.int32)
        label = examples.label if labels is None else np.asarray(labels, np.int32)
        return ju.Pool(examples.image, label, role, np.zeros(len(label), bool))

    def problem(self, model, **changes):
        """The problem whose original is the file's start; nothing is augmented."""
        examples, forget = self.examples
        parts = [ju.Examples(*(x[rows] for x in examples)) for rows in (forget, ~forget)]
        fields = {
            "model": model,
            "variables": self.variables(),
            "forget": parts[0],
            "retain": parts[1],
            "num_classes": len(self["param_dense_bias"]),
            "augment": None,
        }
        return ju.Problem(**{**fields, **changes})


def find(folders):
    """Files of golden numbers by ``folder/name``, each path of the first folder that has it.

    Raises:
      FileNotFoundError: there is none, and a test without one would pass.
    """
    found = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*/*.npz")):
            found.setdefault(f"{path.parent.name}/{path.stem}", path)
    if not found:
        raise FileNotFoundError(
            f"{' and '.join(map(str, folders))}: no golden numbers; expected FOLDER/NAME.npz below"
        )
    return found


def variants(arrays):
    """Names of the forms that a file holds: those it lists, and those that have a state after."""
    listed = {str(name) for name in arrays.get("variants", ())}
    states = (re.fullmatch(r"(.*?)_*after_(?:param_)?conv1", name) for name in arrays)
    return listed | {match[1] for match in states if match} or {""}
