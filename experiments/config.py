"""What an experiment is: frozen settings that a command line, a preset or a file can give."""

import contextlib
import dataclasses
import json
import pathlib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.bank.forgetting import FIRST_SCORING_SEED
from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.data.request_text import OPTIONS
from jax_unlearn.methods import method_class
from jax_unlearn.models import find_network
from jax_unlearn.models.linen import DTYPES
from jax_unlearn.registry import find_method
from jax_unlearn.user_code import is_reference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """The data set.

    Attributes:
      name: digits, cifar10, cifar20, cifar100, tiny_imagenet200; any data set that TFDS prepared
        (NAME, NAME/CONFIG, NAME:VERSION); the path of an .npz file; or your own as FILE.py:NAME or
        pkg.module:NAME.
      dir: folder that holds the TFDS data sets, or the original archives to prepare them from;
        digits needs none.
      train_size: number of training images, drawn class by class; 0 takes all.
      test_size: number of test images, drawn class by class; 0 takes all.
      padding: pixels by which augmentation pads before it crops; 0 crops nothing.
      flip: whether augmentation flips images horizontally.
    """

    name: str = "digits"
    dir: str | None = None
    train_size: int = 0
    test_size: int = 0
    padding: int = 4
    flip: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """The network.

    Attributes:
      name: convnet, resnet8, resnet10, resnet18, resnet20, resnet34, vgg16_bn, or FILE.py:NAME or
        pkg.module:NAME of a constructor of your own.
      width: channels of the first layer; 0 takes the network's own.
      dtype: what it computes in, float32 or bfloat16; weights stay float32.
    """

    name: str = "convnet"
    width: int = 0
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """The recipe of the original and of its oracles.

    Attributes:
      epochs: passes over the training set.
      batch_size: images per step.
      learning_rate: peak rate.
      weight_decay: L2 term in the gradient (sgd, adam), decoupled decay (adamw).
      momentum: of sgd.
      optimizer: sgd, adam or adamw.
      schedule: constant, cosine or step (linear warm-up, a tenth at 60 % and at 80 %).
      warmup_epochs: of the step schedule.
      augment: whether training images are cropped and flipped.
    """

    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    momentum: float = 0.9
    optimizer: str = "sgd"
    schedule: str = "step"
    warmup_epochs: float = 2.0
    augment: bool = True

    def recipe(self) -> ju.Unlearner:
        """The method that trains an original or an oracle."""
        return ju.retrain(**dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Train originals and oracles, unlearn, audit.

    Attributes:
      data: the data set.
      network: the network.
      training: the recipe of originals and oracles.
      requests: what to forget, each an experiment of its own on the same originals: class:3,
        class:1,2, class:rocket, subclass:rocket, random:0.1, random:500, hardest:0.1,
        ids:PATH (.npy, .txt or .json).
      methods: names from the README's table, or FILE.py:NAME or pkg.module:NAME of your own.
      seeds: one original and one run of each method per seed.
      oracles: how many models are retrained for each request, of seeds 0, 1, ...: some are the
        reference and the others are held out; 0 takes twice the number of seeds, at least 4, fewer
        than which give no verdict.
      hyperparameters: a .json file written by `python -m experiments.search`, or the name of one
        that ships in experiments/configs; empty takes each method's published defaults.
      set: single hyperparameters, METHOD.NAME=VALUE, over everything else and after those of the
        preset; with a prefix such as class/natmu.reinit_linear=true only for requests of that kind.
      cpu_devices: virtual devices that share a CPU's cores; 0 leaves JAX's own number. Many
        models at a time train faster on several, a batch shared among them slower; accelerators
        ignore it.
      loop: auto, scan or python.
      svc_examples: examples of each side that train the SVC attack; 0 takes all, as published,
        which costs minutes per model beyond ten thousand.
    """

    data: Data = Data()
    network: Network = Network()
    training: Training = Training()
    requests: tuple[str, ...] = ("random:0.1",)
    methods: tuple[str, ...] = tuple(name for name in ju.METHODS if name != "retrain")
    seeds: tuple[int, ...] = (0, 1, 2)
    oracles: int = 0
    hyperparameters: str = ""
    set: tuple[str, ...] = ()
    cpu_devices: int = 0
    loop: str = "auto"
    svc_examples: int = 2000

    @property
    def keeps_memory(self) -> bool:
        """Whether a CPU keeps memory between steps, which takes the calling thread for each.

        Steps on digits are too short to gain by it, and lose the time in which Python prepares the
        next one.
        """
        return self.data.name != "digits"


HOW = ("cpu_devices", "loop")
"""Settings of how the machine is used: no result depends on them, but for rounding."""


def to_json(experiment: Experiment) -> dict[str, Any]:
    """The settings as JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(experiment)))


