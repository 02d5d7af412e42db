"""Memorization, and the groups that RUM divides a data set into."""

import numpy as np

from jax_unlearn import data

from .replay import case


@case("others/rum")
def rum(golden):
    """Scores from models that saw an example and models that did not; the groups of two sizes."""
    scores = data.memorization(golden["correct"], golden["in_training"])
    np.testing.assert_array_equal(scores, golden["memorization"])
    sizes = {name.split("_")[0] for name in golden.arrays if name.endswith("_low")}
    assert sizes, "the file has no groups"
    for size in sizes:
        strata = data.memorization_strata(scores, int(size[1:]))
        for name, found in strata.items():
            np.testing.assert_array_equal(found, golden[f"{size}_{name}"], err_msg=f"{size} {name}")
        gone = np.zeros(0, np.int64)
        for name in ("low", "mid", "high"):
            # What no group so far holds is retained; the mixture is removed at once.
            gone = np.union1d(gone, strata[name])
            retained = np.setdiff1d(np.arange(len(scores)), gone)
            np.testing.assert_array_equal(retained, golden[f"{size}_{name}_retain"])
        retained = np.setdiff1d(np.arange(len(scores)), strata["mix"])
        np.testing.assert_array_equal(retained, golden[f"{size}_mix_retain"])
