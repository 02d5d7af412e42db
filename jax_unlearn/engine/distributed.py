"""Several processes that work as one: how they find each other, and which of them leads."""

import contextlib
import importlib.util
import os
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

import jax

from jax_unlearn.core import InputError, check_number

_LAUNCHERS = (
    ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"),
    ("JAX_NUM_PROCESSES", "JOB_COMPLETION_INDEX"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("SLURM_NTASKS", "SLURM_PROCID"),
)
"""Variables that tell the number of processes and which of them this one is."""

_ALONE = "pass num_processes=1 to run alone"


def initialize(
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    heartbeat_seconds: int = 30,
    timeout_seconds: int = 300,
) -> None:
    """Join the other processes of this job, so that ``jax.devices()`` are those of all of them.

    Must come before anything touches a device. What is not given is taken from the environment:

    * ``srun``, ``mpirun`` (Open MPI) and TPU pods need no argument. Open MPI 5 no longer tells
      where process 0 runs: give ``coordinator`` there.
    * On Kubernetes, Kubeflow's ``JAX_COORDINATOR_ADDRESS``, ``JAX_NUM_PROCESSES`` and
      ``JAX_PROCESS_ID`` are read, and ``JOB_COMPLETION_INDEX`` in place of the last. An indexed Job
      or JobSet without them is asked for through the package ``kubernetes``, if it is installed.

    A process that is alone on its machine takes all of the machine's devices; several on one
    machine take one each, unless ``JAX_LOCAL_DEVICE_IDS`` says otherwise. Where nothing suggests
    several processes, and in a process that has joined already, the call does nothing.

    When a process dies, the others end with an error within about ``heartbeat_seconds``. Processes
    must also end within that time of each other; :func:`wait_for_others` sees to it.

    Args:
      coordinator: ``'HOST:PORT'`` of process 0, a free port that the others can reach.
      num_processes: number of processes; 1 runs alone whatever the environment says.
      process_id: number of this process, 0 to ``num_processes - 1``.
      heartbeat_seconds: silence after which a process counts as dead.
      timeout_seconds: how long to wait for the others at the start.

    Raises:
      InputError: arguments and environment say too little or contradict each other; process 0
        cannot be reached; its port is taken.
      RuntimeError: a device has been touched already.
    """
    if jax.distributed.is_initialized():
        return
    for name, value, low in (("num_processes", num_processes, 1), ("process_id", process_id, 0)):
        if value is not None:
            check_number(name, value, low=low, whole=True)
    check_number("heartbeat_seconds", heartbeat_seconds, low=1, whole=True)
    check_number("timeout_seconds", timeout_seconds, low=1, whole=True)
    found = _find(os.environ, coordinator, num_processes, process_id)
    if found is None:
        return
    coordinator, num_processes, process_id = found
    if coordinator is not None:
        _check_coordinator(coordinator, process_id, timeout_seconds)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            local_device_ids=_local_device_ids(os.environ),
            initialization_timeout=timeout_seconds,
            heartbeat_timeout_seconds=heartbeat_seconds,
            # At the end processes wait for each other for this long, also for one that hangs.
            shutdown_timeout_seconds=heartbeat_seconds,
        )
    # A cluster's interface that does not answer may raise anything.
    except Exception as error:
        if "must be called before" in str(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"coordinator={coordinator!r}: the processes did not find each other ({reason}); give "
            f"coordinator='HOST:PORT', num_processes and process_id, or {_ALONE}"
        ) from error


def is_leader() -> bool:
    """Whether this is process 0, which alone writes and prints; touches the devices."""
    return jax.process_index() == 0