def what_is_computed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of :func:`to_json`'s values those that results depend on."""
    return {name: value for name, value in values.items() if name not in HOW}


def from_json(values: Mapping[str, Any], source: str) -> Experiment:
    """Rebuild settings from :func:`to_json`.

    Raises:
      InputError: a key is unknown, or a value is not of its kind.
    """
    sections = {"data": Data, "network": Network, "training": Training}

    def build(cls: type[Any], given: Any, where: str) -> Any:
        if not isinstance(given, Mapping):
            raise InputError(f"{source}: {where} is {given!r}; expected an object with settings")
        kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(cls)}
        built: dict[str, Any] = {}
        for key, value in given.items():
            check_choice(f"{source}: key", key, kinds)
            if cls is Experiment and key in sections:
                built[key] = build(sections[key], value, key)
                continue
            built[key] = tuple(value) if isinstance(value, list) else value
            if not _fits(built[key], kinds[key]):
                raise InputError(f"{source}: {key}={value!r}: expected {_KINDS[kinds[key]]}")
        return cls(**built)

    return build(Experiment, values, "experiment")


_KINDS = {
    str: "a text",
    str | None: "a text or null",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple[str, ...]: "a list of texts",
    tuple[int, ...]: "a list of whole numbers",
}


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value that came from JSON is of an annotated kind."""
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return isinstance(value, tuple) and all(_fits(entry, item) for entry in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def method_arguments(experiment: Experiment, request: str) -> dict[str, dict[str, Any]]:
    """Each method's hyperparameters for a request, where they differ from the defaults.

    Those of the file come first (its entry for the request, else for ``'*'``), then ``set``.

    Raises:
      InputError: the file is missing or malformed, or has no entry for the request.
    """
    entry = _entry(experiment, request)
    arguments = {
        name: dict(entry.get(name, {}).get("arguments", {})) for name in experiment.methods
    }
    for text in experiment.set:
        kind, method, field, value = _parse_setting(text)
        if method in arguments and kind in ("", request.partition(":")[0]):
            arguments[method][field] = value
    return arguments


def failed_methods(experiment: Experiment, request: str) -> dict[str, str]:
    """By method why its hyperparameters stand for none that work, as their search says it.

    Nothing is said of a method whose hyperparameters ``set`` changes.

    Raises:
      InputError: as :func:`method_arguments`.
    """
    entry = _entry(experiment, request)
    told = {name: str(entry.get(name, {}).get("failed", "")) for name in experiment.methods}
    changed = [_parse_setting(text)[:2] for text in experiment.set]
    kinds = ("", request.partition(":")[0])
    own = {method for kind, method in changed if kind in kinds}
    return {name: why for name, why in told.items() if why and name not in own}


def _entry(experiment: Experiment, request: str) -> Mapping[str, Any]:
    """What the file of hyperparameters has for a request, by method."""
    file = experiment.hyperparameters
    found = _read_hyperparameters(file) if file else {"*": {}}
    entry = found.get(request, found.get("*"))
    if entry is None:
        raise InputError(
            f"hyperparameters={file!r}: has no entry for {request!r}, only for "
            f"{', '.join(found)}; search for it, or pass --hyperparameters '' for the published "
            "defaults"
        )
    return entry


def build_method(name: str, arguments: Mapping[str, Any]) -> ju.Unlearner:
    """Construct a method by name.

    Raises:
      InputError: unknown method or hyperparameter (with near names), or a value out of range.
    """
    constructor = find_method(name)
    fields = dataclasses.fields(method_class(constructor))
    defaults = {field.name: field.default for field in fields}
    given = {}
    for field, value in arguments.items():
        check_choice(f"hyperparameter of {name}", field, defaults)
        default = defaults[field]
        if isinstance(default, bool) and not isinstance(value, bool):
            raise InputError(f"{name}.{field}={value!r}: expected true or false")
        # A whole number may be written as 1e2: JSON makes that a float.
        whole = isinstance(default, int) and isinstance(value, float) and value.is_integer()
        given[field] = int(value) if whole else value
    with naming(f"{name}."):
        return constructor(**given)


@contextlib.contextmanager
def naming(prefix: str) -> Iterator[None]:
    """Put a prefix before the argument that an error names, to say whose argument it is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{prefix}{error}") from error


