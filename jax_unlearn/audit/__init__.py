"""How close an unlearned model lands to the oracle, from stored predictions alone."""

from jax_unlearn.audit.accuracy import accuracies, accuracy
from jax_unlearn.audit.distances import (
    activation_distance,
    completeness,
    jensen_shannon,
    kl_oracle_to_unlearned,
    kl_training_targets,
)
from jax_unlearn.audit.flags import chance_level, is_collapsed, is_no_op
from jax_unlearn.audit.gap import average_gap, tow
from jax_unlearn.audit.measures import AuditProtocol
from jax_unlearn.audit.membership import (
    entropy_attack_member_percent,
    percent_called_member,
    share_called_nonmember,
    svc_attack_nonmember_share,
)
from jax_unlearn.audit.predictions import load_predictions, save_predictions
from jax_unlearn.audit.render import caption, to_blocks, to_csv, to_markdown, to_rows
from jax_unlearn.audit.statistics import Band, Interval, interval, null_band
from jax_unlearn.audit.table import Row, Table, audit_request

__all__ = [
    "AuditProtocol",
    "Band",
    "Interval",
    "Row",
    "Table",
    "accuracies",
    "accuracy",
    "activation_distance",
    "audit_request",
    "average_gap",
    "caption",
    "chance_level",
    "completeness",
    "entropy_attack_member_percent",
    "interval",
    "is_collapsed",
    "is_no_op",
    "jensen_shannon",
    "kl_oracle_to_unlearned",
    "kl_training_targets",
    "load_predictions",
    "null_band",
    "percent_called_member",
    "save_predictions",
    "share_called_nonmember",
    "svc_attack_nonmember_share",
    "to_blocks",
    "to_csv",
    "to_markdown",
    "to_rows",
    "tow",
]
