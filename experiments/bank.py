r"""Train the models that a strong audit needs: `python -m experiments.bank --preset NAME`.

For every request, `--count` originals, oracles and models unlearned by every method, as many at a
time as there are devices; what the bank holds is not trained again, and what was cut off goes on
when the same command is given again. `--probes N` also probes the first N of each, for what
predictions do not tell (relearn time, features); `--subsets N` adds models trained on random halves
of the data, for memorization scores; `--watch` records the forget accuracy of the unlearned models
after every epoch. Several processes, on several machines that share the folder, may fill one bank
at once.

  python -m experiments.bank --preset quickstart --count 128 --methods natmu salun --out runs/bank
  python -m experiments.bank --preset quickstart --count 128 --probes 16 --subsets 64
  python -m experiments.audit --oracles runs/bank
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.console import Console

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.bank import (
    RECIPE_VERSION,
    Bank,
    Member,
    Record,
    describe_data,
    describe_method,
    fill,
    ids_digest,
    open_bank,
)
from jax_unlearn.bank.subset_models import subset_rows
from jax_unlearn.core import InputError, Model, Variables, check_number
from jax_unlearn.engine import RunSpec
from jax_unlearn.engine.signals import deferred
from jax_unlearn.sharding import parse_mesh

from . import pipeline
from .checks import check_fit
from .command import console, guarded, program, use_cpu_devices
from .config import Experiment, build_method, method_arguments, validate
from .execution import ORDINARY, Execution, profiled
from .pipeline import Forgetting, make_key
from .probes import take_probes
from .progress import phases
from .run import read_command

Phase = Callable[[str], Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all models of a bank share.

    Attributes:
      bank: where they go.
      experiment: the settings.
      dataset: the data.
      model: the network.
      mesh: one model for each place on its axis ``model``.
      seconds: time between two checkpoints.
      phase: opens a progress bar.
      watch: whether accuracies of unlearned models are recorded after every epoch.
    """

    bank: Bank
    experiment: Experiment
    dataset: data.Dataset
    model: Model
    mesh: jax.sharding.Mesh
    seconds: float
    phase: Phase
    watch: bool = False


def ingredients(plan: Plan, kind: str, seed: int, removed: np.ndarray | None, **more: Any) -> dict:
    """What determines a model, see :func:`jax_unlearn.bank.record.address_of`."""
    settings = plan.experiment
    recipe = describe_method(settings.training.recipe())
    return {
        "kind": kind,
        "data": plan.dataset.fingerprint,
        "removed": None if removed is None else ids_digest(removed),
        "request": None,
        "network": dataclasses.asdict(settings.network),
        "recipe": {**recipe, "padding": settings.data.padding, "flip": settings.data.flip},
        "seed": seed,
        "version": RECIPE_VERSION,
        "method": None,
        "original": None,
        **more,
    }


def _problem(plan: Plan, **parts: Any) -> ju.Problem:
    return ju.Problem(
        model=plan.model,
        num_classes=plan.dataset.num_classes,
        augment=ju.crop_and_flip(plan.experiment.data.padding, plan.experiment.data.flip),
        **parts,
    )


def _trained(plan: Plan, seed: int, purpose: str, examples: ju.Examples) -> RunSpec:
    initial = plan.model.init(make_key(seed, "initial"))
    problem = _problem(plan, variables=initial, initial=initial, forget=None, retain=examples)
    # The key that `train` gives its run, so that this is the model of `experiments.run`.
    key = jax.random.split(make_key(seed, purpose))[1]
    return RunSpec(plan.experiment.training.recipe(), problem, key)


def original_member(plan: Plan, seed: int) -> Member:
    """A model trained on all data."""
    made_of = ingredients(plan, "original", seed, None)
    return Member(made_of, lambda: _trained(plan, seed, "original", plan.dataset.train))


def oracle_member(plan: Plan, forgetting: Forgetting, seed: int) -> Member:
    """A model retrained without the forget set, from the original's initial weights."""
    request = forgetting.request.hash
    made_of = ingredients(plan, "oracle", seed, forgetting.forget.id, request=request)
    purpose = f"oracle/{forgetting.slug}"
    return Member(made_of, lambda: _trained(plan, seed, purpose, forgetting.retain))