def validate(experiment: Experiment) -> None:
    """Check everything that can be checked before any data is read.

    Raises:
      InputError: with one line that names the setting.
    """
    find_network(experiment.network.name, argument="network")
    check_choice("network.dtype", experiment.network.dtype, DTYPES)
    for seed in experiment.seeds:
        check_number("seeds", seed, low=0, high=FIRST_SCORING_SEED - 1, whole=True)
    check_number("oracles", experiment.oracles, low=0, whole=True)
    for field in ("seeds", "requests", "methods"):
        values = getattr(experiment, field)
        if not values or len(set(values)) < len(values):
            raise InputError(f"{field}={values}: expected one or more values, none of them twice")
    for name in ("train_size", "test_size", "padding"):
        check_number(f"data.{name}", getattr(experiment.data, name), low=0, whole=True)
    check_number("network.width", experiment.network.width, low=0, whole=True)
    check_number("svc_examples", experiment.svc_examples, low=0, whole=True)
    check_number("cpu_devices", experiment.cpu_devices, low=0, high=1024, whole=True)
    check_choice("loop", experiment.loop, ("auto", "scan", "python"))
    for name in experiment.methods:
        if find_method(name) is ju.retrain:
            raise InputError(
                f"method={name!r}: every run has it, as the oracle; leave it out of the methods"
            )
    slugs = [data.parse_request(request).slug for request in experiment.requests]
    for slug, request in zip(slugs, experiment.requests, strict=True):
        if slugs.count(slug) > 1:
            raise InputError(
                f"requests={request!r}: another one has the same short name {slug}, which names "
                "its folder; ask for one of them, or rename a file of ids"
            )
    with naming("training."):
        experiment.training.recipe()
    for text in experiment.set:
        kind, method, field, value = _parse_setting(text)
        if kind:
            check_choice(f"set={text!r}: kind of request", kind, OPTIONS)
        known = [*ju.METHODS, *experiment.methods]
        if method not in known and not is_reference(method):
            check_choice(f"set={text!r}: method", method, known)
        build_method(method, {field: value})
    for request in experiment.requests:
        for name, arguments in method_arguments(experiment, request).items():
            build_method(name, arguments)


def _parse_setting(text: str) -> tuple[str, str, str, Any]:
    """Kind of request ('' for all), method, hyperparameter and value of a ``set`` entry."""
    name, equals, value = text.partition("=")
    kind, slash, method = name.partition("/")
    if not slash or kind not in OPTIONS:
        # A path of a method of one's own has slashes, too.
        kind, method = ("", name) if is_reference(name.rpartition(".")[0]) else (kind, method)
    if not slash:
        kind, method = "", name
    method, dot, field = method.rpartition(".")
    if not (equals and dot and method and field):
        raise InputError(f"set={text!r}: expected METHOD.NAME=VALUE, such as natmu.delta=-0.1")
    try:
        return kind, method, field, json.loads(value)
    except json.JSONDecodeError:
        return kind, method, field, value


def _read_hyperparameters(name: str) -> Mapping[str, Any]:
    configs = pathlib.Path(__file__).parent / "configs"
    shipped = {path.stem: path for path in sorted(configs.glob("*.json"))}
    try:
        found = json.loads(shipped.get(name, pathlib.Path(name)).read_text())
        entries = found.get("settings", found)["requests"]
        return {
            request: {
                method: {"arguments": dict(result["arguments"]), "failed": result.get("failed", "")}
                for method, result in methods.items()
            }
            for request, methods in entries.items()
        }
    except OSError as error:
        raise InputError(
            f"hyperparameters={name!r}: cannot be read ({error.strerror}); expected a path, or one "
            f"of {', '.join(shipped)}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"hyperparameters={name!r}: not a file that `python -m experiments.search` wrote"
        ) from error
