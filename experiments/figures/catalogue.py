"""Every figure that the command draws, by the name that --only takes."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .chosen import Chosen
from .drawing import Drawing
from .finished import Finished
from .gap_kl import gap_kl
from .images import attention, hybrids
from .masked_forget import masked_forget
from .sensitivities import sensitivity, sensitivity_change
from .stored import entropy, forget_accuracy, mumis_course, time

NATMU = "He et al., Towards Natural Machine Unlearning, arXiv 2405.15495"
MUMIS = "Cheng et al., Suppressing Sample Contribution, arXiv 2402.15109"


class Entry(NamedTuple):
    """One figure.

    Attributes:
      draw: gives the figure of a request under a title, or raises Missing.
      title: its heading.
      caption: what it shows and how to read it.
      source: the paper whose figure it is.
    """

    draw: Callable[[Finished, Chosen, str], Drawing]
    title: str
    caption: str
    source: str


FIGURES: Mapping[str, Entry] = {
    "forget-accuracy": Entry(
        forget_accuracy,
        "Forget accuracy during unlearning",
        "Accuracy on the forget set after every epoch. Relabelling methods tend to fall on past "
        "the oracle's line; a natural one settles on it.",
        NATMU,
    ),
    "entropy": Entry(
        entropy,
        "How sure each model is of forget and of test images",
        "Densities of the entropy of the softmax, all seeds together. Retraining treats forget "
        "images as it treats test images.",
        NATMU,
    ),
    "hybrids": Entry(
        hybrids,
        "Hybrids",
        "What NatMU trains on in place of the forget images: first seed, as the run blended them.",
        NATMU,
    ),
    "attention": Entry(
        attention,
        "Attention maps, relevance: input x gradient",
        "Relevance (input x gradient of the true class's logit) under the first seed's original, "
        "its oracle and every method's model.",
        NATMU,
    ),
    "gap-kl": Entry(
        gap_kl,
        "Accuracy gap against KL",
        "The paper's KL_avg has no published formula; both readings are drawn. Gap: mean of |dRA|, "
        "|dFA| and |dTA| over the oracles of other seeds. What is taught: hybrids, relabelled "
        "forget images or a teacher's answers, against one oracle of another seed.",
        NATMU,
    ),
    "masked-forget": Entry(
        masked_forget,
        "What the masked forget image is taken for",
        "A model with a high PFA has learned to read the hybrid's label off the forget image "
        "itself; with the retain image injected it need not.",
        NATMU,
    ),
    "time": Entry(
        time,
        "Time per method",
        "Wall time of unlearning one model.",
        NATMU,
    ),
    "sensitivity": Entry(
        sensitivity,
        "Sensitivity of members and non-members",
        "Training raises the sensitivity of the true class's logit above that of the others; more "
        "so for images that were trained on, if the network has memorized them.",
        MUMIS,
    ),
    "sensitivity-change": Entry(
        sensitivity_change,
        "Whose sensitivity falls from original to oracle",
        "Each original against the oracle of its seed, example by example.",
        MUMIS,
    ),
    "mumis-course": Entry(
        mumis_course,
        "MU-Mis: sensitivities and accuracies",
        "The first seed's run. It may stop once the irrelevant classes' norm has turned upward and "
        "reached the threshold.",
        MUMIS,
    ),
}
