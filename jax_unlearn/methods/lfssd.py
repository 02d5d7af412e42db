"""LFSSD: selective synaptic dampening without labels."""

from typing import Any, ClassVar

import jax.numpy as jnp

from jax_unlearn import functional
from jax_unlearn.core import Examples, SearchRange
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.ssd import SSD


class LFSSD(SSD):
    """SSD without labels: what counts is how much the size of the output depends on a weight.

    The importance is the mean absolute derivative of the squared norm of the logits, in eval mode,
    in place of the mean square of that of cross-entropy; the edit is :func:`ssd`'s.

    ``importance='exact'`` (default) takes every example's own derivative, as the paper writes it;
    ``importance='batch'`` that of a batch's mean, as the authors' released code does. They have
    released that function, but not the file that calls it; the edit is taken from their SSD.

    Source: Foster et al., "Loss-Free Machine Unlearning", 2024, arXiv 2402.19308.
    """

    search_space: ClassVar = {
        "alpha": SearchRange("log", 0.1, 100.0),
        "dampening": SearchRange("log", 1e-4, 10.0),
    }
    title = "LFSSD"

    scored_by = (functional.squared_norm, jnp.abs)

    def _rows(self, examples: Examples) -> tuple[Any, ...]:
        """Images alone."""
        return (examples.image,)


lfssd = constructor(LFSSD)
