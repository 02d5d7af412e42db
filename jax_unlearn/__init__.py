"""Machine unlearning in JAX: methods, primitives and an audit against the retrained oracle."""

from typing import TYPE_CHECKING, Any

from jax_unlearn import models
from jax_unlearn.core import (
    FORGET,
    HYBRID,
    RETAIN,
    Batch,
    Clock,
    Examples,
    InputError,
    Model,
    Outputs,
    Pool,
    Predictions,
    Problem,
    Unlearner,
    concatenate_pools,
    method,
    pool_rows,
    shuffled_rows,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.engine import Outcome, make_mesh, predict, run, train
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
    from jax_unlearn.models import MODELS, make_model

__all__ = [
    "FORGET",
    "HYBRID",
    "METHODS",
    "MODELS",
    "RETAIN",
    "Batch",
    "Clock",
    "Examples",
    "InputError",
    "Model",
    "Outcome",
    "Outputs",
    "Pool",
    "Predictions",
    "Problem",
    "Unlearner",
    "amnesiac",
    "bad_teacher",
    "concatenate_pools",
    "draw_irrelevant",
    "draw_partners",
    "finetune",
    "gradient_ascent",
    "input_sensitivity",
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
    "salun",
    "shuffled_rows",
    "split_variables",
    "static",
    "target_classes",
    "train",
    "with_params",
]


def __getattr__(name: str) -> Any:
    # Flax is imported when a network of ours is first asked for.
    if name in ("MODELS", "make_model"):
        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
