"""How close an unlearned model lands to the oracle: measures, null bands, records.

:data:`CATALOGUE` lists every measure; :func:`compare` takes them all.
"""

from jax_unlearn.audit.accuracy import accuracies, accuracy
from jax_unlearn.audit.attack_report import AttackReport, AttackScores, attack_report
from jax_unlearn.audit.bands import NullBand
from jax_unlearn.audit.bootstrap import Estimate, Null, bootstrap_interval, disjoint_null
from jax_unlearn.audit.catalogue import CATALOGUE, LEVELS, Measure
from jax_unlearn.audit.cells import Cell
from jax_unlearn.audit.comparison import AuditRow, Comparison, Verdict, compare
from jax_unlearn.audit.confidence import logit_confidence
from jax_unlearn.audit.course import area_over_course, course, overshoot, worst_over_course
from jax_unlearn.audit.distances import (
    activation_distance,
    completeness,
    jensen_shannon,
    kl_oracle_to_unlearned,
    kl_training_targets,
)
from jax_unlearn.audit.features import linear_cka, linear_probe_accuracy
from jax_unlearn.audit.flags import chance_level, is_collapsed, is_no_op
from jax_unlearn.audit.forgetting_quality import (
    ForgettingQuality,
    final_score,
    forgetting_epsilons,
    forgetting_points,
    forgetting_quality,
)
from jax_unlearn.audit.gap import average_gap, tow, tow_mia
from jax_unlearn.audit.inside import Inside, load_inside, look_inside, probe_rows, save_inside
from jax_unlearn.audit.klom import KlomPercentiles, klom, klom_percentiles
from jax_unlearn.audit.lira import ulira, ulira_scores
from jax_unlearn.audit.loss_attack import loss_attack_accuracy
from jax_unlearn.audit.measures import AuditProtocol
from jax_unlearn.audit.membership import (
    entropy_attack_member_percent,
    percent_called_member,
    share_called_nonmember,
    svc_attack_nonmember_share,
)
from jax_unlearn.audit.memorization import (
    Memorization,
    mean_memorization,
    memorization_scores,
    memorization_standard_errors,
)
from jax_unlearn.audit.models import Group, RequestModels, Run, gather_models
from jax_unlearn.audit.penultimate import penultimate_features
from jax_unlearn.audit.predictions import load_predictions, save_predictions
from jax_unlearn.audit.probabilities import modified_entropy
from jax_unlearn.audit.ranking import Ranking, rank
from jax_unlearn.audit.record import to_record
from jax_unlearn.audit.relearn import RelearnCurve, mean_loss, relearn_curve, relearn_time
from jax_unlearn.audit.render import caption, to_blocks, to_csv, to_markdown, to_rows
from jax_unlearn.audit.rmia import rmia, rmia_scores
from jax_unlearn.audit.roc import (
    Roc,
    auc,
    auc_per_example,
    clopper_pearson,
    delong_auc,
    roc_curve,
    tpr_at_fpr,
)
from jax_unlearn.audit.statistics import Band, Interval, interval, null_band
from jax_unlearn.audit.table import Row, Table, audit_request
from jax_unlearn.audit.zrf import zrf

__all__ = [
    "CATALOGUE",
    "LEVELS",
    "AttackReport",
    "AttackScores",
    "AuditProtocol",
    "AuditRow",
    "Band",
    "Cell",
    "Comparison",
    "Estimate",
    "ForgettingQuality",
    "Group",
    "Inside",
    "Interval",
    "KlomPercentiles",
    "Measure",
    "Memorization",
    "Null",
    "NullBand",
    "Ranking",
    "RelearnCurve",
    "RequestModels",
    "Roc",
    "Row",
    "Run",
    "Table",
    "Verdict",
    "accuracies",
    "accuracy",
    "activation_distance",
    "area_over_course",
    "attack_report",
    "auc",
    "auc_per_example",
    "audit_request",
    "average_gap",
    "bootstrap_interval",
    "caption",
    "chance_level",
    "clopper_pearson",
    "compare",
    "completeness",
    "course",
    "delong_auc",
    "disjoint_null",
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
    "load_inside",
    "load_predictions",
    "logit_confidence",
    "look_inside",
    "loss_attack_accuracy",
    "mean_loss",
    "mean_memorization",
    "memorization_scores",
    "memorization_standard_errors",
    "modified_entropy",
    "null_band",
    "overshoot",
    "penultimate_features",
    "percent_called_member",
    "probe_rows",
    "rank",
    "relearn_curve",
    "relearn_time",
    "rmia",
    "rmia_scores",
    "roc_curve",
    "save_inside",
    "save_predictions",
    "share_called_nonmember",
    "svc_attack_nonmember_share",
    "to_blocks",
    "to_csv",
    "to_markdown",
    "to_record",
    "to_rows",
    "tow",
    "tow_mia",
    "tpr_at_fpr",
    "ulira",
    "ulira_scores",
    "worst_over_course",
    "zrf",
]