def subset_member(plan: Plan, seed: int) -> Member:
    """A model trained on a random half of the data, for memorization scores."""
    kept = subset_rows(seed, len(plan.dataset.train.label))
    examples = data.take(plan.dataset.train, kept)
    removed = np.delete(plan.dataset.train.id, kept)
    made_of = ingredients(plan, "subset", seed, removed)
    return Member(made_of, lambda: _trained(plan, seed, "half", examples))


def unlearned_member(
    plan: Plan, forgetting: Forgetting, original: Record, name: str, arguments: Mapping[str, Any]
) -> Member:
    """An original from which a method has removed the forget set."""
    method = build_method(name, arguments)
    seed = original.ingredients["seed"]

    def job() -> RunSpec:
        initial = plan.model.init(make_key(seed, "initial"))
        problem = _problem(
            plan,
            variables=plan.bank.weights(original, initial),
            initial=initial,
            forget=forgetting.forget,
            retain=forgetting.retain if method.needs_retain else None,
        )
        key = make_key(seed, "unlearn", forgetting.slug, name)
        return RunSpec(method, problem, key)

    made_of = ingredients(
        plan,
        "unlearned",
        seed,
        forgetting.forget.id,
        request=forgetting.request.hash,
        method={"name": name, "arguments": describe_method(method)["arguments"]},
        original=original.address,
    )
    return Member(made_of, job)


def fill_plan(
    plan: Plan,
    title: str,
    members: list[Member],
    watch: Callable[[Variables], dict[str, float]] | None = None,
) -> list[Record]:
    """Train those members that the bank lacks."""
    with plan.phase(title) as on_done, deferred() as interrupted:
        return fill(
            plan.bank,
            members,
            plan.model,
            (plan.dataset.train.image, plan.dataset.test.image),
            mesh=plan.mesh,
            loop=plan.experiment.loop,
            watch=watch,
            on_done=on_done,
            interrupted=interrupted,
            checkpoint_seconds=plan.seconds,
        )


def fill_request(
    plan: Plan, text: str, originals: list[Record]
) -> tuple[Forgetting, dict[str, list[Record]]]:
    """Oracles of a request and the models that every method makes of the originals.

    Returns:
      The request, and records by 'oracle' and by method.
    """

    def logits_of(seeds: list[int]) -> list[np.ndarray]:
        members = [original_member(plan, seed) for seed in seeds]
        records = fill_plan(plan, f"{text}: scoring models", members)
        return [plan.bank.outputs(record)[0].logits for record in records]

    forgetting = pipeline.resolve_by(plan.dataset, text, logits_of)
    plan.bank.add_request(
        forgetting.request.hash, forgetting.forget.id, forgetting.test_forgotten, text
    )
    seeds = [record.ingredients["seed"] for record in originals]
    oracles = [oracle_member(plan, forgetting, seed) for seed in seeds]
    records = {"oracle": fill_plan(plan, f"{forgetting.slug}: oracles", oracles)}
    watch = pipeline.watcher(plan.model, plan.dataset, forgetting) if plan.watch else None
    for name, arguments in method_arguments(plan.experiment, text).items():
        members = [
            unlearned_member(plan, forgetting, original, name, arguments) for original in originals
        ]
        records[name] = fill_plan(plan, f"{forgetting.slug}: {name}", members, watch)
    return forgetting, records


def count_unwatched(records: list[Record]) -> int:
    """Count the models whose history holds no forget accuracy."""
    histories = [record.outcome.get("history", []) for record in records]
    return sum(not any("forget_accuracy" in entry for entry in h) for h in histories)


