"""What is lowered of an edit for devices that are not there is what it calls on those that are."""

import dataclasses
import re

import jax
import pytest

import jax_unlearn as ju
from jax_unlearn.engine.passes import list_passes
from jax_unlearn.functional import curvature, gradients, importances
from jax_unlearn.sharding import Layout
from jax_unlearn.testing import small_problem

# By method the modules and jitted functions of its passes.
EDITS = {
    "ssd": (ju.ssd(), {"_add_examples": importances}),
    "ssd, batches": (ju.ssd(importance="batch", batch_size=5), {"_add_batch": importances}),
    "lfssd": (ju.lfssd(), {"_add_examples": importances}),
    "Fisher": (ju.fisher_forgetting(), {"_add_examples": importances}),
    "Fisher, batches": (
        ju.fisher_forgetting(fisher="expected_batch", batch_size=5),
        {"_add_batch": importances},
    ),
    "influence": (
        ju.influence(batch_size=5, damping=100.0),
        {"_add_gradient": gradients, "_add_product": curvature},
    ),
    "influence, WoodFisher": (
        ju.influence(batch_size=5, solver="woodfisher", samples=6),
        {"_add_gradient": gradients, "_take_in": curvature},
    ),
}


class Lowered:
    """A jitted function that also keeps the program of its first call, and of how many rows."""

    def __init__(self, function, devices):
        self.function, self.devices = function, devices
        self.program, self.rows = None, 0

    def __call__(self, *given, **static):
        if self.program is None:
            self.program = text(self.function.lower(*given, **static), self.devices)
            self.rows = len(jax.tree.leaves(given)[-1])
        return self.function(*given, **static)


def text(lowered, devices):
    """A program, without the names that come from Python."""
    found = re.sub(r"module @\S+", "module", lowered.as_text())
    found = re.sub(r"@\w+", "@f", found)
    found = re.sub(r' *jax.result_info = "[^"]*"|.*sdy.mesh @f = <\[\]>.*\n', "", found)
    # What lies whole on every device may say so or not, and on one everything does.
    axis = r"\{\}" if devices > 1 else r'\{(?:"data")?\}'
    whole = rf"sdy.sharding = #sdy.sharding<@f, \[(?:{axis}(?:, )?)*\]>"
    return re.sub(rf" *\{{{whole}(?:, )?|{whole}(?:, )?", " {", found).replace(" {}", "")


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("name", EDITS)
def test_passes_are_those_of_a_run(monkeypatch, name, devices):
    edit, modules = EDITS[name]
    problem, mesh = small_problem(), ju.make_mesh(devices)
    found = {one.name: one for one in list_passes(edit, problem, Layout(mesh))}
    called = {
        function: Lowered(getattr(module, function), devices)
        for function, module in modules.items()
    }
    for function, module in modules.items():
        monkeypatch.setattr(module, function, called[function])
    ju.run(edit, problem, jax.random.key(0), mesh=mesh)
    assert sorted(found) == sorted(called)
    for function, one in called.items():
        assert text(found[function].lower(one.rows), devices) == one.program


def test_a_solver_is_listed_where_both_sets_are_equal():
    """Their mean gradients differ by nothing then, and an edit would have nothing to solve."""
    problem = small_problem()
    problem = dataclasses.replace(problem, retain=problem.forget)
    found = list_passes(ju.influence(batch_size=5), problem, Layout(ju.make_mesh(1)))
    assert [one.name for one in found] == ["_add_gradient", "_add_product"]
