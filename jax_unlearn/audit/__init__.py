"""How close an unlearned model lands to the oracle: measures, null bands, records.

:data:`CATALOGUE` lists every measure; :func:`compare` takes them all.
"""

from jax_unlearn.audit.comparison.bands import NullBand
from jax_unlearn.audit.comparison.compare import AuditRow, Comparison, compare
from jax_unlearn.audit.comparison.flags import chance_level, is_collapsed, is_no_op
from jax_unlearn.audit.comparison.models import Group, RequestModels, Run, gather_models
from jax_unlearn.audit.comparison.ranking import Ranking, rank
from jax_unlearn.audit.comparison.results import MeasureResult
from jax_unlearn.audit.comparison.verdicts import Verdict
from jax_unlearn.audit.measures.accuracy import accuracies, accuracy
from jax_unlearn.audit.measures.attack_report import AttackReport, AttackScores, attack_report
from jax_unlearn.audit.measures.bootstrap import Estimate
from jax_unlearn.audit.measures.catalogue import CATALOGUE
from jax_unlearn.audit.measures.confidence import logit_confidence
from jax_unlearn.audit.measures.course import area_over_course, course, overshoot, worst_over_course
from jax_unlearn.audit.measures.distances import (
    activation_distance,
    completeness,
    jensen_shannon,
    kl_oracle_to_unlearned,
    kl_training_targets,
)
from jax_unlearn.audit.measures.features import linear_cka, linear_probe_accuracy
from jax_unlearn.audit.measures.forgetting_quality import (
    ForgettingQuality,
    final_score,
    forgetting_epsilons,
    forgetting_points,
    forgetting_quality,
)
from jax_unlearn.audit.measures.gap import average_gap, tow, tow_mia
from jax_unlearn.audit.measures.klom import KlomPercentiles, klom, klom_percentiles
from jax_unlearn.audit.measures.lira import ulira, ulira_scores
from jax_unlearn.audit.measures.loss_attack import loss_attack_accuracy
from jax_unlearn.audit.measures.measure import LEVELS, Measure
from jax_unlearn.audit.measures.membership import (
    entropy_attack_member_percent,
    percent_called_member,
    share_called_nonmember,
    svc_attack_nonmember_share,
)
from jax_unlearn.audit.measures.memorization import (
    Memorization,
    mean_memorization,
    memorization_scores,
    memorization_standard_errors,
)
from jax_unlearn.audit.measures.probabilities import modified_entropy
from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.audit.measures.relative_similarity import (
    RelativeSimilarity,
    relative_similarity,
)
from jax_unlearn.audit.measures.relearn_time import RelearnCurve, mean_loss, relearn_time
from jax_unlearn.audit.measures.rf_jsd import rf_jsd
from jax_unlearn.audit.measures.rmia import rmia, rmia_scores
from jax_unlearn.audit.measures.roc import (
    Roc,
    auc,
    auc_per_example,
    clopper_pearson,
    delong_auc,
    roc_curve,
    tpr_at_fpr,
)
from jax_unlearn.audit.measures.statistics import Interval, interval
from jax_unlearn.audit.measures.zrf import zrf
from jax_unlearn.audit.predictions import load_predictions, save_predictions
from jax_unlearn.audit.probes.penultimate import penultimate_features
from jax_unlearn.audit.probes.relearn import relearn_curve
from jax_unlearn.audit.probes.take import probe_rows, take_probe
from jax_unlearn.audit.records.writing import to_record
from jax_unlearn.audit.stored_probe import (
    Probe,
    load_probe,
    save_probe,
)

__all__ = [
    "CATALOGUE",
    "LEVELS",
    "AttackReport",
    "AttackScores",
    "AuditProtocol",
    "AuditRow",
    "Comparison",
    "Estimate",
    "ForgettingQuality",
    "Group",
    "Interval",
    "KlomPercentiles",
    "Measure",
    "MeasureResult",
    "Memorization",
    "NullBand",
    "Probe",
    "Ranking",
    "RelativeSimilarity",
    "RelearnCurve",
    "RequestModels",
    "Roc",
    "Run",
    "Verdict",
    "accuracies",
    "accuracy",
    "activation_distance",
    "area_over_course",
    "attack_report",
    "auc",
    "auc_per_example",
    "average_gap",
    "chance_level",
    "clopper_pearson",
    "compare",
    "completeness",
    "course",
    "delong_auc",
    "entropy_attack_member_percent",
    "final_score",
    "forgetting_epsilons",
    "forgetting_points",
    "forgetting_quality",
    "gather_models",
    "interval",
    "is_collapsed",
    "is_no_op",
    "jensen_shannon",
    "kl_oracle_to_unlearned",
    "kl_training_targets",
    "klom",
    "klom_percentiles",
    "linear_cka",
    "linear_probe_accuracy",
    "load_predictions",
    "load_probe",
    "logit_confidence",
    "loss_attack_accuracy",
    "mean_loss",
    "mean_memorization",
    "memorization_scores",
    "memorization_standard_errors",
    "modified_entropy",
    "overshoot",
    "penultimate_features",
    "percent_called_member",
    "probe_rows",
    "rank",
    "relative_similarity",
    "relearn_curve",
    "relearn_time",
    "rf_jsd",
    "rmia",
    "rmia_scores",
    "roc_curve",
    "save_predictions",
    "save_probe",
    "share_called_nonmember",
    "svc_attack_nonmember_share",
    "take_probe",
    "to_record",
    "tow",
    "tow_mia",
    "tpr_at_fpr",
    "ulira",
    "ulira_scores",
    "worst_over_course",
    "zrf",
]
