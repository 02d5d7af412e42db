"""The loop that runs every method, and the arrangement of devices under it."""

from jax_unlearn.engine.callbacks import Callback
from jax_unlearn.engine.loop import run, run_many, train
from jax_unlearn.engine.predictions import predict
from jax_unlearn.engine.run_spec import Options, Result, RunSpec
from jax_unlearn.engine.sequences import run_sequence
from jax_unlearn.engine.steps import RunKeys, run_keys
from jax_unlearn.engine.sweeps import Trial, sweep
from jax_unlearn.sharding import make_mesh, parse_mesh

__all__ = [
    "Callback",
    "Options",
    "Result",
    "RunKeys",
    "RunSpec",
    "Trial",
    "make_mesh",
    "parse_mesh",
    "predict",
    "run",
    "run_keys",
    "run_many",
    "run_sequence",
    "sweep",
    "train",
]
