"""What the two papers' settings share."""

from ..shared.config import Network, Training

NATMU_BASELINES = ("finetune", "amnesiac", "bad_teacher", "salun", "natmu")
"""NatMU and the baselines of its tables."""

MUMIS_METHODS = (
    "finetune",
    "gradient_ascent",
    "amnesiac",
    "bad_teacher",
    "salun",
    "mumis",
    "mumis_last_layer",
)
"""MU-Mis, in both forms, and the baselines of its tables."""

NATMU_FRAME = (
    # How that paper's authors ran the baselines: five epochs of AdamW with a cosine, all data in
    # one shuffled stream, no augmentation, SalUn's mask on the gradient only.
    "bad_teacher.epochs=5",
    "bad_teacher.optimizer=adamw",
    "bad_teacher.schedule=cosine",
    "bad_teacher.retain_fraction=1.0",
    "salun.epochs=5",
    "salun.optimizer=adamw",
    "salun.schedule=cosine",
    "salun.augment=false",
    "salun.relabel=once",
    "salun.labels=wrong",
    "salun.stream=shuffled",
    "salun.masking=gradient",
)

SGD_100 = Training(
    epochs=100, batch_size=128, learning_rate=0.1, weight_decay=5e-4, schedule="step"
)
"""Recipe of originals and oracles; Tiny ImageNet takes batches of 256."""


VIT_224 = Network(
    name="vit_base",
    patch=16,
    image_size=224,
    weights="google/vit-base-patch16-224-in21k",
    normalize="centred",
)
"""ViT-B/16 at 224 pixels with pretrained weights."""

VIT_FINE_TUNING = Training(
    epochs=5, batch_size=128, learning_rate=0.01, weight_decay=0.0, schedule="cosine"
)
"""A recipe of ours for fine-tuning it; its authors', too, is SGD with momentum and a cosine."""


def settings(batch_size: int, **methods: dict[str, float]) -> tuple[str, ...]:
    """The frame with one batch size, then each method's own hyperparameters, as ``set`` entries."""
    sizes = [f"{name}.batch_size={batch_size}" for name in NATMU_BASELINES]
    own = [
        f"{name}.{field}={value!r}".replace("=True", "=true")
        for name, fields in methods.items()
        for field, value in fields.items()
    ]
    return (*NATMU_FRAME, *sizes, *own)
