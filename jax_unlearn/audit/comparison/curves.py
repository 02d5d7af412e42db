"""What the figures of an audit are drawn from: curves and samples, as plain JSON values."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_unlearn.audit.comparison.compare import Comparison
from jax_unlearn.audit.comparison.models import METHOD, ORACLE, ORIGINAL
from jax_unlearn.audit.measures.attack_report import AttackScores
from jax_unlearn.audit.measures.banks import BankConfidences, bank_confidences, probability
from jax_unlearn.audit.measures.forgetting_quality import forgetting_epsilons
from jax_unlearn.audit.measures.lira import ulira_scores
from jax_unlearn.audit.measures.measure import MIN_BANK, STRONG
from jax_unlearn.audit.measures.rmia import rmia_scores
from jax_unlearn.audit.measures.roc import roc_curve

POOLED = 2000
EXAMPLES = 12
MODELS_SHOWN = 64
FPR = (0.0, *np.geomspace(1e-4, 1.0, 121).round(9).tolist())


def draw_curves(comparison: Comparison, *, seed: int = 0) -> dict[str, Any]:
    """Return the curves of an audit.

    Keys: ``roc`` (row -> attack -> fpr and tpr) and ``epsilon`` (row -> one number per forget
    example), both of the strong audit only; ``confidence`` (a dozen forget examples, those whose
    confidence the original has farthest above the oracles, in even steps down to the nearest);
    ``density`` (row -> a sample of confidences of all models and forget examples);
    ``forget_accuracy`` (empty, for histories are not predictions) and ``seconds`` (row -> times).

    Args:
      comparison: the audit.
      seed: of the samples.
    """
    banks = dict(comparison.confidences)
    reference = _reference(comparison)
    rng = np.random.default_rng(seed)
    curves: dict[str, Any] = {
        "roc": {},
        "epsilon": {},
        "confidence": {"examples": _examples(comparison, banks, reference)},
        "density": {name: _sample(rng, bank.forget) for name, bank in banks.items()},
        "forget_accuracy": {},
        "seconds": {
            group.name: [run.seconds for run in group.kept]
            for group in comparison.models.groups
            if group.kind != ORIGINAL
            and group.kept
            and all(math.isfinite(run.seconds) for run in group.kept)
        },
    }
    if comparison.level != STRONG:
        return curves
    for row in comparison.rows:
        name = row.group.name
        bank = banks.get(name)
        size = row.results["ulira_auc"].n
        if bank is None or reference is None or size < MIN_BANK:
            continue
        mine, theirs = bank.models(range(size)), reference.models(range(size))
        curves["roc"][name] = {
            "ulira": _roc(ulira_scores(mine.forget, theirs.forget)),
            "rmia": _roc(
                rmia_scores(
                    *(probability(x) for x in (mine.forget, theirs.forget, mine.test, theirs.test))
                )
            ),
        }
        curves["epsilon"][name] = _round(forgetting_epsilons(mine.forget, theirs.forget))
    return curves


def _reference(comparison: Comparison) -> BankConfidences | None:
    """Confidences of the reference oracles; None where none works."""
    if not comparison.reference:
        return None
    runs = [run.predictions for run in comparison.reference]
    unused = [{"RA": math.nan, "TA": math.nan}] * len(runs)
    return bank_confidences(runs, unused)


def _roc(scores: AttackScores) -> dict[str, list[float]]:
    """Average over folds of the true positive rate at each false positive rate."""
    known = ~(np.isnan(scores.unlearned).any(axis=0) | np.isnan(scores.oracle).any(axis=0))
    tpr = []
    for fold in np.unique(scores.oracle_fold):
        curve = roc_curve(
            scores.unlearned[scores.unlearned_fold == fold][:, known],
            scores.oracle[scores.oracle_fold == fold][:, known],
        )
        last = np.searchsorted(curve.fpr, np.array(FPR) + 1e-12, "right") - 1
        tpr.append(curve.tpr[last])
    return {"fpr": list(FPR), "tpr": _round(np.mean(tpr, axis=0))}


def _sample(rng: np.random.Generator, confidences: np.ndarray) -> list[float]:
    pooled = confidences[np.isfinite(confidences)]
    if len(pooled) > POOLED:
        pooled = rng.choice(pooled, POOLED, replace=False)
    return _round(np.sort(pooled))


def _examples(
    comparison: Comparison, banks: Mapping[str, BankConfidences], reference: BankConfidences | None
) -> list[dict[str, Any]]:
    if reference is None:
        return []
    oracle = np.concatenate(
        [reference.forget, *([banks[ORACLE].forget] if ORACLE in banks else [])]
    )
    spread = np.median(banks[ORIGINAL if ORIGINAL in banks else ORACLE].forget, axis=0)
    order = np.argsort(np.median(oracle, axis=0) - spread, kind="stable")
    shown = order[np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).astype(int)]
    forget = comparison.models.first.forget
    methods = [row.group.name for row in comparison.rows if row.group.kind == METHOD]

    def column(bank: np.ndarray, example: int) -> list[float]:
        values = bank[:MODELS_SHOWN, example]
        return _round(values[np.isfinite(values)])

    return [
        {
            "id": int(forget.id[e]),
            "label": int(forget.label[e]),
            "oracle": column(oracle, e),
            "original": column(banks[ORIGINAL].forget, e) if ORIGINAL in banks else [],
            "methods": {name: column(banks[name].forget, e) for name in methods if name in banks},
        }
        for e in shown
    ]


def _round(values: np.ndarray) -> list[float]:
    # Six digits are more than a figure shows, and keep the file small.
    return [float(f"{value:.6g}") for value in np.asarray(values, np.float64)]
