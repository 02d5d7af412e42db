"""Several processes: how they find each other, and that they compute what one process does."""

import importlib.util
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.engine import distributed

WORKER = pathlib.Path(__file__).with_name("distributed_worker.py")
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
TPU = {"TPU_ML_PLATFORM": "JAX"}
# One method for each way of taking a step: descent, a teacher beside the network, a mask over its
# weights, mixed images, sensitivity to the input; and of editing once: by importances and drawn
# numbers. Other edits make the same passes. The run that is cut off is fine-tuning.
METHODS = ("retrain", "bad_teacher", "salun", "natmu", "mumis", "fisher_forgetting")


def start(coordinator, number, rank, task, folder):
    command = [sys.executable, WORKER, coordinator, number, rank, task, folder]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "OMPI_"))}
    return subprocess.Popen(
        list(map(str, command)),
        env={**clean, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def processes():
    """Starts processes that do not outlive the test."""
    started = []

    def launch(*arguments):
        started.append(start(*arguments))
        return started[-1]

    yield launch
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def results(tmp_path_factory, new_coordinator, wait_for_all):
    """What two processes with two devices each computed, and this one with four."""
    folder = tmp_path_factory.mktemp("results")
    address = new_coordinator()
    started = [start(address, 2, rank, "all", folder) for rank in (0, 1)]
    spec = importlib.util.spec_from_file_location(WORKER.stem, WORKER)
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    one = worker.compute(0, 1, folder)
    for code, output, _ in wait_for_all(started):
        assert code == 0, output[-3000:]
    return [dict(np.load(folder / f"{rank}.npz")) for rank in (0, 1)], one


def assert_as_with_one_process(name, results):
    two, one = results
    assert np.isfinite(one[name]).all()
    np.testing.assert_array_equal(two[0][name], two[1][name])
    # The order of a sum over devices is all that differs.
    np.testing.assert_allclose(two[0][name], one[name], rtol=1e-5, atol=1e-6)


def test_each_process_has_its_devices_and_sees_all(results):
    two, one = results
    assert [part["devices"].tolist() for part in two] == [[4, 2], [4, 2]]
    assert one["devices"].tolist() == [4, 4]


def test_process_0_is_the_leader(results):
    two, one = results
    assert [bool(part["leader"]) for part in (*two, one)] == [True, False, True]


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_train_as_one_with_as_many_devices(name, results):
    assert_as_with_one_process(name, results)
    assert_as_with_one_process(f"{name} history", results)


@pytest.mark.parametrize("name", ["convnet", "predictions"])
def test_a_convolutional_network_and_its_predictions_are_those_of_one_process(name, results):
    assert_as_with_one_process(name, results)


@pytest.mark.parametrize("number", [2, 1])
def test_a_run_that_a_signal_cut_off_goes_on_bit_for_bit(number, results):
    of_one = results[0][0] if number == 2 else results[1]
    assert not of_one["ended at once"]
    assert of_one["first step of the second part"] > 1
    np.testing.assert_array_equal(of_one["resumed"], of_one["whole"])
    assert_as_with_one_process("resumed", results)


@pytest.mark.parametrize("job", range(5))
def test_runs_side_by_side_on_own_devices_are_those_of_one_process(job, results):
    two, one = results
    assert f"job {job}" not in two[1 - job % 2]
    np.testing.assert_array_equal(two[job % 2][f"job {job}"], one[f"job {job}"])


def test_when_a_process_is_killed_in_training_the_other_ends_with_an_error(
    processes, new_coordinator, wait_for_all, tmp_path
):
    address = new_coordinator()
    leader, other = (processes(address, 2, rank, "endless", tmp_path) for rank in (0, 1))
    # Ends without the line when the process does.
    heard = list(itertools.takewhile(lambda line: "training" not in line, other.stdout))
    assert other.poll() is None, heard[-20:]
    other.send_signal(signal.SIGKILL)
    ((code, output, _),) = wait_for_all([leader])
    assert code != 0, output[-3000:]


@pytest.fixture
def joined(monkeypatch):
    """What JAX is told to join, with an environment that says nothing."""
    for name in os.environ:
        if name.startswith(("SLURM_", "OMPI_", "TPU_", "JAX_COORD", "JAX_PROCESS", "JAX_NUM")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    calls = []

    def join(coordinator, num_processes, process_id, *, local_device_ids, **_):
        calls.append((coordinator, num_processes, process_id, local_device_ids))

    monkeypatch.setattr(jax.distributed, "initialize", join)
    return calls


@pytest.fixture
def environment(monkeypatch):
    """Sets variables."""

    def to(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return to


@pytest.fixture
def answering():
    """The address of a process 0 that answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_without_any_sign_of_others_a_process_stays_alone(joined):
    distributed.initialize()
    assert joined == []


@pytest.mark.parametrize(
    "variables",
    [
        {**SLURM, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
        {k: v for k, v in SLURM.items() if k != "SLURM_STEP_NODELIST"},
        {**TPU, "TPU_WORKER_HOSTNAMES": "localhost"},
        {**TPU, "TPU_SKIP_MDS_QUERY": "1"},
    ],
    ids=["one task", "batch script", "TPU of one host", "no TPU"],
)
def test_a_launcher_of_one_process_leaves_it_alone(variables, joined, environment):
    environment(variables)
    distributed.initialize()
    assert joined == []


def test_one_process_stays_alone_whatever_the_environment_says(joined, environment):
    environment(SLURM)
    distributed.initialize(num_processes=1)
    assert joined == []


def test_a_process_of_slurm_alone_on_its_node_takes_all_of_its_devices(joined, environment):
    environment(SLURM)
    distributed.initialize()
    assert joined == [(None, 2, 1, [])]


def test_processes_that_share_a_node_leave_the_choice_of_devices_to_jax(joined, environment):
    environment({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "2"})
    distributed.initialize()
    assert joined == [(None, 2, 1, None)]


def test_devices_named_in_the_environment_are_left_to_jax(joined, environment):
    environment({**SLURM, "JAX_LOCAL_DEVICE_IDS": "0,1"})
    distributed.initialize()
    assert joined == [(None, 2, 1, None)]


def test_open_mpi_tells_number_and_rank(joined, environment):
    environment({**OPEN_MPI, "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:5"})
    distributed.initialize()
    assert joined == [(None, 4, 3, None)]


def test_open_mpi_5_needs_the_coordinator_alone(joined, environment, answering):
    environment(OPEN_MPI)
    with pytest.raises(InputError, match=r"^environment: .*coordinator is not known; give coord"):
        distributed.initialize()
    distributed.initialize(coordinator=answering)
    assert joined == [(answering, 4, 3, None)]


@pytest.mark.parametrize("rank", ["JAX_PROCESS_ID", "JOB_COMPLETION_INDEX"])
def test_the_variables_of_kubernetes_are_read(rank, joined, environment, answering):
    environment({"JAX_COORDINATOR_ADDRESS": answering, "JAX_NUM_PROCESSES": "3", rank: "2"})
    distributed.initialize()
    assert joined == [(answering, 3, 2, [])]


@pytest.mark.parametrize(
    "variables", [{"TPU_WORKER_HOSTNAMES": "a,b"}, {}], ids=["named workers", "metadata server"]
)
def test_a_tpu_pod_is_left_to_jax(variables, joined, environment):
    platforms = jax.config.jax_platforms
    environment({**TPU, **variables})
    os.environ.pop("TPU_SKIP_MDS_QUERY", None)
    jax.config.update("jax_platforms", "tpu")
    try:
        distributed.initialize()
    finally:
        jax.config.update("jax_platforms", platforms)
    assert joined == [(None, None, None, [])]


def test_an_indexed_job_is_asked_for_where_its_package_is_there(joined, environment, monkeypatch):
    environment({"JOB_COMPLETION_INDEX": "1"})
    distributed.initialize()
    assert joined == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "kubernetes")
    distributed.initialize()
    assert joined == [(None, None, None, [])]


def test_a_process_that_has_joined_joins_no_second_time(joined, environment, monkeypatch):
    environment(SLURM)
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    distributed.initialize()
    assert joined == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_processes": 2}, "num_processes=2: .*coordinator and process_id are not known; give"),
        ({"process_id": 0}, "process_id=0: .*coordinator and num_processes are not known"),
        (
            {"coordinator": "here:1", "num_processes": 2},
            "coordinator='here:1', num_processes=2: .*process_id is not known",
        ),
        ({"num_processes": 0}, "num_processes=0: expected a whole number >= 1"),
        ({"num_processes": 2, "process_id": -1}, "process_id=-1: expected a whole number >= 0"),
        ({"num_processes": 2, "process_id": 2}, "process_id=2: expected 0 to 1"),
        ({"num_processes": 1, "process_id": 1}, "process_id=1: expected 0 to 0"),
        ({"heartbeat_seconds": 0}, "heartbeat_seconds=0: expected a whole number >= 1"),
        ({"timeout_seconds": 0.5}, "timeout_seconds=0.5: expected a whole number >= 1"),
        (
            {"coordinator": "here", "num_processes": 2, "process_id": 1},
            "coordinator='here': expected HOST:PORT",
        ),
        (
            {"coordinator": "here:99999", "num_processes": 2, "process_id": 1},
            "coordinator='here:99999': expected HOST:PORT",
        ),
    ],
)
def test_wrong_or_half_given_arguments_are_named(arguments, message, joined):
    with pytest.raises(InputError, match=f"^{message}"):
        distributed.initialize(**arguments)
    assert joined == []


def test_an_argument_that_contradicts_the_launcher_is_refused(joined, environment):
    environment(SLURM)
    with pytest.raises(InputError, match=r"^num_processes=4: the environment says 2 were started"):
        distributed.initialize(num_processes=4)


def test_a_variable_that_is_no_number_is_named(joined, environment):
    environment({**OPEN_MPI, "OMPI_COMM_WORLD_RANK": "two"})
    with pytest.raises(InputError, match=r"^OMPI_COMM_WORLD_RANK='two' in the environment: expect"):
        distributed.initialize()


def test_a_coordinator_that_does_not_answer_is_named(joined, new_coordinator):
    silent = new_coordinator()
    with pytest.raises(InputError, match=f"^coordinator='{silent}': no answer in 1 s .*start"):
        distributed.initialize(coordinator=silent, num_processes=2, process_id=1, timeout_seconds=1)


def test_a_port_in_use_is_named(joined, answering):
    with pytest.raises(InputError, match=f"^coordinator='{answering}': process 0 cannot use port"):
        distributed.initialize(coordinator=answering, num_processes=2, process_id=0)


def test_a_cluster_that_does_not_answer_is_told_in_one_line(joined, environment, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("no metadata\nand more")

    environment(SLURM)
    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(InputError, match=r"\(no metadata\); give .*num_processes=1 to run alone$"):
        distributed.initialize()


def test_joining_after_a_device_was_touched_is_an_error(environment, answering):
    jax.devices()
    with pytest.raises(RuntimeError, match="must be called before"):
        distributed.initialize(coordinator=answering, num_processes=2, process_id=1)
