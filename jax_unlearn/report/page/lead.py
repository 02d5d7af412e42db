"""The first screen of a report: what was forgotten, whether it worked, how sure that is, its cost.

One wording for one verdict: a row passes, fails or cannot be judged.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jax_unlearn.audit.comparison.verdicts import CANNOT_BE_JUDGED, FAILS, PASSES
from jax_unlearn.core import InputError
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.display import method_of
from jax_unlearn.report.figures.bands import band_distance_figure, place_in_band
from jax_unlearn.report.formats import duration, finite, percent, row_name
from jax_unlearn.report.page.blocks import Block, Cell, Facts, Picture, Table
from jax_unlearn.report.page.pictures import plain_text, short_names
from jax_unlearn.report.page.words import sentence
from jax_unlearn.wording import agree, counted, listed

NAMED = 3
"""Methods that a headline names; more are counted."""

SHOWN = 5
"""Methods that the figure draws in their own styles."""

_ORDER = (PASSES, FAILS, CANNOT_BE_JUDGED)


def headline(audit: Mapping[str, Any]) -> str:
    """Say what was forgotten and whether it worked, in one line."""
    request = describe_request(audit["request"]["text"]).replace(" %", "\u00a0%")
    return f"Forgetting {request}: {outcomes(audit)}"


def outcomes(audit: Mapping[str, Any]) -> str:
    """Say how many methods pass, fail and cannot be judged; a few by name."""
    rows = [row for row in audit["rows"] if row["kind"] == "method"]
    by = {o: [row for row in rows if row["verdict"]["outcome"] == o] for o in _ORDER}
    told = {outcome: some for outcome, some in by.items() if some}
    if not rows:
        return "no method was judged"
    if len(told) == 1 and len(rows) > NAMED:
        none = {PASSES: "all {} methods pass", FAILS: "none of {} methods passes"}
        (only,) = told
        return none.get(only, "none of {} methods can be judged").format(_count(rows))
    return "; ".join(_some(outcome, some) for outcome, some in told.items())


def lead_blocks(audit: Mapping[str, Any]) -> list[Block]:
    """Compose the first screen: facts in words, the verdicts, and the figure beside them."""
    facts = {
        "Forgotten": _forgotten(audit),
        "Verdict": _verdict(audit),
        "How sure": _how_sure(audit),
        "Cost": _cost(audit),
    }
    said = Facts([(name, text) for name, text in facts.items() if text])
    blocks: list[Block] = [said, verdict_table(audit)]
    picture = distance_picture(audit)
    return [*blocks, *([picture] if picture else [])]


def verdict_table(audit: Mapping[str, Any]) -> Table:
    """Lay out every row's verdict: methods first, those that pass on top, what it goes by below."""
    rows = sorted(audit["rows"], key=_rank)
    chances = {row["verdict"]["chance"] for row in rows} - {None}
    one = f"by chance up to {min(chances)}" if len(chances) == 1 else ""
    heads = [Cell("method"), Cell("verdict"), Cell("outside", one), Cell("time", "per model")]
    reasons = {row["name"]: _reason(row) for row in rows}
    # What holds for all is said above the table.
    shared = len(rows) > 1 and len(set(reasons.values())) == 1
    body = [
        [
            Cell(row_name(row["name"]), "; ".join(row["flags"])),
            Cell("", "" if shared else reasons[row["name"]], row["verdict"]["outcome"]),
            _outside(row["verdict"], told=bool(one)),
            _time(row),
        ]
        for row in rows
    ]
    body += [
        [Cell(absent["title"]), Cell("", sentence(f"not run: {absent['why']}"))] + 2 * [Cell("-")]
        for absent in audit.get("unfit", ())
    ]
    return Table(heads, body, "verdicts")


