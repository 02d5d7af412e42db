"""Digits: one class, and the hardest tenth; nine methods; three seeds.

Run: ``python -m experiments.quickstart``, 157 s on two CPU cores.
"""

from ..shared.config import Data, Experiment, Network, Training

EXPERIMENT = Experiment(
    data=Data(name="digits", train_size=1000, padding=0, flip=False),
    network=Network(name="convnet"),
    # Long, with strong decay: the true class's sensitivity stands out, as in the papers' networks.
    training=Training(
        epochs=100, batch_size=50, learning_rate=0.1, weight_decay=5e-3, augment=False
    ),
    requests=("class:3", "hardest:0.1"),
    seeds=(0, 1, 2),
    hyperparameters="quickstart",
    set=(
        "finetune.batch_size=50",
        "gradient_ascent.batch_size=50",
        "neggrad_plus.batch_size=50",
        "amnesiac.batch_size=50",
        "bad_teacher.batch_size=50",
        "salun.batch_size=50",
        "natmu.batch_size=50",
        "mumis.batch_size=50",
        "mumis_last_layer.batch_size=50",
        # As published for a full class.
        "class/natmu.reinit_linear=true",
        "class/bad_teacher.reinit_linear=true",
        # The published single epoch on 30 % of the data is four steps here.
        "bad_teacher.epochs=5",
        "bad_teacher.retain_fraction=1.0",
        "neggrad_plus.epochs=5",
        "salun.epochs=5",
        "finetune.epochs=5",
    ),
)
