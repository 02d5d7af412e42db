"""Machine unlearning in JAX: methods, primitives and an audit against the retrained oracle."""

from typing import TYPE_CHECKING, Any

from jax_unlearn import models
from jax_unlearn.core import (
    FORGET,
    HYBRID,
    RETAIN,
    Batch,
    Examples,
    InputError,
    Model,
    Outputs,
    Pool,
    Predictions,
    Problem,
    StepInfo,
    Unlearner,
    concatenate_pools,
    method,
    pool_rows,
    shuffled_rows,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.engine import Result, RunSpec, make_mesh, predict, run, run_many, sweep, train
from jax_unlearn.functional import (
    draw_irrelevant,
    draw_partners,
    input_sensitivity,
    mix,
    mixing_masks,
    mumis_loss,
    target_classes,
)
from jax_unlearn.methods import (
    METHODS,
    amnesiac,
    bad_teacher,
    finetune,
    gradient_ascent,
    mumis,
    natmu,
    neggrad_plus,
    retrain,
    salun,
)

if TYPE_CHECKING:
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
    from jax_unlearn.models import (
        MODELS,
        import_torch,
        load_safetensors,
        make_model,
        save_safetensors,
    )

__all__ = [
    "FORGET",
    "HYBRID",
    "METHODS",
    "MODELS",
    "RETAIN",
    "Batch",
    "Checkpoints",
    "Examples",
    "InputError",
    "Model",
    "Outputs",
    "Pool",
    "Predictions",
    "Problem",
    "Result",
    "RunSpec",
    "StepInfo",
    "Unlearner",
    "amnesiac",
    "bad_teacher",
    "concatenate_pools",
    "draw_irrelevant",
    "draw_partners",
    "finetune",
    "gradient_ascent",
    "import_torch",
    "input_sensitivity",
    "load_safetensors",
    "make_mesh",
    "make_model",
    "method",
    "mix",
    "mixing_masks",
    "mumis",
    "mumis_loss",
    "natmu",
    "neggrad_plus",
    "pool_rows",
    "predict",
    "retrain",
    "run",
    "run_many",
    "salun",
    "save_safetensors",
    "shuffled_rows",
    "split_variables",
    "static",
    "sweep",
    "target_classes",
    "train",
    "with_params",
]


_FROM_MODELS = ("MODELS", "import_torch", "load_safetensors", "make_model", "save_safetensors")


def __getattr__(name: str) -> Any:
    # Flax and Orbax are imported when a network of ours, or a checkpoint, is first asked for.
    if name in _FROM_MODELS:
        return getattr(models, name)
    if name == "Checkpoints":
        from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

        return Checkpoints
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
