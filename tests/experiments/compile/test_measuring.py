"""A program is compiled once, or a line says why it is not."""

import jax
import jax.numpy as jnp
import pytest

from experiments.compile.derived import derive
from experiments.compile.jobs import Job
from experiments.compile.measuring import measure
from experiments.compile.tables import costs
from experiments.shared.chip import chips


def test_the_very_program_that_another_is_is_not_compiled_again():
    calls = []

    def job(row, factor):
        def lower(batch):
            calls.append(row)
            shape = jax.ShapeDtypeStruct((batch, 3), jnp.float32)
            return jax.jit(lambda x: factor * x).lower(shape)

        return Job(row, "step", 4, 1, 1, lower)

    chip = chips()["h100"]
    known = {}
    for row, factor in (("training", 2), ("finetune", 2), ("other", 3), ("salun", 2)):
        made = job(row, factor)
        known[made.name] = measure(made, chip, "float32", (3, 3), known)
    same = [record.get("same_as") for record in known.values()]
    assert same == [None, "training step b4", None, "training step b4"]
    first, second = (known[f"{row} step b4"] for row in ("training", "finetune"))
    assert second == first | {"same_as": "training step b4"}
    derive(known)
    assert [row[1] for row in costs(known)][1::2] == ["= training step b4"] * 2


class Refused:
    """A program whose compiler answers with these errors before it compiles."""

    def __init__(self, *errors):
        self.errors, self.tried = errors, []
        self.job = Job("training", "step", 4, 1, 1, lambda batch: self)

    def as_text(self):
        return "program"

    def compile(self, compiler_options=None):
        self.tried.append(compiler_options)
        if len(self.tried) <= len(self.errors):
            raise RuntimeError(self.errors[len(self.tried) - 1])
        return jax.jit(lambda x: x + 1).lower(jax.ShapeDtypeStruct((4,), "float32")).compile()


@pytest.mark.parametrize(
    ("name", "error", "refused"),
    [
        ("h100", "INTERNAL: no tile sizes satisfy the product", False),
        ("h100", "RESOURCE_EXHAUSTED: no room", True),
        ("v5e", "INTERNAL: no tile sizes satisfy the product", True),
    ],
)
def test_what_no_gpu_could_choose_otherwise_is_the_librarys(name, error, refused):
    lowered = Refused(error)
    record = measure(lowered.job, chips()[name], "float32", (3, 3))
    if refused:
        assert (record["error"], lowered.tried) == (error, [None])
    else:
        assert (record["error"], record["own_products_refused"]) == (None, error)
        assert lowered.tried == [None, {"xla_gpu_enable_triton_gemm": False}]


def test_what_the_librarys_products_do_not_mend_is_the_first_error():
    lowered = Refused("first", "second")
    assert measure(lowered.job, chips()["h100"], "float32", (3, 3))["error"] == "first"
    assert len(lowered.tried) == 2
