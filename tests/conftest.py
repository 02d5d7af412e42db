"""Settings of the whole suite."""

import gc
import os
import shutil
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

# Before any backend starts: small tests gain nothing from a GPU's start-up, and the sharding tests
# need several devices. On an accelerator: JAX_PLATFORMS=cuda pytest -m accelerator.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# More threads than devices: see jax_unlearn.engine.cpu.use_cpu_devices.
os.environ.setdefault("PJRT_NPROC", "32")

# Nearly all of the suite's time is compilation. Without LLVM's optimisations and XLA's way of
# building fused loops, each program in one piece, it takes a third: 322 -> 190 -> 106 s of CPU on
# 119 tests. Tests marked `optimised` run with all of it, see test_full_optimisation.py.
if os.environ["JAX_PLATFORMS"] == "cpu":
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters "
        "--xla_cpu_parallel_codegen_split_count=1",
    )

# No one reads where in a test an operation of a compiled program comes from.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
# Tracing makes many objects that live on: looking through them all the time finds no garbage.
gc.set_threshold(200_000, 50, 50)

COMPILES_FAST = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "1"

# What one process has compiled the others of this run read: pytest's workers, whose environment is
# this one's, and the processes that tests start. Every run starts with nothing.
OWN_CACHE = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    OWN_CACHE = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled-")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
# JAX reads a program while another process writes it, says so and compiles it itself.
os.environ.setdefault("PYTHONWARNINGS", "ignore:Error reading persistent compilation cache")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

import jax_unlearn as ju  # noqa: E402

# Tests that need more start a process of their own, see tests/methods/test_eight_devices.py.
jax.config.update("jax_num_cpu_devices", int(os.environ.get("JAX_NUM_CPU_DEVICES", "4")))
jax.config.update("jax_numpy_rank_promotion", "raise")

# Formulas, and tests against golden files, hold for programs as users compile them.
OPTIMISED = ("functional",)
# These compile for long and run for a moment; the official codes' numbers hold the same formulas.
NOT_OPTIMISED = (
    *("test_attacks.py", "test_curvature.py", "test_importances.py", "test_noise.py"),
    "test_task_vectors.py",
    # Whole numbers, which no optimisation changes.
    "test_partners.py",
)

# Where test_full_optimisation.py looks for what is marked so.
OPTIMISED_APART = ("functional", "models")

# optax's Adam relies on implicit promotion, so what goes through it cannot be held to this.
STRICT_TYPES = ("functional", "data", "models")

# Every compiled program keeps pieces of memory mapped. Linux allows a process 65,530 of them, and
# with more XLA ends it; the whole suite reaches that in one of two processes. No file's tests map
# as many as lie between the two numbers. To drop a thousand programs takes seconds.
MAPS = Path("/proc/self/maps")
MANY_MAPS = 30_000

# Of two workers one begins at the first test, the other in the middle, and who ends first helps the
# other from behind. So dear folders stand at both places, and what is cheap stands behind them.
DEAR = (
    ("test_full_optimisation.py", "experiments/stress", "experiments/run", "experiments", "engine"),
    ("methods",),
)

LAST_RESORT_SECONDS = 3600


def in_order(items):
    """Tests in the order in which two workers end at the same time, see `DEAR`."""
    groups = {place: [] for places in DEAR for place in places}
    cheap = []
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        place = next((place for place in groups if path.is_relative_to(place)), None)
        groups.get(place, cheap).append(item)
    first, second = ([item for place in places for item in groups[place]] for places in DEAR)
    middle = max(len(items) // 2 - len(first), 0)
    return [*first, *cheap[:middle], *second, *cheap[middle:]]


def folder_of(path):
    """The folder of `tests` in which a file lies, however deep."""
    return path.relative_to(Path(__file__).parent).parts[0]


def pytest_addoption(parser):
    """Numbers of official code that the tests never saw may be tried."""
    told = "folder of golden numbers for tests/methods/test_official.py, in place of those at hand"
    parser.addoption("--golden", metavar="DIR", type=Path, help=told)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Mark folders, and leave to `test_full_optimisation.py` what it runs anyway."""
    for item in items:
        formula = folder_of(item.path) in OPTIMISED and item.path.name not in NOT_OPTIMISED
        if formula and "any_compiler" not in item.keywords:
            item.add_marker("optimised")
    yield
    starts = [item for item in items if item.path.name == "test_full_optimisation.py"]
    apart = OPTIMISED_APART if starts and COMPILES_FAST else ()
    twice = [i for i in items if "optimised" in i.keywords and folder_of(i.path) in apart]
    config.hook.pytest_deselected(items=twice)
    left_out = set(twice)
    items[:] = in_order([item for item in items if item not in left_out])


def pytest_unconfigure():
    """Remove what this run compiled."""
    if OWN_CACHE:
        shutil.rmtree(OWN_CACHE, ignore_errors=True)


@pytest.fixture(autouse=True)
def strict_types(request):
    """Make silent dtype promotion an error in the folders of pure formulas."""
    strict = folder_of(request.path) in STRICT_TYPES and "adam" not in request.keywords
    with jax.numpy_dtype_promotion("strict" if strict else "standard"):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Optimise what a test that runs for longer than it compiles is the first to compile."""
    if not COMPILES_FAST or "runs_long" not in item.keywords:
        return (yield)
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        return (yield)
    finally:
        jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(autouse=True, scope="module")
def few_programs():
    """Drop compiled programs after a file's tests once they are many."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY_MAPS:
        jax.clear_caches()


@pytest.fixture
def optimised_apart():
    """Folders of tests that a process of their own runs with all optimisations."""
    return OPTIMISED_APART


def make_examples(count, first=0, side=4, classes=5, seed=0):
    """Random images of one channel, labels in turn, ids from ``first`` on."""
    rng = np.random.default_rng(seed)
    return ju.Examples(
        rng.integers(0, 256, (count, side, side, 1), np.uint8),
        (np.arange(count) % classes).astype(np.int32),
        np.arange(first, first + count),
    )


def make_linear(traces=None, classes=5):
    """Weights alone, for images of `make_examples`; every trace appends to ``traces``."""

    def init(key):
        return {"weight": 0.1 * jax.random.normal(key, (16, classes)), "bias": jnp.zeros(classes)}

    def apply(variables, images, *, train):
        if traces is not None:
            traces.append(train)
        x = images.reshape(len(images), 16)
        return x @ variables["weight"] + variables["bias"][None], variables

    return ju.Model(init, apply, "linear")


@pytest.fixture(scope="session")
def examples():
    """Makes examples, see :func:`make_examples`."""
    return make_examples


@pytest.fixture
def counted():
    """A linear model and the list of its traces."""
    traces = []
    return make_linear(traces), traces


@pytest.fixture(scope="session")
def problem():
    """A linear network on tiny images: what the engine and a bank do needs no more."""
    model = make_linear()
    return ju.Problem(
        model=model,
        variables=model.init(jax.random.key(0)),
        forget=make_examples(13, seed=1),
        retain=make_examples(37, first=13, seed=2),
        num_classes=5,
        initial=model.init(jax.random.key(1)),
        augment=ju.crop_and_flip(padding=1),
    )


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
