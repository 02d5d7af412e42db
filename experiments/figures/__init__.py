"""Figures of a run: arrays in, a matplotlib figure out; drawn without any global state."""

from experiments.figures.comparison import gap_against_kl_figure, time_figure
from experiments.figures.confidence import density_figure, strip_figure
from experiments.figures.cost import gap_against_time_figure
from experiments.figures.course import forget_accuracy_figure, mumis_figure
from experiments.figures.entropy import entropy_figure
from experiments.figures.epsilon import epsilon_figure
from experiments.figures.hybrids import hybrid_figure
from experiments.figures.roc import roc_figure
from experiments.figures.style import display_name, save, styles
from experiments.figures.sweep import sweep_figure

__all__ = [
    "density_figure",
    "display_name",
    "entropy_figure",
    "epsilon_figure",
    "forget_accuracy_figure",
    "gap_against_kl_figure",
    "gap_against_time_figure",
    "hybrid_figure",
    "mumis_figure",
    "roc_figure",
    "save",
    "strip_figure",
    "styles",
    "sweep_figure",
    "time_figure",
]