def probe_request(plan: Plan, forgetting: Forgetting, records: list[Record]) -> int:
    """Probe those models of a request that the bank has no probe of, and count them."""
    with plan.phase(f"{forgetting.slug}: probes") as on_done, deferred() as interrupted:
        return take_probes(
            plan.bank,
            plan.model,
            plan.experiment.training,
            forgetting,
            records,
            num_classes=plan.dataset.num_classes,
            on_done=on_done,
            interrupted=interrupted,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Fill a bank of models.

    Attributes:
      experiment: the settings; its seeds are not used.
      count: how many originals, oracles and unlearned models of each method, of seeds 0, 1, ...
      subsets: how many models trained on random halves of the data, for memorization scores.
      probes: how many originals, oracles and unlearned models of each method to probe, for
        relearn time, linear probe, CKA and ZRF.
      watch: record accuracies of unlearned models after every epoch, for the forget accuracy on the
        way; models that the bank holds already are left as they are.
      out: folder of the bank; new, or a bank of the same data.
      data_dir: the same as --data.dir.
      preset: settings to begin with; flags given beside it change them.
      config: config.json of an earlier run to begin with, in place of a preset.
      execution: how the machine is used.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    count: int = 8
    subsets: int = 0
    probes: int = 0
    watch: bool = False
    out: str = "runs/bank"
    data_dir: str | None = None
    preset: str = ""
    config: str = ""
    execution: Annotated[Execution, tyro.conf.arg(name="")] = ORDINARY


def execute(command: Command, terminal: Console) -> None:
    """Fill the bank and say what it holds."""
    experiment = command.experiment
    validate(experiment)
    command.execution.validate()
    alone = Execution()
    joined = ("coordinator", "num_processes", "process_id")
    if any(getattr(command.execution, name) != getattr(alone, name) for name in joined):
        raise InputError(
            "coordinator, num_processes, process_id: processes that fill a bank share nothing but "
            "its folder; start the command several times without these flags"
        )
    if command.execution.placement != "device":
        raise InputError(
            f"placement={command.execution.placement!r}: a bank trains on data that fits on the "
            "device; leave it at device, or use experiments.run"
        )
    check_number("count", command.count, low=1, whole=True)
    check_number("subsets", command.subsets, low=0, whole=True)
    check_number("probes", command.probes, low=0, high=command.count, whole=True)
    use_cpu_devices(experiment.cpu_devices, keep_memory=experiment.keeps_memory)
    # Without a word on it each device trains a model of its own.
    mesh = parse_mesh(command.execution.mesh or f"model={jax.device_count()}")
    dataset = pipeline.load_data(experiment)
    arguments = {text: method_arguments(experiment, text) for text in experiment.requests}
    check_fit(experiment, dataset, arguments)
    bank = open_bank(command.out, data=describe_data(dataset), create=True)
    model = pipeline.make_network(experiment, dataset)
    with profiled(command.execution.profile), phases(terminal) as phase:
        seconds = command.execution.checkpoint_seconds
        plan = Plan(bank, experiment, dataset, model, mesh, seconds, phase, command.watch)
        seeds = range(command.count)
        originals = fill_plan(plan, "originals", [original_member(plan, s) for s in seeds])
        if command.subsets:
            fill_plan(plan, "subsets", [subset_member(plan, s) for s in range(command.subsets)])
        for text in experiment.requests:
            forgetting, filled = fill_request(plan, text, originals)
            for name, records in filled.items():
                spent = sum(record.outcome["run_seconds"] for record in records)
                terminal.print(f"{text} {name}: {len(records)} models, {spent:.1f} s of training")
                unwatched = 0 if name == "oracle" else count_unwatched(records)
                if command.watch and unwatched:
                    terminal.print(
                        f"{text} {name}: {unwatched} of {len(records)} models were trained before "
                        "without --watch; for accuracies per epoch fill a new bank"
                    )
            if command.probes:
                groups = (originals, *filled.values())
                chosen = [record for group in groups for record in group[: command.probes]]
                probed = probe_request(plan, forgetting, chosen)
                terminal.print(f"{text}: probed {probed} models, {len(chosen)} asked for")
    terminal.print(f"bank: {command.out}, {len(bank.addresses())} models")


def main() -> None:
    """Read the command line and fill a bank."""
    guarded(lambda: execute(read_command(Command, "experiments.bank", __doc__), console()))


if __name__ == "__main__":
    program(main)
