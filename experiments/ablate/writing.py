"""What an ablation leaves in its folder for each request."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from jax_unlearn.files import write_whole
from jax_unlearn.report.figures.style import save

from ..shared.provenance import provenance
from .drawing import figures_of
from .tables import to_csv, to_markdown


def write_record(
    record: Mapping[str, Any], experiment: Mapping[str, Any], place: pathlib.Path
) -> None:
    """Write a record as JSON, CSV, Markdown and figures.

    Args:
      record: of a request.
      experiment: the settings of everything that was not varied, as JSON values.
      place: the folder; made if missing.
    """
    known = {**record, "settings": experiment, "provenance": provenance()}
    place.mkdir(exist_ok=True)
    write_whole(place / "ablation.csv", to_csv(record))
    write_whole(place / "ablation.md", to_markdown(record))
    for name, figure in figures_of(record).items():
        save(figure, place / "figures" / f"{name}.png")
    # Last: who finds it finds all.
    write_whole(place / "ablation.json", json.dumps(known, indent=1, allow_nan=False) + "\n")
