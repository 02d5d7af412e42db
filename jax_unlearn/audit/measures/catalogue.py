"""The catalogue: every measure of the audit, what it says, what it needs and where it comes from.

Adding a measure means an entry here and its number in :mod:`jax_unlearn.audit.measures.evaluation`.
"""

import dataclasses
from collections.abc import Callable

from jax_unlearn.audit.measures.accuracy import accuracies
from jax_unlearn.audit.measures.distances import (
    activation_distance,
    completeness,
    jensen_shannon,
    kl_oracle_to_unlearned,
)
from jax_unlearn.audit.measures.features import linear_cka, linear_probe_accuracy
from jax_unlearn.audit.measures.forgetting_quality import (
    EPSILON_CAP,
    final_score,
    forgetting_epsilons,
    forgetting_quality,
)
from jax_unlearn.audit.measures.gap import average_gap, tow, tow_mia
from jax_unlearn.audit.measures.klom import klom
from jax_unlearn.audit.measures.lira import ulira
from jax_unlearn.audit.measures.loss_attack import loss_attack_accuracy
from jax_unlearn.audit.measures.membership import (
    entropy_attack_member_percent,
    svc_attack_nonmember_share,
)
from jax_unlearn.audit.measures.memorization import MIN_SUBSETS, memorization_scores
from jax_unlearn.audit.measures.rmia import rmia
from jax_unlearn.audit.measures.zrf import zrf
from jax_unlearn.audit.probes.relearn import relearn_time

QUICK, STANDARD, STRONG = "quick", "standard", "strong"
LEVELS = (QUICK, STANDARD, STRONG)

ALONE, PAIR, BANKS, DATA = "alone", "pair", "banks", "data"

BOTH, ABOVE, BELOW = "both", "above", "below"