def distance_picture(audit: Mapping[str, Any]) -> Picture | None:
    """Draw where every row lies beside the null bands, of the measures that tell retraining."""
    telling = [
        m
        for m in audit["measures"]
        if m["name"] in audit["bands"] and m["name"] not in audit["uninformative"]
    ]
    rows = sorted((row for row in audit["rows"] if row["kind"] != "oracle"), key=_rank)
    # What is drawn first lies below: methods are not to be hidden by what forgot nothing.
    rows.sort(key=lambda row: row["kind"] != "original")
    short = short_names([row["name"] for row in rows])
    places = {
        m["title"]: {short[row["name"]]: _place(audit, row, m) for row in rows} for m in telling
    }
    methods = [short[row["name"]] for row in rows if row["kind"] == "method"]
    title = "How far from retraining"
    try:
        with plain_text():
            figure = band_distance_figure(places, shown={*methods[:SHOWN], "original"}, title=title)
    except InputError:
        return None
    spoken = f"{title}: each measure's distance to its null band. {sentence(outcomes(audit))}"
    return Picture("distances", spoken, figure)


def _rank(row: Mapping[str, Any]) -> tuple[int, int, float]:
    """Methods before what they are compared with, those that pass first, nearest first."""
    verdict = row["verdict"]
    kinds = ("method", "original", "oracle")
    judged = verdict["judged"] or 1
    return (
        kinds.index(row["kind"]),
        _ORDER.index(verdict["outcome"]),
        verdict["outside"] / judged,
    )


def _count(rows: Sequence[Mapping[str, Any]]) -> int:
    """How many methods rows are of: one may have a second row, at its defaults."""
    return len({method_of(row["name"]) for row in rows})


