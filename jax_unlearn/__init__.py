"""Machine unlearning in JAX: methods, primitives and an audit against the retrained oracle.

What is used most is here. The rest is in packages:

- :mod:`jax_unlearn.data`: data sets, and requests to forget examples of them;
- :mod:`jax_unlearn.models`: networks, their weights in and out, networks of other libraries;
- :mod:`jax_unlearn.methods`: the classes behind the methods, and those that a new one derives from;
- :mod:`jax_unlearn.functional`: the formulas, arrays in, arrays out;
- :mod:`jax_unlearn.engine`: the loop that runs every method;
- :mod:`jax_unlearn.bank`: trained models on disk, and what they predict;
- :mod:`jax_unlearn.audit`: measures against the retrained oracle, null bands and verdicts;
- :mod:`jax_unlearn.report`: tables, figures and pages of an audit;
- :mod:`jax_unlearn.core`: the words that all others speak in;
- :mod:`jax_unlearn.registry`: methods by name, also one's own;
- :mod:`jax_unlearn.testing`: the battery of tests that every method passes.
"""

from typing import TYPE_CHECKING, Any

from jax_unlearn import models
from jax_unlearn.core import (
    FORGET,
    HYBRID,
    RETAIN,
    Augmentation,
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
    pool_rows,
    shuffled_rows,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.data.augment import crop_and_flip
from jax_unlearn.engine import (
    Result,
    RunSpec,
    make_mesh,
    predict,
    run,
    run_many,
    run_sequence,
    sweep,
    train,
)
from jax_unlearn.functional import (
    draw_irrelevant,
    draw_partners,
    input_sensitivity,
    mix,
    mixing_masks,
    mumis_loss,
    target_classes,
)
from jax_unlearn.methods.amnesiac import amnesiac
from jax_unlearn.methods.amun import amun
from jax_unlearn.methods.bad_teacher import bad_teacher
from jax_unlearn.methods.boundary_expand import boundary_expand
from jax_unlearn.methods.boundary_shrink import boundary_shrink
from jax_unlearn.methods.cf_k import cf_k
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.ct import ct
from jax_unlearn.methods.delete import delete
from jax_unlearn.methods.descent import Descent, Forward
from jax_unlearn.methods.eu_k import eu_k
from jax_unlearn.methods.finetune import finetune
from jax_unlearn.methods.fisher_forgetting import fisher_forgetting
from jax_unlearn.methods.gradient_ascent import gradient_ascent
from jax_unlearn.methods.influence import influence
from jax_unlearn.methods.jit import jit
from jax_unlearn.methods.l1_sparse import l1_sparse
from jax_unlearn.methods.l2ul import l2ul
from jax_unlearn.methods.lfssd import lfssd
from jax_unlearn.methods.msg import msg
from jax_unlearn.methods.mumis import mumis, mumis_last_layer
from jax_unlearn.methods.natmu import natmu
from jax_unlearn.methods.neggrad_plus import neggrad_plus
from jax_unlearn.methods.negmerge import negmerge
from jax_unlearn.methods.random_label import random_label
from jax_unlearn.methods.retrain import retrain
from jax_unlearn.methods.salun import salun
from jax_unlearn.methods.scrub import scrub
from jax_unlearn.methods.scrub_r import scrub_r
from jax_unlearn.methods.sfr_on import sfr_on
from jax_unlearn.methods.ssd import ssd
from jax_unlearn.methods.ugradsl import ugradsl
from jax_unlearn.methods.ugradsl_plus import ugradsl_plus
from jax_unlearn.methods.unsir import unsir
from jax_unlearn.progress import ProgressBar
from jax_unlearn.registry import METHODS, find_method, register_method

if TYPE_CHECKING:
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
    from jax_unlearn.models import (
        MODELS,
        from_equinox,
        from_haiku,
        from_linen,
        from_nnx,
        from_pretrained,
        import_torch,
        load_safetensors,
        make_model,
        nnx_variables,
        save_pretrained,
        save_safetensors,
        update_nnx,
    )

__all__ = [
    "FORGET",
    "HYBRID",
    "METHODS",
    "MODELS",
    "RETAIN",
    "Augmentation",
    "Batch",
    "Checkpoints",
    "Descent",
    "Examples",
    "Forward",
    "InputError",
    "Model",
    "Outputs",
    "Pool",
    "Predictions",
    "Problem",
    "ProgressBar",
    "Result",
    "RunSpec",
    "StepInfo",
    "Unlearner",
    "amnesiac",
    "amun",
    "bad_teacher",
    "boundary_expand",
    "boundary_shrink",
    "cf_k",
    "concatenate_pools",
    "constructor",
    "crop_and_flip",
    "ct",
    "delete",
    "draw_irrelevant",
    "draw_partners",
    "eu_k",
    "find_method",
    "finetune",
    "fisher_forgetting",
    "from_equinox",
    "from_haiku",
    "from_linen",
    "from_nnx",
    "from_pretrained",
    "gradient_ascent",
    "import_torch",
    "influence",
    "input_sensitivity",
    "jit",
    "l1_sparse",
    "l2ul",
    "lfssd",
    "load_safetensors",
    "make_mesh",
    "make_model",
    "mix",
    "mixing_masks",
    "msg",
    "mumis",
    "mumis_last_layer",
    "mumis_loss",
    "natmu",
    "neggrad_plus",
    "negmerge",
    "nnx_variables",
    "pool_rows",
    "predict",
    "random_label",
    "register_method",
    "retrain",
    "run",
    "run_many",
    "run_sequence",
    "salun",
    "save_pretrained",
    "save_safetensors",
    "scrub",
    "scrub_r",
    "sfr_on",
    "shuffled_rows",
    "split_variables",
    "ssd",
    "static",
    "sweep",
    "target_classes",
    "train",
    "ugradsl",
    "ugradsl_plus",
    "unsir",
    "update_nnx",
    "with_params",
]


_FROM_MODELS = (
    *("MODELS", "from_equinox", "from_haiku", "from_linen", "from_nnx", "import_torch"),
    *("from_pretrained", "load_safetensors", "make_model", "nnx_variables", "save_pretrained"),
    *("save_safetensors", "update_nnx"),
)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("jax_unlearn")
    if name == "testing":
        import jax_unlearn.testing

        return jax_unlearn.testing
    # Flax and Orbax are imported when a network of ours, or a checkpoint, is first asked for.
    if name in _FROM_MODELS:
        return getattr(models, name)
    if name == "Checkpoints":
        from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

        return Checkpoints
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
