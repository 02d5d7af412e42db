"""The main job: originals, oracles and unlearned models of one experiment, part by part."""

import contextlib
import dataclasses
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.core import Examples, InputError, Model, Predictions, Variables
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
from jax_unlearn.engine.checkpointing.weights import load_weights, save_weights
from jax_unlearn.engine.signals import deferred
from jax_unlearn.lazy import concatenate_images
from jax_unlearn.models import CENTRED, NORMALIZATIONS
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.sharding import parse_mesh

from .config import LAST_SEED, Experiment, build_method, naming
from .execution import ORDINARY, Execution
from .folder import RunFolder

WATCHED = 1000
"""How many retain examples are watched while a method runs; the audit uses all of them."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all parts of an experiment share.

    Attributes:
      experiment: the settings.
      dataset: the data.
      model: the network.
      mesh: the devices.
      folder: where everything goes.
      phase: opens a progress bar.
      execution: how the machine is used.
      originals: weights of the originals already at hand, by seed.
    """

    experiment: Experiment
    dataset: data.Dataset
    model: Model
    mesh: Mesh
    folder: RunFolder
    phase: Callable[[str], Any]
    execution: Execution = ORDINARY
    originals: dict[int, tuple[Variables, Variables]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Forgetting:
    """One request, resolved.

    Attributes:
      text: as it was asked for.
      slug: name of its folder.
      request: the ids.
      forget: the forget set.
      retain: the retain set.
      test_forgotten: bool [T], test images of a class forgotten as a whole.
    """

    text: str
    slug: str
    request: data.Request
    forget: Examples
    retain: Examples
    test_forgotten: np.ndarray


def load_data(
    experiment: Experiment, *, download: bool = False, streamed: bool = False
) -> data.Dataset:
    """Load the data set and draw the training and test images that the settings ask for.

    Args:
      experiment: the settings.
      download: whether a missing archive may be downloaded.
      streamed: whether images are read only when they are used.
    """
    settings = experiment.data
    load = data.open_stream if streamed else data.load
    try:
        dataset = load(settings.name, settings.dir, download=download)
    except InputError as error:
        # It names an argument of the library, where a command has a flag.
        text = str(error).replace("pass download=True", "pass --download to experiments.run")
        raise InputError(text.replace("download=True", "--download")) from error
    with naming("data."):
        return data.subset(dataset, settings.train_size or None, settings.test_size or None)


def make_network(experiment: Experiment, dataset: data.Dataset) -> Model:
    """Build the network for a data set's images and classes."""
    return ju.make_model(
        experiment.network.name,
        dataset.num_classes,
        dataset.train.image.shape[1:],
        width=experiment.network.width or None,
        normalize=NORMALIZATIONS.get(dataset.name, CENTRED),
        dtype=experiment.network.dtype,
    )


def make_key(seed: int, *words: str) -> jax.Array:
    """A key for one purpose: the seed's, folded with the words that name it."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32("/".join(words).encode()))


def original(bench: Bench, seed: int) -> tuple[Variables, Variables]:
    """Initial weights and those after training on all data; trained once and kept."""
    if seed not in bench.originals:
        bench.originals[seed] = _original(bench, seed)
    return bench.originals[seed]


def _original(bench: Bench, seed: int) -> tuple[Variables, Variables]:
    initial = bench.model.init(make_key(seed, "initial"))
    name = f"original-{seed}"
    part = ("", "original", seed)
    if part in bench.folder.parts and bench.folder.weights(name).is_dir():
        try:
            return initial, load_weights(bench.folder.weights(name), initial)
        except InputError as error:
            warnings.warn(f"{name} is trained again: {str(error).partition(';')[0]}", stacklevel=2)
    with bench.phase(f"original, seed {seed}") as on_step:
        outcome = _train(bench, bench.dataset.train, part, "original", seed, initial, on_step)
    save_weights(bench.folder.weights(name), outcome.variables)
    bench.folder.record(part, outcome)
    return initial, load_weights(bench.folder.weights(name), initial)


def _train(
    bench: Bench,
    examples: Examples,
    part: tuple[str, str, int],
    purpose: str,
    seed: int,
    initial: Variables,
    on_step: Callable[[int, int], None],
) -> ju.Result:
    settings = bench.experiment
    with _safely(bench, part, on_step) as safety:
        outcome = ju.train(
            settings.training.recipe(),
            bench.model,
            examples,
            make_key(seed, purpose),
            num_classes=bench.dataset.num_classes,
            initial=initial,
            augment=ju.crop_and_flip(settings.data.padding, settings.data.flip),
            mesh=bench.mesh,
            loop=settings.loop,
            **safety,
        )
    if outcome.status == "collapsed":
        raise InputError(
            f"training.learning_rate={settings.training.learning_rate}: {purpose} of seed {seed} "
            "collapsed, its loss or weights are no longer finite; lower the rate"
        )
    return outcome


@contextlib.contextmanager
def _safely(
    bench: Bench, part: tuple[str, str, int], on_step: Callable[[int, int], None]
) -> Iterator[dict[str, Any]]:
    """Arguments of a run that is saved now and then and ends well when it is told to."""
    settings = bench.experiment
    identity = {
        "data": bench.dataset.fingerprint,
        "part": list(part),
        "padding": settings.data.padding,
        "flip": settings.data.flip,
    }
    for name in ("network", "training"):
        given = dataclasses.asdict(getattr(settings, name))
        identity |= {f"{name}.{field}": value for field, value in given.items()}
    seconds = bench.execution.checkpoint_seconds
    with (
        Checkpoints(bench.folder.checkpoints(part), identity, every_seconds=seconds) as checkpoints,
        deferred() as interrupted,
    ):
        said = False

        def report(done: int, planned: int) -> None:
            nonlocal said
            if checkpoints.restored and not said and jax.process_index() == 0:
                name = bench.folder.checkpoints(part).name
                print(f"{name}: goes on at step {checkpoints.restored} of {planned}", flush=True)
            said = True
            on_step(done, planned)

        yield {"checkpoints": checkpoints, "interrupted": interrupted, "on_step": report}


def resolve(bench: Bench, text: str) -> Forgetting:
    """Choose the examples to forget; trains scoring models where the request needs margins."""

    def logits_of(seeds: list[int]) -> list[np.ndarray]:
        images = bench.dataset.train.image
        return [predict_logits(bench.model, original(bench, s)[1], images) for s in seeds]

    return resolve_by(bench.dataset, text, logits_of)


def resolve_by(
    dataset: data.Dataset, text: str, logits_of: Callable[[list[int]], list[np.ndarray]]
) -> Forgetting:
    """Choose the examples to forget.

    Args:
      dataset: the data.
      text: the request.
      logits_of: gives the logits float [N, K] on the training images of originals of other seeds;
        asked only where the request needs margins.
    """
    spec = data.parse_request(text)
    margins = None
    if spec.kind == "hardest":
        # Seeds far from the audited ones: what is hard is not judged by the models it is tried on.
        seeds = [SCORING_SEED + seed for seed in spec.scoring_seeds]
        label = dataset.train.label
        margins = np.mean([_margins(logits, label) for logits in logits_of(seeds)], axis=0)
    request = data.make_request(spec, dataset, margins)
    forget, retain = data.split(dataset, request)
    forgotten = data.test_forgotten(dataset, request)
    return Forgetting(text, spec.slug, request, forget, retain, forgotten)


SCORING_SEED = LAST_SEED + 1
SECOND_SEED = 2 * SCORING_SEED


def _margins(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, label] = -np.inf
    return logits[rows, label] - others.max(axis=1)


def predictions_of(bench: Bench, forgetting: Forgetting, variables: Variables) -> Predictions:
    """What weights say about the request's forget and retain set and the test set."""
    return ju.predict(
        bench.model,
        variables,
        forget=forgetting.forget,
        retain=forgetting.retain,
        test=bench.dataset.test,
        test_forgotten=forgetting.test_forgotten,
    )


def original_predictions(bench: Bench, forgetting: Forgetting, seed: int) -> Predictions:
    """The original's predictions for a request."""
    done = bench.folder.predictions(forgetting.slug, "original", seed)
    if done is None:
        done = predictions_of(bench, forgetting, original(bench, seed)[1])
        bench.folder.finish(forgetting.slug, "original", seed, done, None)
    return done


def oracle_predictions(
    bench: Bench, forgetting: Forgetting, seed: int, *, second: bool = False
) -> Predictions:
    """Predictions of the model retrained without the forget set.

    The oracle starts from the original's initial weights. The second oracle starts from weights of
    its own: between the two lies what chance alone does.
    """
    name = "second_oracle" if second else "oracle"
    done = bench.folder.predictions(forgetting.slug, name, seed)
    if done is None:
        with bench.phase(f"{forgetting.slug}: {name.replace('_', ' ')}, seed {seed}") as on_step:
            start = seed + SECOND_SEED if second else seed
            initial = bench.model.init(make_key(start, "initial"))
            purpose = f"oracle/{forgetting.slug}"
            part = (forgetting.slug, name, seed)
            outcome = _train(bench, forgetting.retain, part, purpose, start, initial, on_step)
            done = predictions_of(bench, forgetting, outcome.variables)
        bench.folder.finish(forgetting.slug, name, seed, done, outcome)
    return done


def make_problem(
    bench: Bench, forgetting: Forgetting, seed: int, method: ju.Unlearner
) -> ju.Problem:
    """What a method may see: the retain set only if it needs one."""
    initial, variables = original(bench, seed)
    return ju.Problem(
        model=bench.model,
        variables=variables,
        forget=forgetting.forget,
        retain=forgetting.retain if method.needs_retain else None,
        num_classes=bench.dataset.num_classes,
        initial=initial,
        augment=ju.crop_and_flip(bench.experiment.data.padding, bench.experiment.data.flip),
    )


def unlearn(
    bench: Bench,
    forgetting: Forgetting,
    seed: int,
    name: str,
    arguments: Mapping[str, Any],
    *,
    watch: bool = True,
    saved: bool = True,
) -> tuple[Predictions, ju.Result]:
    """Run a method on the original of a seed.

    Args:
      bench: the experiment.
      forgetting: the request.
      seed: which original; also the method's own randomness.
      name: the method.
      arguments: its hyperparameters where they differ from the defaults.
      watch: whether accuracies are recorded after every epoch.
      saved: whether checkpoints are made, from which the same call goes on.
    """
    method = build_method(name, arguments)
    problem = make_problem(bench, forgetting, seed, method)
    part = (forgetting.slug, name, seed)
    with (
        bench.phase(f"{forgetting.slug}: {name.replace('_', ' ')}, seed {seed}") as on_step,
        _safely(bench, part, on_step) if saved else contextlib.nullcontext({}) as safety,
    ):
        outcome = ju.run(
            method,
            problem,
            make_key(seed, "unlearn", forgetting.slug, name),
            mesh=bench.mesh,
            loop=bench.experiment.loop,
            watch=watcher(bench.model, bench.dataset, forgetting) if watch else None,
            **({"on_step": on_step} | safety),
        )
        return predictions_of(bench, forgetting, outcome.variables), outcome


def watcher(
    model: Model, dataset: data.Dataset, forgetting: Forgetting
) -> Callable[[Variables], dict[str, float]]:
    """Return what takes the accuracies of a request's parts, in percent, from weights."""
    retain, test = forgetting.retain, dataset.test
    rows = np.linspace(0, len(retain.label) - 1, min(WATCHED, len(retain.label))).astype(int)
    kept = np.flatnonzero(~forgetting.test_forgotten)
    parts = {
        "forget_accuracy": (forgetting.forget.image, forgetting.forget.label),
        "retain_accuracy": (retain.image[rows], retain.label[rows]),
        "test_accuracy": (test.image[kept], test.label[kept]),
    }
    images = concatenate_images([image for image, _ in parts.values()])
    labels = np.concatenate([label for _, label in parts.values()])
    ends = np.cumsum([len(label) for _, label in parts.values()])[:-1]

    def watch(variables: Variables) -> dict[str, float]:
        right = predict_logits(model, variables, images).argmax(axis=1) == labels
        shares = [100.0 * float(np.mean(part)) for part in np.split(right, ends)]
        return dict(zip(parts, shares, strict=True))

    return watch


def make_bench(
    experiment: Experiment,
    dataset: data.Dataset,
    folder: RunFolder,
    phase: Callable[[str], Any],
    execution: Execution = ORDINARY,
) -> Bench:
    """Gather what all parts share."""
    model = make_network(experiment, dataset)
    mesh = parse_mesh(execution.mesh)
    return Bench(experiment, dataset, model, mesh, folder, phase, execution)
