"""The search: request by request, method by method, group of trials by group."""

import itertools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from jax_unlearn.bank import Record
from jax_unlearn.bank.changed import plan_for
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import Plan, unlearned_member
from jax_unlearn.bank.plan_filling import fill_originals, fill_plan
from jax_unlearn.bank.request_models import fill_oracles, resolve_request
from jax_unlearn.data import step_before
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.display import display_name

from ..shared.hyperparameters import name_method
from ..shared.setting_up import Setup
from .choosing import Judgement, choose, judge
from .measuring import Yardstick
from .proposals import group_sizes, propose
from .run_file import RunFile
from .running import Bench
from .space import published_point, space_of


def search_requests(
    plan: Plan, setup: Setup, trials: int, folder: pathlib.Path, terminal: Console
) -> dict[str, dict[str, Any]]:
    """Search every method on every request.

    Args:
      plan: what all models share.
      setup: the experiment; its seeds are those of the search.
      trials: per method and request.
      folder: keeps the runs.
      terminal: told of each method that is done.

    Returns:
      ``forgets``: by request, what counts as having forgotten; ``requests``: by request and method,
      the entry of :func:`experiments.search.choosing.choose`, with the ``seconds`` it took.
    """
    file = RunFile(folder / "trials.jsonl")
    seeds, texts = setup.experiment.seeds, setup.experiment.requests
    forgets: dict[str, str] = {}
    found: dict[str, dict[str, Any]] = {}
    left: dict[str, dict[str, list[Record]]] = {}
    for text in texts:
        own = plan_for(plan, text)
        originals = fill_originals(own, seeds)
        forgetting = resolve_request(own, text)
        oracles = fill_oracles(own, forgetting, seeds)
        yardstick = Yardstick(own, forgetting, originals, oracles)
        starts = left.get(step_before(text)) or dict.fromkeys(setup.arguments[text], originals)
        bench = Bench(own, forgetting, seeds, starts, yardstick, file)
        forgets[text], found[text] = str(bench.forgotten), {}
        prose = describe_request(text)
        terminal.print(f"{prose}: forgotten where {forgets[text]}", highlight=False, soft_wrap=True)
        for name, fixed in setup.arguments[text].items():
            with plan.phase(f"{prose}: {display_name(name)}") as bar:
                found[text][name] = search_method(bench, name, fixed, trials, bar)
            told = describe(prose, name, found[text][name])
            terminal.print(told, markup=False, highlight=False, soft_wrap=True)
        if text in map(step_before, texts):
            left[text] = _left(own, forgetting, starts, found[text])
    return {"forgets": forgets, "requests": found}


def _left(
    plan: Plan,
    forgetting: Forgetting,
    starts: Mapping[str, list[Record]],
    entries: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[Record]]:
    """What the best settings leave of a step's models, from which the next step begins."""
    models = {}
    for name, entry in entries.items():
        method = name_method(name, forgetting.text, entry["arguments"])
        members = [unlearned_member(plan, forgetting, record, method) for record in starts[name]]
        models[name] = fill_plan(plan, f"{describe_request(forgetting.text)}: {name}", members)
    return models


def search_method(
    bench: Bench,
    name: str,
    fixed: Mapping[str, Any],
    count: int,
    on_step: Callable[[int, int], None],
) -> dict[str, Any]:
    """Search one method on one request.

    Args:
      bench: where its settings are tried.
      name: the method.
      fixed: hyperparameters that are set.
      count: number of trials, those kept from before included.
      on_step: called with the number of steps of a group done and planned.
    """
    space, published = space_of(name), published_point(name, fixed)
    trials: list[Judgement] = []
    for size in group_sizes(count):
        proposed = propose(space, published, [trial.tried() for trial in trials], size)
        points = dict(enumerate(proposed, len(trials)))
        # What was begun goes on as it was, even where another sampler would propose otherwise.
        points |= {t: run.values for (t, _), run in bench.runs(name).items() if t in points}
        bench.fill(name, fixed, points, on_step)
        runs = bench.runs(name)
        trials += [judge([runs[t, s] for s in bench.seeds], bench.forgotten) for t in points]
    wanted = itertools.product(range(count), bench.seeds)
    seconds = sum(bench.runs(name)[key].seconds for key in wanted)
    return choose(name, fixed, trials) | {"seconds": round(seconds, 1)}


def describe(request: str, name: str, entry: Mapping[str, Any]) -> str:
    """What came of a method's search, in a line."""
    values = ", ".join(f"{field}={entry['arguments'][field]:.3g}" for field in space_of(name))
    counts = ", ".join(f"{entry[key]} {key}" for key in ("trials", "collapsed", "unforgotten"))
    if "failed" in entry:
        told = f"{entry['failed']}; the smallest gap is {entry['gap']:.2f} with {values}"
    else:
        told = "; ".join([f"gap {entry['gap']:.2f} with {values}", *entry["at_bounds"]])
    return f"{request}, {display_name(name)}: {told} ({counts}, {entry['seconds']:.0f} s)"
