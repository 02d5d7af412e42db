"""The loop that runs every method, and the arrangement of devices under it."""

from jax_unlearn.engine.loop import Outcome, RunKeys, run, run_keys, train
from jax_unlearn.engine.mesh import make_mesh
from jax_unlearn.engine.predictions import predict

__all__ = ["Outcome", "RunKeys", "make_mesh", "predict", "run", "run_keys", "train"]
