"""What a run's stored predictions and records show: table, figures, a section of the report."""

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table as RichTable

from jax_unlearn import audit
from jax_unlearn.engine import run_keys
from jax_unlearn.files import write_whole
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method
from jax_unlearn.report import figures
from jax_unlearn.report.run_report import RowSummary, Section, write_report

from .config import build_method, to_json
from .pipeline import Bench, Forgetting, make_key, make_problem


@dataclasses.dataclass(frozen=True)
class Findings:
    """One request's audit.

    Attributes:
      forgetting: the request.
      table: the audit's table.
      section: the report's section.
    """

    forgetting: Forgetting
    table: audit.Table
    section: Section


def summarize(
    bench: Bench,
    forgetting: Forgetting,
    arguments: Mapping[str, Mapping[str, Any]],
    on_step: Callable[[int, int], None],
) -> Findings:
    """Audit a request's stored predictions and draw its figures.

    Args:
      bench: the experiment.
      forgetting: the request.
      arguments: each method's hyperparameters where they differ from the defaults.
      on_step: called with the number of parts done and planned.
    """
    folder, slug, seeds = bench.folder, forgetting.slug, bench.experiment.seeds
    names = ("original", "oracle", "second_oracle", *bench.experiment.methods)
    stored = {name: [folder.predictions(slug, name, s) for s in seeds] for name in names}
    parts = {name: [folder.parts[slug, name, s] for s in seeds] for name in names}
    methods = {name: stored[name] for name in bench.experiment.methods}
    timed = [name for name in names if name not in ("original", "second_oracle")]
    seconds = {name: [part["run_seconds"] for part in parts[name]] for name in timed}
    statuses = {name: [_status(name, part) for part in parts[name]] for name in methods}
    table = audit.audit_request(
        stored["original"],
        stored["oracle"],
        stored["second_oracle"],
        methods,
        seconds=seconds,
        statuses=statuses,
        protocol=audit.AuditProtocol(svc_max_examples=bench.experiment.svc_examples or None),
    )
    drawn = _draw(bench, forgetting, table, stored, seconds, arguments)
    paths = {}
    for done, (name, (description, figure)) in enumerate(drawn.items(), start=1):
        path = folder.figure(slug, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        figures.save(figure, path)
        paths[description] = path.relative_to(folder.path)
        on_step(done, len(drawn))
    return Findings(forgetting, table, _section(bench, forgetting, table, paths))


def _status(name: str, part: Mapping[str, Any]) -> str:
    """What a reader must know of how a run ended; '' for nothing."""
    if part["status"] == "finished" and (note := method_class(find_method(name)).limit_note):
        return note
    return "collapsed" if part["status"] == "collapsed" else ""


def write(bench: Bench, findings: list[Findings]) -> None:
    """Write ``table.md``, ``table.csv`` and ``report.md`` over all requests."""
    folder = bench.folder
    texts = [f"## {f.section.title}\n\n{audit.to_markdown(f.table)}" for f in findings]
    write_whole(folder.path / "table.md", "\n".join(texts))
    rows = [
        {"request": found.forgetting.text, **row}
        for found in findings
        for row in csv.DictReader(io.StringIO(audit.to_csv(found.table)))
    ]
    # Requests of different kinds have different columns: FA_test is class-wise only.
    widest = max(rows, key=len)
    merged = io.StringIO()
    writer = csv.DictWriter(merged, list(widest), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(folder.path / "table.csv", merged.getvalue())
    write_report(
        folder.path / "report.md",
        title=f"Unlearning on {bench.dataset.name}",
        config=to_json(bench.experiment),
        requests=[found.section for found in findings],
    )


def _section(
    bench: Bench, forgetting: Forgetting, table: audit.Table, paths: Mapping[str, Any]
) -> Section:
    rows = {row.name: row for row in table.rows}

    def summary(row: audit.Row) -> RowSummary:
        gap, seconds = row.cells["gap"], row.cells["seconds"].mean
        return RowSummary(
            name=row.name,
            gap=gap.mean,
            gap_low=gap.low,
            gap_high=gap.high,
            inside_null_band=row.inside_null_band,
            seconds=seconds if math.isfinite(seconds) else None,
            flags=row.flags,
        )

    band = table.bands["gap"].high
    retraining = rows["oracle"].cells["seconds"].mean
    return Section(
        title=f"{bench.dataset.name}, {forgetting.text}",
        request=f"{forgetting.request.name} {dict(forgetting.request.arguments)}",
        forgotten=len(forgetting.forget.label),
        training=len(bench.dataset.train.label),
        request_hash=forgetting.request.hash,
        seeds=table.seeds,
        gap_terms=table.protocol.terms,
        table=audit.to_markdown(table),
        rows=[summary(rows[name]) for name in bench.experiment.methods],
        original=summary(rows["original"]),
        null_high=band if math.isfinite(band) else None,
        retrain_seconds=retraining if math.isfinite(retraining) else None,
        figures=paths,
    )


def _draw(
    bench: Bench,
    forgetting: Forgetting,
    table: audit.Table,
    stored: Mapping[str, list],
    seconds: Mapping[str, list[float]],
    arguments: Mapping[str, Mapping[str, Any]],
) -> dict[str, tuple[str, Figure]]:
    """Draw every figure: file name -> (description, figure)."""
    rows = {row.name: row for row in table.rows}
    methods = bench.experiment.methods
    subject = f"{bench.dataset.name}, {forgetting.text}"
    curves = {name: _curves(bench, forgetting, name) for name in methods}
    drawn = {
        "forget_accuracy": (
            "Forget accuracy during unlearning",
            figures.forget_accuracy_figure(
                {name: curve for name, curve in curves.items() if np.isfinite(curve).any()},
                oracle=rows["oracle"].values["FA"],
                original=rows["original"].values["FA"],
                title=f"Forget accuracy during unlearning ({subject})",
            ),
        ),
        "entropy": (
            "Entropy of the outputs on forget and test images, first seed",
            figures.entropy_figure(
                {name: stored[name][0] for name in ("original", "oracle", *methods)},
                title=f"How sure each model is of forget and of test images ({subject})",
            ),
        ),
        "time": (
            "Time of unlearning",
            figures.time_figure(
                {name: seconds[name] for name in methods},
                retrain=seconds["oracle"],
                title=f"Time per method ({subject})",
            ),
        ),
        "gap_kl": (
            "Average gap against KL(oracle || unlearned) on the forget set",
            figures.gap_against_kl_figure(
                {name: rows[name].values["gap"] for name in methods},
                {name: rows[name].values["KL_forget"] for name in methods},
                null_gap=[_band_edge(table, rows, "gap")],
                null_kl=[_band_edge(table, rows, "KL_forget")],
                title=f"Distance to the oracle by two measures ({subject})",
            ),
        ),
    }
    # Other numbers of channels than those of grey and colour images cannot be shown.
    if "natmu" in methods and bench.dataset.train.image.shape[3] in (1, 3):
        figure = _hybrids(bench, forgetting, arguments["natmu"], subject)
        drawn["hybrids"] = ("NatMU's hybrids, first seed", figure)
    if "mumis" in methods:
        figure = _mumis(bench, forgetting, rows["oracle"], arguments["mumis"], subject)
        drawn["mumis"] = ("MU-Mis's sensitivities and accuracies, first seed", figure)
    return drawn


def _band_edge(table: audit.Table, rows: Mapping[str, audit.Row], measure: str) -> float:
    """Upper end of the table's null band; of one seed, where there is none, its only value."""
    edge = table.bands[measure].high
    return edge if math.isfinite(edge) else rows["second oracle"].values[measure][0]


def _curves(bench: Bench, forgetting: Forgetting, name: str) -> np.ndarray:
    """Forget accuracy [seeds, epochs + 1] in percent, NaN after a run that stopped early."""
    histories = [bench.folder.histories[forgetting.slug, name, s] for s in bench.experiment.seeds]
    curves = np.full((len(histories), max(map(len, histories))), np.nan)
    for curve, history in zip(curves, histories, strict=True):
        curve[: len(history)] = [entry["forget_accuracy"] for entry in history]
    return curves


def _hybrids(
    bench: Bench, forgetting: Forgetting, arguments: Mapping[str, Any], subject: str
) -> Figure:
    """The first hybrids that NatMU trained on in the first seed, built again from its key."""
    seed = bench.experiment.seeds[0]
    method = build_method("natmu", arguments)
    key = run_keys(make_key(seed, "unlearn", forgetting.slug, "natmu")).pool
    hybrids = method.hybrids(key, make_problem(bench, forgetting, seed, method))
    shown = np.linspace(0, len(hybrids.label) - 1, min(6, len(hybrids.label))).astype(int)
    return figures.hybrid_figure(
        forgetting.forget.image[shown],
        forgetting.retain.image[np.asarray(hybrids.partner)[shown]],
        np.asarray(hybrids.mask),
        np.asarray(hybrids.image)[shown],
        forget_labels=forgetting.forget.label[shown],
        hybrid_labels=np.asarray(hybrids.label)[shown],
        class_names=bench.dataset.class_names,
        title=f"NatMU's hybrids ({subject})",
    )


def _mumis(
    bench: Bench,
    forgetting: Forgetting,
    oracle: audit.Row,
    arguments: Mapping[str, Any],
    subject: str,
) -> Figure:
    part = (forgetting.slug, "mumis", bench.experiment.seeds[0])
    record, history = bench.folder.parts[part], bench.folder.histories[part]
    measures = {"forget_accuracy": "FA", "retain_accuracy": "RA", "test_accuracy": "TA"}
    return figures.mumis_figure(
        history,
        stop_step=int(history[-1]["step"]) if record["status"] == "stopped" else None,
        stop_ratio=build_method("mumis", arguments).stop_ratio,
        oracle={key: oracle.values[measure][0] for key, measure in measures.items()},
        title=f"MU-Mis: sensitivities and accuracies ({subject})",
    )


def show(findings: Findings, terminal: Console) -> None:
    """Print a request's table."""
    table, forgetting = findings.table, findings.forgetting
    terminal.rule(f"{forgetting.text}: {len(forgetting.forget.label)} images forgotten")
    for block in audit.to_blocks(table):
        printed = RichTable(title=block.title, title_justify="left")
        for number, header in enumerate(block.header):
            printed.add_column(header, justify="left" if number == 0 else "right", no_wrap=True)
        for row in block.rows:
            printed.add_row(*row)
        terminal.print(printed)
    for line in audit.caption(table):
        terminal.print(line, style="dim")