def wait_for_others(name: str) -> None:
    """Return when every process has come to the call of this name; it may take any time."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def _find(
    environ: Mapping[str, str],
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
) -> tuple[str | None, int | None, int | None] | None:
    """Where process 0 is, how many there are and which is this; None, to be found by JAX.

    JAX's own detection, whose classes are private, fills in what is None here. It cannot say that a
    process is alone (it starts a service for one), reads no number from the environment but a
    launcher's, and takes what contradicts the launcher; so that much is looked up first.

    Returns None where this process is alone.
    """
    if num_processes == 1 and not process_id:
        return None
    given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    coordinator = coordinator or environ.get("JAX_COORDINATOR_ADDRESS")
    if None in (num_processes, process_id):
        number, rank = _launched(environ)
        if None not in (number, num_processes) and number != num_processes:
            raise InputError(
                f"num_processes={num_processes}: the environment says {number} were started; "
                "give coordinator, num_processes and process_id, or leave all to the environment"
            )
        num_processes = number if num_processes is None else num_processes
        process_id = rank if process_id is None else process_id
    if num_processes is not None and process_id is not None and process_id >= num_processes:
        raise InputError(
            f"process_id={process_id}: expected 0 to {num_processes - 1} for "
            f"num_processes={num_processes}"
        )
    if num_processes == 1:
        return None
    by_jax = _jax_finds(environ)
    known = [x is not None for x in (coordinator, num_processes, process_id)]
    if all(known) or (by_jax and (known[1] == known[2])):
        return coordinator, num_processes, process_id
    if any(known):
        missing = [name for name, is_known in zip(given, known, strict=True) if not is_known]
        told = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
        raise InputError(
            f"{told or 'environment'}: of several processes, but {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not known; give coordinator='HOST:PORT', "
            f"num_processes and process_id, or {_ALONE}"
        )
    return None


def _launched(environ: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Number of processes and which this is, from the first launcher that tells both."""
    for names in _LAUNCHERS:
        # A batch script outside of srun has SLURM's variables too, and runs once.
        outside = names[0].startswith("SLURM") and "SLURM_STEP_NODELIST" not in environ
        if outside or not all(name in environ for name in names):
            continue
        for name in names:
            if not environ[name].isdecimal():
                raise InputError(f"{name}={environ[name]!r} in the environment: expected a number")
        number, rank = (int(environ[name]) for name in names)
        return number, rank
    return None, None


def _jax_finds(environ: Mapping[str, str]) -> bool:
    """Whether JAX's own detection can tell what the environment leaves open."""
    if "SLURM_STEP_NODELIST" in environ or "OMPI_MCA_orte_hnp_uri" in environ:
        return True
    if "JOB_COMPLETION_INDEX" in environ and importlib.util.find_spec("kubernetes"):
        return True
    # JAX sets the last when it is imported on a machine with TPUs.
    # Options are attributes that only some versions of JAX declare.
    config: Any = jax.config
    cpu = config.jax_platforms == "cpu"
    if cpu or "TPU_ML_PLATFORM" not in environ:
        return False
    workers = environ.get("TPU_PROCESS_ADDRESSES", environ.get("TPU_WORKER_HOSTNAMES"))
    if workers is not None:
        return "," in workers or int(environ.get("MEGASCALE_NUM_SLICES", 1)) > 1
    # On Google's own machines only their metadata server knows.
    return "TPU_SKIP_MDS_QUERY" not in environ


def _local_device_ids(environ: Mapping[str, str]) -> list[int] | None:
    """No restriction, an empty list, unless processes share a machine: then None, JAX decides.

    JAX would give a process that SLURM or Open MPI started one device, even where it is alone.
    """
    per_node = environ.get("SLURM_STEP_TASKS_PER_NODE", "1")
    alone = bool(re.fullmatch(r"1(\(x\d+\))?", per_node))
    alone = alone and environ.get("OMPI_COMM_WORLD_LOCAL_SIZE", "1") == "1"
    return [] if alone and "JAX_LOCAL_DEVICE_IDS" not in environ else None


def _check_coordinator(coordinator: str, process_id: int | None, timeout_seconds: int) -> None:
    """Find what would otherwise end the process without a readable message."""
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise InputError(f"coordinator={coordinator!r}: expected HOST:PORT, such as node0:12345")
    if process_id == 0:
        _check_port_is_free(coordinator, int(port))
    elif process_id is not None:
        _wait_for_coordinator(coordinator, host.strip("[]"), int(port), timeout_seconds)


def _check_port_is_free(coordinator: str, port: int) -> None:
    with socket.socket() as probe:
        # As a server would: a port that was in use a minute ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise InputError(
                f"coordinator={coordinator!r}: process 0 cannot use port {port} of this machine "
                f"({error.strerror}); name a free one, the same for every process"
            ) from error


def _wait_for_coordinator(coordinator: str, host: str, port: int, timeout_seconds: int) -> None:
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            with contextlib.closing(socket.create_connection((host, port), timeout=5)):
                return
        except OSError as error:
            if time.monotonic() >= deadline:
                raise InputError(
                    f"coordinator={coordinator!r}: no answer in {timeout_seconds} s ({error}); "
                    "start process 0 there, or name the address that it was given"
                ) from error
        time.sleep(0.2)
