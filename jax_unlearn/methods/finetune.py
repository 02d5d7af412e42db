"""Fine-tuning: train on with the retain set and hope that the rest fades."""

from typing import ClassVar

from jax_unlearn.core import RETAIN, SearchRange, static
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent


class FineTune(Descent):
    """Minimise cross-entropy on the retain set, from the original weights.

    Defaults are those of Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based
    Weight Saliency in Both Image Classification and Generation", ICLR 2024, arXiv 2310.12508,
    which every method compared there shares but for its rate: SGD, 10 epochs, batches of 256.

    SCRUB's comparisons (Kurmanji et al., NeurIPS 2023, arXiv 2302.09880) have fine-tuning in eval
    mode, without momentum, and pulled towards the original weights instead of zero: that is
    ``train_mode=False, momentum=0, decay_towards='start'``. The starting kit of the unlearning
    challenge at NeurIPS 2023 lowers the rate by ``schedule='cosine_by_epoch'``.
    """

    batch_size: int = static(256)

    roles = (RETAIN,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-3, 3.0),
        "weight_decay": SearchRange("log", 1e-6, 3e-1),
    }
    title = "fine-tune"


finetune = constructor(FineTune)