MIN_BANK = 16
"""Models on either side that a comparison of banks takes at least."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """One entry of the catalogue.

    Attributes:
      name: key in tables and JSON.
      title: a few words for a heading.
      unit: of its values, '' for none.
      kind: 'alone' (a number per model), 'pair' (a number per model and oracle), 'banks' (a number
        per two banks of models) or 'data' (numbers per set of examples, of no model's own).
      level: the lowest level of the audit that has it.
      function: what computes it; its docstring has the formula.
      does: one line.
      higher: what a larger value means.
      source: where it comes from.
      oracle_value: what a perfect unlearning has, None where that is whatever the oracles have.
      outside: on which side of the null band a model is unlike retraining: 'both', 'above' or
        'below'. No distance to the oracle is too small.
      low: smallest possible value.
      high: largest possible value.
      probe: whether it takes a model's :class:`~jax_unlearn.audit.probes.probe.Probe` too.
    """

    name: str
    title: str
    unit: str
    kind: str
    level: str
    function: Callable
    does: str
    higher: str
    source: str
    oracle_value: float | None = None
    outside: str = BOTH
    low: float = float("-inf")
    high: float = float("inf")
    probe: bool = False

    @property
    def needs(self) -> str:
        """What it takes, in words."""
        words = {
            ALONE: "1 model; the band: 2 oracles, better 5",
            PAIR: "1 model and 1 oracle; the band: 3 oracles, better 5",
            BANKS: f"{MIN_BANK} unlearned models and {2 * MIN_BANK} oracles, better 64 and 128",
            DATA: f"{MIN_SUBSETS} models trained on random halves of the data, better 100",
        }[self.kind]
        return words + " (of each its probe, from weights and images)" * self.probe


_KNOWN = "more of the forget set is still known"
_UNSEEN = "less of the forget set looks trained on; the opposite of the entropy attack"
_FARTHER = "farther from the oracles"
_NEARER = "nearer to the oracles"
_TELLS = "the attack tells unlearned models from oracles better"
_TOW = 'Zhao et al., "What makes unlearning hard and what to do about it", 2024, arXiv:2406.01257'
_BAD_TEACHER = 'Chundawat et al., "Can Bad Teaching Induce Forgetting?", 2023, arXiv:2205.08096'
_SALUN = 'Fan et al., "SalUn", 2024, arXiv:2310.12508'
_KIT = (
    'Triantafillou et al., "Are we making progress in unlearning? Findings from the first NeurIPS '
    'unlearning competition", 2024, arXiv:2406.09073'
)
_HAYES = (
    'Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False Sense of '
    'Privacy", 2024, arXiv:2403.01218'
)
_RMIA = (
    'Zarifzadeh et al., "Low-Cost High-Power Membership Inference Attacks", 2024, arXiv:2312.03262'
)
_KLOM = (
    'Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", 2024, '
    "arXiv:2410.23232"
)
_GOLATKAR = (
    'Golatkar et al., "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep '
    'Networks", 2020, arXiv:1911.04933'
)


def _percent(name: str, title: str, does: str, higher: str, source: str, function: Callable):
    return Measure(
        name, title, "%", ALONE, QUICK, function, does, higher, source, low=0.0, high=100.0
    )


def _pair(name: str, title: str, unit: str, function: Callable, does: str, source: str, **more):
    more = {"outside": ABOVE, "higher": _FARTHER, "low": 0.0, **more}
    return Measure(name, title, unit, PAIR, QUICK, function, does, source=source, **more)


def _banks(name: str, title: str, unit: str, function: Callable, does: str, source: str, **more):
    return Measure(name, title, unit, BANKS, STRONG, function, does, source=source, **more)


def _attack(name: str, title: str, function: Callable, does: str, source: str, ideal: float | None):
    # U-LiRA fits its densities to both kinds of model, so that it errs below chance by chance only.
    return _banks(
        name,
        title,
        "",
        function,
        does,
        source,
        # RMIA asks whether examples look known: what is forgotten too well lies below the oracles.
        higher=_KNOWN if function is rmia else _TELLS,
        oracle_value=ideal,
        outside=BOTH if function is rmia else ABOVE,
        low=0.0,
        high=1.0,
    )


def _klom(split: str):
    return _banks(
        f"klom_{split}_p95",
        f"KLOM on the {split} set, 95th percentile",
        "nats",
        klom,
        f"KL between histograms of margins per {split} example, at its 95th percentile",
        _KLOM,
        higher=_FARTHER,
        outside=ABOVE,
        low=0.0,
    )


def _inside(name: str, title: str, unit: str, function: Callable, does: str, source: str, **more):
    more = {"kind": ALONE, "low": 0.0, **more}
    return Measure(
        name,
        title,
        unit,
        level=STANDARD,
        function=function,
        does=does,
        source=source,
        **more,
        probe=True,
    )


CATALOGUE = (
    _percent(
        "RA",
        "Retain accuracy",
        "accuracy on retain training images",
        "more of the retain set is answered right",
        "common to all papers",
        accuracies,
    ),
    _percent(
        "FA",
        "Forget accuracy",
        "accuracy on forget training images; the papers' UA is 100 - FA",
        _KNOWN,
        "common to all papers",
        accuracies,
    ),
    _percent(
        "TA",
        "Test accuracy",
        "accuracy on test images, in a class-wise request of the remaining classes",
        "more of the test set is answered right",
        "common to all papers",
        accuracies,
    ),
    _percent(
        "FA_test",
        "Forget accuracy on test images",
        "accuracy on test images of the forgotten classes, in class-wise requests",
        "the forgotten classes are still known",
        "common to all papers",
        accuracies,
    ),
    _percent(
        "MIA_entropy_member",
        "Entropy attack: called members",
        "forget images that logistic regression on entropy calls members",
        "more of the forget set looks trained on",
        _BAD_TEACHER,
        entropy_attack_member_percent,
    ),
    _percent(
        "MIA_svc_nonmember",
        "SVC attack: called non-members",
        "forget images that a support vector classifier on confidence calls non-members",
        _UNSEEN,
        _SALUN,
        svc_attack_nonmember_share,
    ),
    _percent(
        "MIA_loss",
        "Loss attack: accuracy",
        "how often logistic regression on the loss tells forget from test images; a coin has 50",
        "the forget set stands out more from test images",
        _KIT,
        loss_attack_accuracy,
    ),
    _pair(
        "gap",
        "Average gap",
        "points",
        average_gap,
        "mean absolute difference of accuracies to an oracle, over the protocol's terms",
        _SALUN,
        high=100.0,
    ),
    _pair(
        "gap_MIA",
        "Average gap with an attack",
        "points",
        average_gap,
        "the same with the protocol's attack among the terms",
        _SALUN,
        high=100.0,
    ),
    _pair(
        "ToW",
        "Tug-of-War",
        "",
        tow,
        "product of 1 - difference to an oracle over the protocol's terms; 1 for equal accuracies",
        _TOW,
        higher=_NEARER,
        outside=BELOW,
        high=1.0,
    ),
    _pair(
        "ToW_MIA",
        "Tug-of-War with the SVC attack",
        "",
        tow_mia,
        "the same with the SVC attack in the place of the forget accuracy",
        _TOW,
        higher=_NEARER,
        outside=BELOW,
        high=1.0,
    ),
    _pair(
        "KL_forget",
        "KL divergence on the forget set",
        "nats",
        kl_oracle_to_unlearned,
        "mean KL(oracle || model) over forget images",
        'He et al., "Towards Natural Machine Unlearning", 2024, arXiv:2405.15495',
    ),
    _pair(
        "KL_test",
        "KL divergence on the test set",
        "nats",
        kl_oracle_to_unlearned,
        "mean KL(oracle || model) over test images",
        'He et al., "Towards Natural Machine Unlearning", 2024, arXiv:2405.15495',
    ),
    _pair(
        "JS_forget",
        "Jensen-Shannon divergence on the forget set",
        "nats",
        jensen_shannon,
        "mean Jensen-Shannon divergence to an oracle over forget images",
        _BAD_TEACHER,
        high=0.6931471805599453,
    ),
    _pair(
        "AD_forget",
        "Activation distance on the forget set",
        "",
        activation_distance,
        "mean Euclidean distance of the softmax vectors to an oracle's over forget images",
        'Golatkar et al., "Mixed-Privacy Forgetting in Deep Networks", 2021, arXiv:2012.13431',
        high=1.4142135623730951,
    ),
    _pair(
        "completeness_forget",
        "Completeness on the forget set",
        "",
        completeness,
        "share of forget images on which model and oracle choose one class",
        'Cao and Yang, "Towards Making Systems Forget with Machine Unlearning", 2015',
        higher=_NEARER,
        outside=BELOW,
        high=1.0,
    ),
    _banks(
        "forgetting_quality",
        "Forgetting quality",
        "",
        forgetting_quality,
        "points for a small epsilon, mean over forget images; below 1 between oracles too",
        _KIT,
        higher=_NEARER,
        outside=BELOW,
        low=0.0,
        high=1.0,
    ),
    _banks(
        "final_score",
        "Competition score",
        "",
        final_score,
        "forgetting quality times the shares of the oracles' retain and test accuracy",
        _KIT,
        higher=_NEARER,
        outside=BELOW,
        low=0.0,
    ),
    _banks(
        "epsilon_median",
        "Epsilon of the median forget image",
        "nats",
        forgetting_epsilons,
        "largest epsilon that an attack on an image proves, median over forget images",
        _KIT,
        higher=_TELLS,
        outside=ABOVE,
        low=0.0,
        high=EPSILON_CAP,
    ),
    _attack("ulira_auc", "U-LiRA: AUC", ulira, "area under the ROC curve", _HAYES, 0.5),
    _attack("ulira_accuracy", "U-LiRA: accuracy", ulira, "balanced accuracy", _HAYES, 0.5),
    _attack(
        "ulira_tpr_1",
        "U-LiRA: TPR at 1 % FPR",
        ulira,
        "true positive rate where 1 % of oracles are called unlearned",
        _HAYES,
        0.01,
    ),
    _attack(
        "ulira_tpr_01",
        "U-LiRA: TPR at 0.1 % FPR",
        ulira,
        "true positive rate where 0.1 % of oracles are called unlearned",
        _HAYES,
        0.001,
    ),
    _attack("rmia_auc", "RMIA: AUC", rmia, "area under the ROC curve", _RMIA, 0.5),
    _attack(
        "rmia_tpr_1",
        "RMIA: TPR at 1 % FPR",
        rmia,
        "true positive rate where 1 % of oracles are called unlearned; less where scores tie",
        _RMIA,
        None,
    ),
    _klom("forget"),
    _klom("retain"),
    _klom("test"),
    _inside(
        "ZRF",
        "Zero Retrain Forgetting",
        "",
        zrf,
        "1 - Jensen-Shannon divergence (nats) to an untrained network on the forget set",
        _BAD_TEACHER,
        higher="forget images are answered more like an untrained network answers",
        low=0.3068528194400547,
        high=1.0,
    ),
    _inside(
        "relearn_time",
        "Relearn time",
        "steps",
        relearn_time,
        "updates on the forget set until its loss is back at the originals' mean",
        _GOLATKAR,
        higher="less of the forget set is left inside, or it is suppressed",
    ),
    _inside(
        "linear_probe",
        "Linear probe",
        "%",
        linear_probe_accuracy,
        "forget accuracy of a linear classifier of features, fitted to retain images",
        'Alain and Bengio, "Understanding Intermediate Layers Using Linear Classifier Probes", '
        "2016, arXiv:1610.01644",
        higher="the features know more of the forget set",
        high=100.0,
    ),
    _inside(
        "linear_CKA",
        "Linear CKA",
        "",
        linear_cka,
        "likeness of features on the forget set to an oracle's (unbiased estimator)",
        'Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019, '
        "arXiv:1905.00414",
        kind=PAIR,
        higher=_NEARER,
        outside=BELOW,
        low=-1.0,
        high=1.0,
    ),
    Measure(
        "memorization",
        "Memorization score",
        "",
        DATA,
        QUICK,
        memorization_scores,
        "how much more often an example is right where it was trained on",
        "forgetting the example changes more",
        'Feldman and Zhang, "What Neural Networks Memorize and Why", 2020, arXiv:2008.03703',
        low=-1.0,
        high=1.0,
    ),
)
"""All measures, in the order of tables."""

BY_NAME = {measure.name: measure for measure in CATALOGUE}
