"""A user's method is tried before anything is trained: what it raises is one line."""

import dataclasses

import numpy as np
import pytest

from experiments.run import command as run_command
from experiments.shared.dry_run import try_out
from jax_unlearn.core import InputError
from jax_unlearn.registry import METHODS, find_method
from jax_unlearn.testing import small_problem

TEXT = """
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import Unlearner
from jax_unlearn.core import FORGET, RETAIN
from jax_unlearn.methods.descent import Descent


class Works(Descent):
    epochs: int = 1
    batch_size: int = 10
    roles = (RETAIN, FORGET)

    def losses(self, logits, batch, extra, info):
        return logits.sum(-1)


class Looks(Works):
    def init(self, key, problem):
        for leaf in jax.tree.leaves(problem.variables):
            assert float(np.asarray(leaf).sum()) < 1e6
        return super().init(key, problem)


class FailsInInit(Works):
    def init(self, key, problem):
        raise KeyError("params")


class FailsInStep(Works):
    def losses(self, logits, batch, extra, info):
        return logits + batch.nothing


class FailsInTwoLines(Works):
    def losses(self, logits, batch, extra, info):
        raise ValueError("first\\n  second")


class Branches(Works):
    strength: float = 1.0

    def losses(self, logits, batch, extra, info):
        return logits.sum(-1) if self.strength > 0 else logits.mean(-1)


class FailsInBatches(Works):
    def batch_indices(self, key, epoch, pool):
        return [][epoch]


class FailsInPool(Works):
    def pool(self, key, problem):
        return problem.unknown


class Widens(Works):
    def step(self, model, state, batch, info):
        state, reported = super().step(model, state, batch, info)
        return jax.tree.map(lambda x: x[None], state), reported


class OneShot(Unlearner):
    def init(self, key, problem):
        raise RuntimeError("edit fails")
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    # Of a name that no other test's module has: Python keeps modules by their names.
    path = tmp_path_factory.mktemp("user") / "tried_out.py"
    path.write_text(TEXT)
    return path


def tried(name):
    try_out(name, find_method(name)(), dataclasses.replace(small_problem(), variables=None))


@pytest.mark.parametrize("name", ["Works", "Looks"])
def test_a_method_that_works_passes_also_one_that_looks_at_numbers(file, name):
    tried(f"{file}:{name}")


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_the_library_would_pass(name):
    problem = dataclasses.replace(small_problem(), variables=None)
    constructor = find_method(name)
    fields = {field.name for field in dataclasses.fields(constructor())}
    small = {key: value for key, value in {"batch_size": 10, "epochs": 1}.items() if key in fields}
    try_out(name, constructor(**small), problem)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("FailsInInit", "its init raises KeyError in line {}: 'params'; try it with jax_unlearn."),
        ("FailsInStep", "its step raises AttributeError in line {}: 'Batch' object has no attr"),
        ("FailsInTwoLines", "its step raises ValueError in line {}: first second; try it with"),
        ("Branches", "its step raises TracerBoolConversionError in line {}: Attempted boolean"),
        ("FailsInBatches", "its batch_indices raises IndexError in line {}: list index out of"),
        ("FailsInPool", "its pool raises AttributeError in line {}: 'Problem' object has no at"),
        ("Widens", "state: a step of Widens changes"),
        ("OneShot", "its init raises RuntimeError in line {}: edit fails; try it with"),
    ],
)
def test_what_a_method_raises_is_one_line_with_the_place(file, name, says):
    with pytest.raises(InputError) as caught:
        tried(f"{file}:{name}")
    message = str(caught.value)
    lines = TEXT.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"class {name}("))
    body = [i for i, line in enumerate(lines) if i > begin and line.startswith("        ")]
    assert message.startswith(f"methods='{file}:{name}': {says.format(body[0] + 1)}")
    assert "\n" not in message
    if name != "Widens":
        assert not isinstance(caught.value.__cause__, InputError)
        assert "check_method" in message


@pytest.mark.parametrize("written", ["tried_out.py", "./tried_out.py", "tried_out"])
def test_the_place_is_told_however_the_file_is_named(file, monkeypatch, written):
    monkeypatch.chdir(file.parent)
    monkeypatch.syspath_prepend(file.parent)
    with pytest.raises(InputError) as caught:
        tried(f"{written}:Branches")
    line = 1 + TEXT.splitlines().index(
        "        return logits.sum(-1) if self.strength > 0 else logits.mean(-1)"
    )
    assert f" in line {line}: Attempted boolean" in str(caught.value)
    # The place that JAX names is where the library traces.
    assert "dry_run" not in str(caught.value)


@pytest.mark.parametrize("name", ["FailsInStep", "FailsInPool"])
def test_the_command_refuses_it_and_writes_nothing(refused, file, images_npz, tmp_path, name):
    flags = ("--data.name", images_npz, "--requests", "class:3", "--training.batch-size", 20)
    out = tmp_path / "out"
    message = refused(
        run_command.main, *flags, "--methods", "finetune", f"{file}:{name}",
        "--set", "finetune.batch_size=20", "--out", out,
    )  # fmt: skip
    assert f"methods='{file}:{name}': its " in message
    assert "AttributeError in line" in message
    assert not out.exists()


def test_pixels_are_not_copied_to_try_a_method_out(file):
    """A pool of all images would be a second copy of the data set."""
    problem = small_problem()
    seen = []

    class Watching(type(find_method(f"{file}:Works")())):
        def pool(self, key, problem):
            seen.append(np.size(problem.forget.image))
            return super().pool(key, problem)

    try_out("watching", Watching(), dataclasses.replace(problem, variables=None))
    assert seen == [0]
