"""Two processes run one experiment: one folder, one voice, the numbers of one process."""

import os
import subprocess
import sys

import numpy as np
import pytest

from experiments.run import command as run_command
from jax_unlearn.bank import open_bank

FLAGS = (
    *("--data.train-size", 300, "--data.test-size", 100, "--data.padding", 0, "--data.no-flip"),
    *("--network.width", 8, "--training.epochs", 1, "--training.batch-size", 50),
    *("--requests", "class:3", "--methods", "natmu", "--seeds", 0, "--oracles", 2),
    *("--set", "natmu.batch_size=50", "natmu.epochs=1", "natmu.optimizer=sgd"),
)
PARTS = ("original", "oracle", "oracle", "unlearned")


def start_two(coordinator, out, *own):
    """Start two processes with two devices each, and flags of their own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "OMPI_"))}
    environment |= {"JAX_PLATFORMS": "cpu", "PJRT_NPROC": "32"}
    command = [sys.executable, "-m", "experiments.run", *FLAGS, "--out", out, "--cpu-devices", 2]
    command += ["--coordinator", coordinator, "--num-processes", 2, "--process-id"]
    return [
        subprocess.Popen(
            [*map(str, command), str(rank), *map(str, flags)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, flags in enumerate(own)
    ]


@pytest.fixture(scope="module")
def together(tmp_path_factory, new_coordinator, wait_for_all):
    """The folder of two processes, and what each of them printed."""
    out = tmp_path_factory.mktemp("together") / "run"
    ended = wait_for_all(start_two(new_coordinator(), out, (), ()))
    for code, _, complaints in ended:
        assert code == 0, complaints[-3000:]
    return out, [told for _, told, _ in ended]


def test_processes_with_other_settings_all_end_and_name_them(
    tmp_path, new_coordinator, wait_for_all
):
    started = start_two(new_coordinator(), tmp_path / "run", (), ("--training.epochs", 4))
    ended = wait_for_all(started)
    assert [code for code, _, _ in ended] == [2, 2]
    assert (
        "error: process 1: started with other settings than process 0: training.epochs is 1 for "
        "process 0 and 4 here; start all processes with the same\n"
    ) in ended[0][2]
    assert not (tmp_path / "run").exists()


def test_process_0_alone_prints_tables_and_the_report_s_place(together):
    out, printed = together
    assert f"report: {out / 'class-3' / 'report.html'}" in printed[0]
    # What is left are lines of the communication library.
    assert "gap" in printed[0]
    assert "gap" not in printed[1]
    assert "report" not in printed[1]


def test_every_model_is_stored_once_and_its_line_is_written_once(together):
    out, printed = together
    kinds = [record.ingredients["kind"] for record in open_bank(out / "bank").records()]
    assert kinds == sorted(PARTS, key=("oracle", "original", "unlearned").index)
    assert printed[0].count(": finished, ") == len(PARTS)
    assert ": finished, " not in printed[1]


def test_predictions_are_those_of_one_process(together, call, tmp_path):
    assert call(run_command.main, *FLAGS, "--out", tmp_path / "alone").code == 0
    two, one = (open_bank(path / "bank") for path in (together[0], tmp_path / "alone"))
    assert two.addresses() == one.addresses()
    for address in two.addresses():
        for mine, other in zip(two.outputs(address), one.outputs(address), strict=True):
            np.testing.assert_array_equal(mine.id, other.id)
            np.testing.assert_allclose(mine.logits, other.logits, rtol=1e-4, atol=1e-4)
