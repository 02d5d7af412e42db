"""Settings of the whole suite."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

# Before any backend starts: small tests gain nothing from a GPU's start-up, and the sharding tests
# need several devices. On an accelerator: JAX_PLATFORMS=cuda pytest -m accelerator.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# More threads than devices: see experiments.command.use_cpu_devices.
os.environ.setdefault("PJRT_NPROC", "32")

import jax
import pytest

# Tests that need more start a process of their own, see tests/methods/test_eight_devices.py.
jax.config.update("jax_num_cpu_devices", int(os.environ.get("JAX_NUM_CPU_DEVICES", "4")))
jax.config.update("jax_numpy_rank_promotion", "raise")

# optax's Adam relies on implicit promotion, so what goes through it cannot be held to this.
STRICT_TYPES = ("functional", "data", "models")

# Every compiled program keeps pieces of memory mapped. Linux allows a process 65,530 of them, and
# with more XLA ends it; the whole suite reaches that in one of two processes.
MAPS = Path("/proc/self/maps")
MANY_MAPS = 10_000

LAST_RESORT_SECONDS = 3600


@pytest.fixture(autouse=True)
def strict_types(request):
    """Make silent dtype promotion an error in the folders of pure formulas."""
    strict = request.path.parent.name in STRICT_TYPES and "adam" not in request.keywords
    with jax.numpy_dtype_promotion("strict" if strict else "standard"):
        yield


@pytest.fixture(autouse=True, scope="module")
def few_programs():
    """Drop compiled programs after a file's tests once they are many."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY_MAPS:
        jax.clear_caches()


@pytest.fixture(scope="session")
def new_coordinator():
    """Gives addresses at which process 0 of several may listen, and no one else does meanwhile."""
    with ExitStack() as held:

        def reserve():
            # Bound, so that the system gives the port to no one who asks for a free one; open to
            # the coordinator, whose server shares ports. Nothing answers until it listens.
            holder = held.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
            return f"127.0.0.1:{holder.getsockname()[1]}"

        yield reserve


@pytest.fixture(scope="session")
def wait_for_all():
    """Wait for processes to end; gives exit code, output and errors of each.

    They are waited for, however long a busy machine takes. The limit ends what hangs for ever.
    """

    def end(process):
        try:
            return *process.communicate(timeout=LAST_RESORT_SECONDS), process.returncode
        finally:
            process.kill()

    def wait(processes):
        # All pipes are read at once: a full one would stop its process.
        with ThreadPoolExecutor(len(processes)) as pool:
            ends = list(pool.map(end, processes))
        return [(code, output, errors) for output, errors, code in ends]

    return wait
