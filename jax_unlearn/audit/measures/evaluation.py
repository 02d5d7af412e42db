"""The numbers of the catalogue: of one model, of a model and an oracle, of two banks of models."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jax_unlearn.audit.measures.confidence import logit_confidence
from jax_unlearn.audit.measures.distances import completeness
from jax_unlearn.audit.measures.features import linear_cka, linear_probe_accuracy
from jax_unlearn.audit.measures.forgetting_quality import final_score, forgetting_quality
from jax_unlearn.audit.measures.gap import tow_mia
from jax_unlearn.audit.measures.klom import klom, klom_percentiles
from jax_unlearn.audit.measures.lira import ulira
from jax_unlearn.audit.measures.loss_attack import loss_attack_accuracy
from jax_unlearn.audit.measures.protocol import AuditProtocol, measure_against, measure_alone
from jax_unlearn.audit.measures.rmia import rmia
from jax_unlearn.audit.measures.zrf import zrf
from jax_unlearn.audit.probes.probe import Probe
from jax_unlearn.audit.probes.relearn import relearn_time
from jax_unlearn.core import Predictions

BANK_EXAMPLES = 2000
"""Retain and test examples, evenly spaced, that banks are compared on; the forget set is whole."""


class BankConfidences(NamedTuple):
    """What the comparisons of banks look at; rows are models.

    Attributes:
      forget: float64 [N, E], logit confidence of each forget example.
      retain: float64 [N, R], of retain examples.
      test: float64 [N, T], of test examples of remaining classes.
      retain_accuracy: float64 [N], in percent.
      test_accuracy: float64 [N], in percent.
    """

    forget: np.ndarray
    retain: np.ndarray
    test: np.ndarray
    retain_accuracy: np.ndarray
    test_accuracy: np.ndarray

    def models(self, rows: Sequence[int]) -> "BankConfidences":
        """The same of some models."""
        return BankConfidences(*(array[np.asarray(rows, int)] for array in self))


def measure_run(predictions: Predictions, protocol: AuditProtocol) -> dict[str, float]:
    """Return the measures of kind 'alone', all in percent."""
    loss = loss_attack_accuracy(predictions, nonmembers=protocol.nonmembers)
    return {**measure_alone(predictions, protocol), "MIA_loss": 100.0 * loss}


def measure_pair(
    predictions: Predictions,
    measured: dict[str, float],
    oracle: Predictions,
    target: dict[str, float],
    protocol: AuditProtocol,
) -> dict[str, float]:
    """Return the measures of kind 'pair'.

    Args:
      predictions: the model's outputs.
      measured: its measures from :func:`measure_run`.
      oracle: the oracle's outputs on the same examples.
      target: the oracle's measures.
      protocol: which terms the gaps and ToW take.
    """
    return {
        **measure_against(predictions, measured, oracle, target, protocol),
        "ToW_MIA": tow_mia(measured, target),
        "completeness_forget": completeness(oracle.forget.logits, predictions.forget.logits),
    }


CUT_OFF = "relearn_cut_off"
"""1.0 where relearning ended before its target, so that the relearn time is a lower bound."""


def measure_probe(predictions: Predictions, probe: Probe, target: float | None) -> dict[str, float]:
    """Return the measures of kind 'alone' that take a probe, and ``CUT_OFF``.

    Args:
      predictions: the model's outputs.
      probe: its probe, its forget examples in the order of the predictions.
      target: loss in nats that relearning has to reach; None leaves the relearn time out.

    Returns:
      The measures; NaN for a probe that has one class only to be fitted to. Where relearning was
      cut off its time is the last step made.
    """
    retain = predictions.retain
    order = np.argsort(retain.id)
    label = retain.label[order[np.searchsorted(retain.id[order], probe.probe_id)]]
    accuracy = float("nan")
    if len(np.unique(label)) > 1:
        accuracy = linear_probe_accuracy(
            probe.probe_features, label, probe.forget_features, predictions.forget.label
        )
    found = {"ZRF": zrf(predictions.forget.logits, probe.random_logits), "linear_probe": accuracy}
    if target is None:
        return found
    steps = relearn_time(probe.curve, target)
    short = np.isposinf(steps)
    return {
        **found,
        "relearn_time": float(probe.relearn_steps[-1]) if short else steps,
        CUT_OFF: float(short),
    }


def measure_probe_pair(probe: Probe, oracle: Probe) -> dict[str, float]:
    """Return the measures of kind 'pair' that take probes; NaN below four forget examples.

    The unbiased estimator: forget sets are often no larger than the number of features, where the
    biased one finds likeness between any two networks.

    Args:
      probe: the model's.
      oracle: the oracle's, its forget examples in the same order.
    """
    if len(probe.forget_id) < 4:
        return {"linear_CKA": float("nan")}
    features = probe.forget_features, oracle.forget_features
    return {"linear_CKA": linear_cka(*features, estimator="unbiased")}


def bank_confidences(
    runs: Sequence[Predictions], measured: Sequence[dict[str, float]]
) -> BankConfidences:
    """Gather what the comparisons of banks look at.

    Args:
      runs: the models' outputs, at least one.
      measured: their measures from :func:`measure_run`.
    """
    first = runs[0]
    remaining = np.flatnonzero(~first.test_forgotten)
    rows = {
        "forget": np.arange(len(first.forget.label)),
        "retain": _spread(np.arange(len(first.retain.label))),
        "test": _spread(remaining),
    }

    def confidences(split: str) -> np.ndarray:
        chosen = rows[split]
        return np.stack(
            [
                logit_confidence(outputs.logits[chosen], outputs.label[chosen])
                for outputs in (getattr(run, split) for run in runs)
            ]
        )

    return BankConfidences(
        *(confidences(split) for split in ("forget", "retain", "test")),
        *(np.array([values[name] for values in measured]) for name in ("RA", "TA")),
    )


def measure_banks(unlearned: BankConfidences, oracle: BankConfidences) -> dict[str, float]:
    """Return the measures of kind 'banks'; those that depend on numbers of models do so here too.

    Raises:
      InputError: if a bank holds too few models.
    """
    quality = forgetting_quality(unlearned.forget, oracle.forget)
    lira_report = ulira(unlearned.forget, oracle.forget, n_resamples=0)
    rmia_report = rmia(
        *(probability(bank.forget) for bank in (unlearned, oracle)),
        *(probability(bank.test) for bank in (unlearned, oracle)),
        n_resamples=0,
    )
    accuracies = (
        np.mean(values)
        for values in (
            unlearned.retain_accuracy,
            oracle.retain_accuracy,
            unlearned.test_accuracy,
            oracle.test_accuracy,
        )
    )
    return {
        "forgetting_quality": quality.score,
        "final_score": final_score(quality.score, *accuracies),
        "epsilon_median": float(np.nanmedian(quality.epsilon)),
        "ulira_auc": lira_report.auc.value,
        "ulira_accuracy": lira_report.accuracy.value,
        "ulira_tpr_1": lira_report.tpr_at_1_percent.value,
        "ulira_tpr_01": lira_report.tpr_at_01_percent.value,
        "rmia_auc": rmia_report.auc.value,
        "rmia_tpr_1": rmia_report.tpr_at_1_percent.value,
        **{
            f"klom_{split}_p95": klom_percentiles(
                klom(getattr(unlearned, split), getattr(oracle, split))
            ).p95
            for split in ("forget", "retain", "test")
        },
    }


def probability(log_odds: np.ndarray) -> np.ndarray:
    """Return the probability of the true class, float64 in [0, 1], of its log-odds."""
    # In this form nothing overflows.
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def resolutions(oracle: Predictions, protocol: AuditProtocol) -> dict[str, float]:
    """Return the step in which measures of kind 'alone' and 'pair' that count examples move."""
    share = 100.0 / len(oracle.forget.label)
    forgotten = np.asarray(oracle.test_forgotten)
    steps = {
        "RA": 100.0 / len(oracle.retain.label),
        "FA": share,
        "TA": 100.0 / int(np.sum(~forgotten)),
        "MIA_entropy_member": share,
        "MIA_svc_nonmember": share,
        "MIA_loss": share,
        "completeness_forget": share / 100.0,
        "linear_probe": share,
    }
    if forgotten.any():
        steps["FA_test"] = 100.0 / int(np.sum(forgotten))
    means = {
        "gap": protocol.terms,
        "gap_MIA": protocol.attack_terms,
    }
    steps |= {name: float(np.mean([steps[t] for t in terms])) for name, terms in means.items()}
    products = {"ToW": protocol.terms, "ToW_MIA": ("MIA_svc_nonmember", "RA", "TA")}
    steps |= {name: sum(steps[t] for t in terms) / 100.0 for name, terms in products.items()}
    return steps


def _spread(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= BANK_EXAMPLES:
        return rows
    return rows[np.linspace(0, len(rows) - 1, BANK_EXAMPLES).astype(int)]
