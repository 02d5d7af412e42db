"""Figures, pages and tables of an audit; pages and figures need the extra ``report``.

Tables of a record need no extra: :func:`to_csv` writes every measure of every row, for programs,
:func:`to_markdown` and :func:`print_summary` the table of verdicts, to read.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from jax_unlearn.report.tables import print_summary, to_csv, to_markdown

if TYPE_CHECKING:
    from jax_unlearn.report.audit_report import write_report
    from jax_unlearn.report.declared_figures import MethodRun, method_figures
    from jax_unlearn.report.page.blocks import Picture

__all__ = [
    "MethodRun",
    "Picture",
    "method_figures",
    "print_summary",
    "to_csv",
    "to_markdown",
    "write_report",
]

_HOMES = {
    "MethodRun": "jax_unlearn.report.declared_figures",
    "Picture": "jax_unlearn.report.page.blocks",
    "method_figures": "jax_unlearn.report.declared_figures",
    "write_report": "jax_unlearn.report.audit_report",
}


def __getattr__(name: str) -> Any:
    # Tables are written without the extra; pages and figures are not.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise ImportError(
                f"jax_unlearn.report.{name} needs {package}: pip install 'jax_unlearn[report]'",
                name=package,
            )
    return getattr(import_module(_HOMES[name]), name)