def _some(outcome: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Name the methods of one outcome, or count them."""
    names = [row_name(row["name"]) for row in rows]
    who = listed(names) if len(names) <= NAMED else f"{_count(rows)} methods"
    verb = {PASSES: agree(len(names), "passes", "pass"), FAILS: agree(len(names), "fails", "fail")}
    return f"{who} {verb.get(outcome, outcome)}"


def _forgotten(audit: Mapping[str, Any]) -> str:
    request, methods = audit["request"], audit["models"]["methods"]
    training = request["forget"] + request["retain"]
    data = ((audit.get("settings") or {}).get("data") or {}).get("name")
    names = [row_name(name) for name in methods]
    number = _count([{"name": name} for name in methods])
    by = listed(names) if len(names) <= NAMED else f"{number} methods"
    text = (
        f"{request['forget']} of {training} training images{f' of {data}' if data else ''} "
        f"({describe_request(request['text'])}), by {by or 'no method'}"
    )
    lost = sum(method.get("collapsed") or 0 for method in methods.values())
    if lost:
        text += f"; {counted(lost, 'model')} collapsed and {agree(lost, 'does', 'do')} not count"
    return f"{text}."


def _verdict(audit: Mapping[str, Any]) -> str:
    text = outcomes(audit)
    verdicts = [row["verdict"] for row in audit["rows"] if row["kind"] == "method"]
    found = {verdict["outcome"] for verdict in verdicts}
    more = "can be told from retraining on {} measures than chance explains"
    if FAILS in found:
        whose = "it" if len(verdicts) == 1 else "each" if len(found) == 1 else "those that fail"
        text += f": {whose} {more.format('more')}"
    elif PASSES in found:
        text += f": {'it' if len(verdicts) == 1 else 'they'} {more.format('no more')}"
    elif verdicts:
        text += f": {verdicts[0]['reason']}"
    named = any(text.startswith(row_name(row["name"])) for row in audit["rows"])
    # A name is written as it is given.
    return f"{text}." if named else sentence(text)


def _how_sure(audit: Mapping[str, Any]) -> str:
    models = audit["models"]
    counts = [m["n"] - (m.get("collapsed") or 0) for m in models["methods"].values()]
    few, many = min(counts, default=0), max(counts, default=0)
    # A method all of whose models collapsed is told of by its row.
    per = f"{few}" if few == many else f"{few} to {many}" if few else f"up to {many}"
    oracles = counted(models["oracle"], "retrained model")
    chances = {row["verdict"]["chance"] for row in audit["rows"] if row["kind"] == "method"}
    known = sorted(chance for chance in chances if chance is not None)
    text = f"{per} {agree(many, 'model', 'models')} of each method and {oracles} (oracles)"
    if known:
        most = f"{known[0]}" if len(known) == 1 else f"{known[0]} to {known[-1]}"
        text += f"; by chance up to {most} measures lie outside"
    kinds = {row["kind"]: row["verdict"]["outcome"] for row in audit["rows"]}
    return " ".join([sentence(text), *_checks(kinds)])


def _checks(kinds: Mapping[str, str]) -> list[str]:
    """Say whether the audit comes out right where the answer is known."""
    original, oracle = kinds.get("original"), kinds.get("oracle")
    if original == FAILS and oracle == PASSES:
        return ["The original, which forgot nothing, fails, and held-out oracles pass: as must be."]
    told = []
    if original is None:
        told.append("No original was given, so it is not known which measures tell anything.")
    elif original == PASSES:
        told.append("Beware: the original, which forgot nothing, passes.")
    if oracle == FAILS:
        told.append("Beware: held-out oracles, which are retrained, fail.")
    return told


def _cost(audit: Mapping[str, Any]) -> str:
    rows = [row for row in audit["rows"] if row["kind"] == "method"]
    times = {row["name"]: _mean(row, "seconds") for row in rows}
    times = {name: seconds for name, seconds in times.items() if math.isfinite(seconds)}
    if not times:
        return "Not known: the models came without run times."
    fast, slow = (choose(times, key=times.__getitem__) for choose in (min, max))
    share = {row["name"]: _mean(row, "share") / 100.0 for row in rows}
    ends = [f"{duration(times[n])} ({row_name(n)})" for n in dict.fromkeys([fast, slow])]
    if len(rows) == 1:
        ends = [duration(times[fast])]
    text = f"{' to '.join(ends)} per model"
    if math.isfinite(share[fast]) and math.isfinite(share[slow]):
        shares = " to ".join(dict.fromkeys([percent(share[fast]), percent(share[slow])]))
        text += f", {shares} of the time of retraining"
        slower = [row_name(name) for name in times if share[name] >= 1.0]
        if slower:
            text += f"; {listed(slower)} {agree(len(slower), 'costs', 'cost')} more than retraining"
    return f"{text}."


def _mean(row: Mapping[str, Any], key: str) -> float:
    return finite((row.get(key) or {}).get("value"))


def _time(row: Mapping[str, Any]) -> Cell:
    seconds, share = _mean(row, "seconds"), _mean(row, "share")
    if not math.isfinite(seconds):
        return Cell("-")
    of = f"{percent(share / 100.0)} of retraining" if math.isfinite(share) else ""
    return Cell(duration(seconds), of if row["kind"] == "method" else "")


def _outside(verdict: Mapping[str, Any], *, told: bool) -> Cell:
    if not verdict["judged"]:
        return Cell("-")
    chance = verdict["chance"]
    by = f"by chance up to {chance}" if chance is not None and not told else ""
    return Cell(f"{verdict['outside']} of {verdict['judged']}", by)


def _reason(row: Mapping[str, Any]) -> str:
    """What the other columns do not say of a verdict."""
    verdict = row["verdict"]
    counts = (
        f"{verdict['outside']} of {counted(verdict['judged'], 'informative measure')} outside, "
        f"at most {verdict['chance']} by chance"
    )
    said = verdict["reason"]
    if verdict["outcome"] != CANNOT_BE_JUDGED and counts in said:
        before, _, after = said.partition(counts)
        # Ahead of the numbers of models stands what else decided.
        extra = [before.rpartition("; ")[0], after.strip("; ")]
        said = "; ".join(filter(None, extra))
    return sentence(said)


def _place(audit: Mapping[str, Any], row: Mapping[str, Any], measure: Mapping[str, Any]) -> float:
    """Where a row lies beside the band that judges it."""
    cell = row["results"].get(measure["name"]) or {}
    band = audit["bands"][measure["name"]]
    low, high = cell.get("band") or (band["low"], band["high"])
    median = min(max(finite(band["median"]), finite(low)), finite(high))
    return place_in_band(
        finite(cell.get("value")),
        *(finite(low), finite(high), median),
        measure.get("outside", "both"),
    )
