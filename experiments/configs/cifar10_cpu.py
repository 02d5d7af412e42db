"""18,000 CIFAR-10 images on two CPU cores: one class, and a random tenth; nine methods.

Run: ``python -m experiments.run --preset cifar10_cpu --data-dir DATA``, within 90 minutes; cut off,
it goes on where it was. Flips but no crops, and a decaying rate with strong decay of the weights:
the original fits its training set, as the papers' networks do, in few epochs.
"""

from ..shared.config import Data, Experiment, Network, Training

EXPERIMENT = Experiment(
    data=Data(name="cifar10", train_size=18_000, test_size=2000, padding=0),
    network=Network(name="resnet8_halved"),
    training=Training(
        epochs=13, batch_size=64, learning_rate=0.1, weight_decay=2e-3, schedule="cosine"
    ),
    requests=("class:0", "random:0.1"),
    seeds=(0, 1, 2, 3),
    hyperparameters="cifar10_cpu",
    set=(
        "finetune.batch_size=64",
        "gradient_ascent.batch_size=64",
        "neggrad_plus.batch_size=64",
        "amnesiac.batch_size=64",
        "bad_teacher.batch_size=64",
        "salun.batch_size=64",
        "natmu.batch_size=64",
        # Whoever trains on the retain set passes over it once: a thirteenth of retraining.
        "finetune.epochs=1",
        "neggrad_plus.epochs=1",
        "amnesiac.epochs=1",
        "salun.epochs=1",
        "natmu.epochs=1",
        # The published 30 % of the data would be a third of the others' steps.
        "bad_teacher.retain_fraction=1.0",
        # As published for a full class.
        "class/natmu.reinit_linear=true",
        "class/bad_teacher.reinit_linear=true",
    ),
)
