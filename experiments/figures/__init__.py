"""Figures of a run: arrays in, a matplotlib figure out; drawn without any global state."""

from experiments.figures.comparison import gap_against_kl_figure, time_figure
from experiments.figures.course import forget_accuracy_figure, mumis_figure
from experiments.figures.entropy import entropy_figure
from experiments.figures.hybrids import hybrid_figure
from experiments.figures.style import display_name, save, styles
from experiments.figures.sweep import sweep_figure

__all__ = [
    "display_name",
    "entropy_figure",
    "forget_accuracy_figure",
    "gap_against_kl_figure",
    "hybrid_figure",
    "mumis_figure",
    "save",
    "styles",
    "sweep_figure",
    "time_figure",
]
