"""Figures, pages and tables of an audit; needs the extra ``report``."""

from importlib.util import find_spec

for _name in ("jinja2", "matplotlib"):
    if find_spec(_name) is None:
        raise ImportError(
            f"jax_unlearn.report needs {_name}: pip install 'jax_unlearn[report]'", name=_name
        )

from jax_unlearn.report.audit_report import write_report  # noqa: E402
from jax_unlearn.report.page.blocks import Picture  # noqa: E402

__all__ = ["Picture", "write_report"]
