"""RF-JSD: are forget images answered as images that were never seen? It needs no oracle."""

import numpy as np

from jax_unlearn.audit.measures.measure import ALONE, QUICK, Evidence, Measure
from jax_unlearn.audit.measures.probabilities import softmax
from jax_unlearn.core import InputError, Outputs, check_choice

VARIANTS = ("definition", "released")


def rf_jsd(forget: Outputs, unseen: Outputs, *, variant: str = "definition") -> float:
    """Return the Jensen-Shannon divergence of mean answers per class; what oracles have is good.

    In nats, in [0, log 2]. The retrain-free measure. As published 0 is good: forget images of every
    class get the mean answer that unseen images of it get. That holds for random samples; a
    retrained model never answers a forgotten class so, nor samples that were chosen for being hard,
    and originals come nearest to 0 there. Means hide what single examples show. Needs one model
    and, as published, its original.

    Args:
      forget: of the unlearned model on the forget set: logits [N, K] and labels [N].
      unseen: logits [M, K] and labels [M] to compare with: published is the ORIGINAL model on test
        images. With the same model on its retain set it needs no other model, and tells whether
        forget images are still answered like those that were trained on.
      variant: 'definition': the mean over the classes that both sets hold of
        0.5 KL(p || m) + 0.5 KL(q || m), p and q the mean probabilities of a class. 'released', for
        tables made so: the directions swapped, probabilities of at least 1e-8, and the mean
        divided once more by the number of classes, since the code takes all of them for one
        distribution and then the mean over its rows.

    Returns:
      The divergence; NaN where logits are, or where no class is in both sets.

    Raises:
      InputError: if the numbers of outputs differ, or for an unknown variant.

    References:
      Spartalis et al., "LoTUS: Large-Scale Machine Unlearning with a Taste of Uncertainty", CVPR
      2025, arXiv:2503.18314.
    """
    check_choice("variant", variant, VARIANTS)
    shapes = np.shape(forget.logits), np.shape(unseen.logits)
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise InputError(
            f"forget={list(shapes[0])} and unseen={list(shapes[1])}: expected logits [N, K] and "
            "[M, K] of the same classes"
        )
    classes = np.intersect1d(forget.label, unseen.label)
    if not len(classes):
        return float("nan")
    p, q = (_class_means(outputs, classes) for outputs in (forget, unseen))
    if variant == "released":
        p, q = (_floored(means) for means in (p, q))
        m = 0.5 * (p + q)
        return float(np.mean(0.5 * _kl(m, p) + 0.5 * _kl(m, q))) / len(classes)
    m = 0.5 * (p + q)
    return float(np.mean(0.5 * _kl(p, m) + 0.5 * _kl(q, m)))


def _class_means(outputs: Outputs, classes: np.ndarray) -> np.ndarray:
    """Mean probabilities of each class, float64 [classes, K]."""
    probabilities = softmax(outputs.logits)
    return np.stack([probabilities[outputs.label == c].mean(axis=0) for c in classes])


def _floored(means: np.ndarray) -> np.ndarray:
    floored = np.clip(means, 1e-8, 1.0)
    return floored * (len(floored) / floored.sum())


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Of each row; a class of probability zero adds nothing, NaN stays."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p != 0)
    return np.sum(p * np.log(ratio), axis=1)


def _of_originals(evidence: Evidence) -> float:
    forget = evidence.predictions.forget
    return float(np.mean([rf_jsd(forget, original.test) for original in evidence.originals]))


def _of_retain(evidence: Evidence) -> float:
    return rf_jsd(evidence.predictions.forget, evidence.predictions.retain)


_SOURCE = 'Spartalis et al., "LoTUS", 2025, arXiv:2503.18314'

RF_JSD = Measure(
    "RF_JSD",
    "Retrain-free Jensen-Shannon divergence",
    "nats",
    ALONE,
    QUICK,
    _of_originals,
    does="between mean answers per class on forget images and the originals' on test images; as "
    "published 0 is good, which holds for random samples only: good is what oracles have",
    higher="forget images are answered less like unseen images by the originals",
    source=_SOURCE,
    formula=rf_jsd,
    low=0.0,
    high=0.6931471805599453,
    needs_originals=True,
    good="good is what retrained models have",
    place=166,
)
RF_JSD_RETAIN = Measure(
    "RF_JSD_retain",
    "Retrain-free Jensen-Shannon divergence to the retain set",
    "nats",
    ALONE,
    QUICK,
    _of_retain,
    does="between the model's own mean answers per class on forget and on retain images; 0 where "
    "forget images are still answered like those trained on, good is what oracles have",
    higher="forget images are answered less like retain images",
    source=_SOURCE,
    formula=rf_jsd,
    low=0.0,
    high=0.6931471805599453,
    class_wise=False,
    good="good is what retrained models have; near 0 is still known",
    place=168,
)
