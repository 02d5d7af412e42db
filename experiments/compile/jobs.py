"""What is to be compiled: which program, of which method, with which batch."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence

import jax

from jax_unlearn.core import Problem, Unlearner
from jax_unlearn.engine import shapes
from jax_unlearn.engine.passes import Pass, list_passes
from jax_unlearn.engine.shapes import RunShapes
from jax_unlearn.models.predict import BATCH_SIZE
from jax_unlearn.sharding import Layout

from .settings import Settings
from .stand_in import sample

PROGRAMS = ("step", "scan", "pass", "evaluation", "bank", "plain")
"""One step; the compiled loop of many, which accelerators run; what a one-shot edit does with a
chunk of a data set; predictions; the loop of models that are trained side by side; a training step
of the same network written plainly."""

TRAINING = "training"


@dataclasses.dataclass(frozen=True)
class Job:
    """A program to compile.

    Attributes:
      row: whose it is: a method's, or ``'training'``.
      program: one of :data:`PROGRAMS`.
      batch: rows of a step of one model, padding included.
      models: how many lie side by side.
      shards: how many devices share the batch of one.
      lower: makes the program for a batch.
      padding: rows of the batch that are no images.
    """

    row: str
    program: str
    batch: int
    models: int
    shards: int
    lower: Callable[[int], jax.stages.Lowered]
    padding: int = 0

    @property
    def name(self) -> str:
        """Whose program it is, which, and its batch."""
        return f"{self.row} {self.program} b{self.batch}"


def list_jobs(
    settings: Settings, together: Layout, beside: Layout, programs: Sequence[str], *, scans: bool
) -> list[Job]:
    """List programs: those of training, then of each method that takes steps, then the others.

    Args:
      settings: what a run would compute.
      together: of a method's steps: all devices, which share the batch of one model, or several
        models on devices of their own. What edits do, and predictions, are of one of these models.
      beside: the devices, on which models lie side by side.
      programs: which of :data:`PROGRAMS`.
      scans: whether steps become compiled loops; data on the host is sent step by step.
    """
    jobs: dict[str, Job] = {}
    single = dataclasses.replace(together, mesh=together.home, stacked=False)
    own = [kind for kind in ("step", "scan") if kind in programs and (scans or kind != "scan")]
    plain = ["plain"] * ("plain" in programs and settings.plain is not None)
    for row, method, problem in rows(settings):
        # What a method's are compared with: those of cross-entropy in batches of the same size.
        for kind in [*own, *plain] if own or row == TRAINING else []:
            jobs |= _keyed(_training(settings, kind, method.batch_size, together))
        for kind in own:
            jobs |= _keyed(_of_method(row, kind, method, problem, together))
    if "pass" in programs:
        for row, method, problem in edits(settings):
            for one in _passes(method, problem, single):
                jobs |= _keyed(_of_pass(row, one, single))
    if "evaluation" in programs:
        jobs |= _keyed(_evaluation(settings, single))
    if "bank" in programs and scans:
        jobs |= _keyed(_training(settings, "bank", settings.recipe.batch_size, beside))
    return list(jobs.values())


def _keyed(job: Job) -> dict[str, Job]:
    return {job.name: job}


def rows(settings: Settings) -> Iterator[tuple[str, Unlearner, Problem]]:
    """Training and every method that takes steps, on the first request that it works on."""
    yield TRAINING, settings.recipe, settings.training()
    yield from _methods(settings, edits=False)


def edits(settings: Settings) -> Iterator[tuple[str, Unlearner, Problem]]:
    """Methods that edit the weights once and so have no step, likewise."""
    yield from _methods(settings, edits=True)


def _methods(settings: Settings, *, edits: bool) -> Iterator[tuple[str, Unlearner, Problem]]:
    seen = set()
    for request in settings.experiment.requests:
        for row, method in settings.methods(request).items():
            if row not in seen and (method.num_epochs == 0) == edits:
                seen.add(row)
                yield row, method, settings.unlearning(request, method)


def _training(settings: Settings, kind: str, batch: int, layout: Layout) -> Job:
    problem = settings.training(plain=kind == "plain")
    recipe = dataclasses.replace(settings.recipe, batch_size=batch)
    return _of_method(TRAINING, kind, recipe, problem, layout)


def _of_method(row: str, kind: str, method: Unlearner, problem: Problem, layout: Layout) -> Job:
    def lower(batch: int) -> jax.stages.Lowered:
        sized = dataclasses.replace(method, batch_size=batch)
        with warnings.catch_warnings():
            # Of an original that is not trained, and of padding that plain networks let in.
            warnings.simplefilter("ignore")
            found = shapes_of(sized, problem)
            of_step = kind in ("step", "plain")
            return (shapes.lower_step if of_step else shapes.lower_scan)(found, layout)

    shards = layout.batch_shards
    batch = padded(method.batch_size, shards)
    padding = batch - method.batch_size
    return Job(row, kind, batch, layout.num_models, shards, lower, padding)


def _passes(method: Unlearner, problem: Problem, layout: Layout) -> list[Pass]:
    """What few examples and fresh weights tell of an edit's passes."""
    variables = problem.model.init(jax.random.key(0))
    given = dataclasses.replace(sample(problem), variables=variables, initial=variables)
    with warnings.catch_warnings():
        # Of what made-up numbers lead to.
        warnings.simplefilter("ignore")
        try:
            return list_passes(method, given, layout)
        except Exception as error:
            # An edit of one's own may not bear them; the table then says so.
            return [Pass("edit", padded(method.batch_size, layout.batch_shards), _raising(error))]


def _raising(error: Exception) -> Callable[[int], jax.stages.Lowered]:
    def lower(batch: int) -> jax.stages.Lowered:
        raise error

    return lower


def _of_pass(row: str, one: Pass, layout: Layout) -> Job:
    # Several passes of a method have names of their own.
    name = f"{row} {one.name.strip('_')}"
    return Job(name, "pass", one.batch, 1, layout.batch_shards, one.lower)


def shapes_of(method: Unlearner, problem: Problem) -> RunShapes:
    """Shapes of a run; see :func:`jax_unlearn.engine.shapes.run_shapes`."""
    return shapes.run_shapes(method, problem, sample=sample(problem))


def _evaluation(settings: Settings, layout: Layout) -> Job:
    lower = functools.partial(shapes.lower_evaluation, settings.model, settings.image_shape, layout)
    shards = layout.batch_shards
    batch = padded(BATCH_SIZE, shards)
    return Job("predictions", "evaluation", batch, 1, shards, lambda size: lower(batch_size=size))


def padded(batch: int, shards: int) -> int:
    """Rows of a batch, with what fills it up for the devices that share it."""
    return -(-batch // shards) * shards
