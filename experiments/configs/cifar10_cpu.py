"""5,000 CIFAR-10 images on two CPU cores: one class, and a random tenth; nine methods.

Run: ``python -m experiments.run --preset cifar10_cpu --data-dir DATA``, under 30 minutes. Flips but
no crops, so that 20 epochs suffice to fit the training set as far as the papers' networks do.
"""

from ..shared.config import Data, Experiment, Network, Training

EXPERIMENT = Experiment(
    data=Data(name="cifar10", train_size=5000, test_size=2000, padding=0),
    network=Network(name="resnet10", width=8),
    training=Training(epochs=20, batch_size=64, learning_rate=0.1, schedule="cosine"),
    requests=("class:0", "random:0.1"),
    seeds=(0, 1, 2),
    hyperparameters="cifar10_cpu",
    set=(
        "finetune.batch_size=64",
        "gradient_ascent.batch_size=64",
        "neggrad_plus.batch_size=64",
        "amnesiac.batch_size=64",
        "bad_teacher.batch_size=64",
        "salun.batch_size=64",
        "natmu.batch_size=64",
        "finetune.epochs=5",
        "neggrad_plus.epochs=5",
        "salun.epochs=5",
        # The published single epoch on 30 % of the data is a tenth of the others' steps here.
        "bad_teacher.epochs=5",
        "bad_teacher.retain_fraction=1.0",
        # As published for a full class.
        "class/natmu.reinit_linear=true",
        "class/bad_teacher.reinit_linear=true",
    ),
)
