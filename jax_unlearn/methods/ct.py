"""CT: transpose every convolution kernel, then repair the network on the retain set."""

from typing import ClassVar

import chex

from jax_unlearn.core import (
    RETAIN,
    Problem,
    SearchRange,
    Variables,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.convolutions import check_convolutions, transpose_kernels
from jax_unlearn.methods.descent import Descent, Schedule


class CT(Descent):
    """Fine-tune on the retain set after height and width of every convolution kernel have changed.

    "Convolution transpose", the fifth place of the NeurIPS 2023 unlearning competition. The rate is
    half a cosine epoch by epoch, 1, 0.75 and 0.25 of its peak in three epochs.

    Source: Cadet et al., "Deep Unlearn: Benchmarking Machine Unlearning", 2024, arXiv 2410.01276,
    whose code holds the submission; Triantafillou et al., "Are we making progress in unlearning?
    Findings from the first NeurIPS unlearning competition", 2024, arXiv 2406.09073.
    """

    epochs: int = 3
    batch_size: int = static(64)
    learning_rate: float = 1e-3
    schedule: str | Schedule = "cosine_by_epoch"

    roles = (RETAIN,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-4, 3.0),
        "weight_decay": SearchRange("log", 1e-7, 1e-1),
    }
    title = "CT"

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """The network must have convolutions, all with square kernels."""
        super().check(problem, exact=exact)
        check_convolutions("CT", problem, square=True)

    def start(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The original with transposed kernels."""
        variables = super().start(key, problem)
        params, _ = split_variables(variables)
        return with_params(variables, transpose_kernels(params))


ct = constructor(CT)
