"""Figures of a run: arrays in, a matplotlib figure out; drawn without any global state."""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError:
    raise ImportError(
        "jax_unlearn.report.figures needs matplotlib: pip install 'jax_unlearn[report]'",
        name="matplotlib",
    ) from None

from jax_unlearn.display import display_name
from jax_unlearn.report.figures.attention import relevance_figure
from jax_unlearn.report.figures.board import Panel, Place, gap_against_cost_figure
from jax_unlearn.report.figures.both_kl import gap_against_both_kl_figure
from jax_unlearn.report.figures.comparison import gap_against_kl_figure, time_figure
from jax_unlearn.report.figures.confidence import density_figure, strip_figure
from jax_unlearn.report.figures.cost import gap_against_time_figure
from jax_unlearn.report.figures.course import forget_accuracy_figure, mumis_figure
from jax_unlearn.report.figures.entropy import entropy_figure
from jax_unlearn.report.figures.epsilon import epsilon_figure
from jax_unlearn.report.figures.hybrids import hybrid_figure
from jax_unlearn.report.figures.masked import MaskedRow, masked_forget_figure
from jax_unlearn.report.figures.roc import roc_figure
from jax_unlearn.report.figures.sensitivity import falling_figure, sensitivity_figure
from jax_unlearn.report.figures.style import save, styles
from jax_unlearn.report.figures.sweep import settings_figure, sweep_figure

__all__ = [
    "MaskedRow",
    "Panel",
    "Place",
    "density_figure",
    "display_name",
    "entropy_figure",
    "epsilon_figure",
    "falling_figure",
    "forget_accuracy_figure",
    "gap_against_both_kl_figure",
    "gap_against_cost_figure",
    "gap_against_kl_figure",
    "gap_against_time_figure",
    "hybrid_figure",
    "masked_forget_figure",
    "mumis_figure",
    "relevance_figure",
    "roc_figure",
    "save",
    "sensitivity_figure",
    "settings_figure",
    "strip_figure",
    "styles",
    "sweep_figure",
    "time_figure",
]
