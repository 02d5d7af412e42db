"""Sentences and numbers of an audit's report; every sentence follows from the audit's record."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax_unlearn.data.request_text import describe_request
from jax_unlearn.report.formats import (
    finite,
    number,
    percent,
    row_name,
)
from jax_unlearn.wording import agree, counted, listed


def ranking_rule(audit: Mapping[str, Any], name: str, write: Callable[[Any], str] = number) -> str:
    """Say by what a ranking goes: by the value, or by how far it lies from retraining."""
    measure: Mapping[str, Any] = next((m for m in audit["measures"] if m["name"] == name), {})
    side = measure.get("outside", "both")
    if side != "both":
        return "lowest first" if side == "above" else "highest first"
    band = audit["bands"].get(name)
    if band:
        return f"nearest first to {write(band['median'])}, the middle of the null band"
    if measure.get("oracle_value") is None:
        return "lowest first"
    return f"nearest first to {write(measure['oracle_value'])}, what retraining is expected to have"


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """List nested settings as (dotted name, value) in the order given."""
    pairs: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            pairs += flat(value, f"{prefix}{key}.")
        elif isinstance(value, str):
            pairs.append((f"{prefix}{key}", value))
        elif isinstance(value, Sequence) and all(isinstance(v, str) for v in value) and value:
            pairs.append((f"{prefix}{key}", ", ".join(value)))
        else:
            pairs.append((f"{prefix}{key}", json.dumps(value, default=str)))
    return pairs


def sentence(text: str) -> str:
    """Make a clause of the record a sentence: a capital first, a full stop last."""
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def absent_sentence(measure: Mapping[str, Any]) -> str:
    """Say of a measure that was not taken what it needs, why it is not there, and what adds it."""
    text = f"{measure['title']}: {measure['does']}; needs {measure['needs']}."
    if measure.get("why"):
        text += f" Not taken: {measure['why']}."
    if measure.get("add"):
        text += f" To add it: {measure['add']}."
    return text


def forgotten_sentence(request: Mapping[str, Any]) -> str:
    """Say what was forgotten, how it was chosen and what is left."""
    training = request["forget"] + request["retain"]
    kind = "whole classes" if request["class_wise"] else "single examples"
    return (
        f"Forgotten: {request['forget']} of {training} training examples "
        f"({percent(request['forget'] / training)}), chosen as {kind} by the request "
        f"{describe_request(request['text'])}; {request['retain']} retained, "
        f"{counted(request['test'], 'test example')}."
    )


def accuracy_sentence(audit: Mapping[str, Any]) -> str:
    """Say what there was to unlearn: how good the originals are and what oracles still know.

    A method that measures how sensitive the original is to true classes against others adds it.
    """
    models = audit["models"]
    known = models.get("accuracies") or {}
    # The row of the oracles is that of the held-out ones alone.
    held_out = f", of which {models['held_out']} are held out" if models.get("held_out") else ""
    parts = {
        "Originals": _percentages(known.get("original") or {}),
        f"all {models['oracle']} oracles{held_out}": _percentages(
            {f"{n} accuracy": v for n, v in (known.get("oracle") or {}).items()}
        ),
    }
    told = [f"{whose}: {numbers}" for whose, numbers in parts.items() if numbers]
    finders: dict[str, list[str]] = {}
    for name, ratio in _sensitivity_ratios(audit["models"]["methods"]).items():
        finders.setdefault(number(ratio), []).append(row_name(name))
    told += [
        f"{listed(names)} {agree(len(names), 'finds', 'find')} the originals a/b = {ratio} times "
        "as sensitive to the true class as to others"
        for ratio, names in finders.items()
    ]
    return f"{'; '.join(told)}." if told else ""


def _percentages(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {v:.1f} %" for name, v in values.items() if v is not None)


def _sensitivity_ratios(methods: Mapping[str, Any]) -> dict[str, float]:
    """Mean over models of what a method measured of its originals, by method."""
    found = {}
    for name, method in methods.items():
        ratios = [finite(file.get("sensitivity_ratio")) for file in method.get("files") or ()]
        known = [ratio for ratio in ratios if math.isfinite(ratio)]
        if known:
            found[name] = sum(known) / len(known)
    return found


def compared_sentences(audit: Mapping[str, Any]) -> list[str]:
    """Say which models were compared with which."""
    models = audit["models"]
    oracles = counted(models["oracle"], "oracle")
    text = f"Compared with {oracles}: the same training without the forgotten examples"
    if "reference" in models and "held_out" in models:
        text += f"; {models['reference']} of them as reference, {models['held_out']} held out"
    sentences = [text + "."]
    if models["original"]:
        count = counted(models["original"], "original model")
        show = agree(models["original"], "shows", "show")
        sentences.append(
            f"{count}, which forgot nothing, {show} which measures can tell the difference."
        )
    else:
        sentences.append(
            "No original model was given, so it is not known which measures are informative."
        )
    return sentences


def methods_sentence(models: Mapping[str, Any]) -> str:
    """Say how many models of each method there are, and how many of them do not count."""
    texts = []
    for name, method in models["methods"].items():
        counts = (
            (method.get("collapsed"), "collapsed, left out of every number"),
            (method.get("no_op"), "unchanged from the original"),
        )
        remarks = "; ".join(f"{count} {what}" for count, what in counts if count)
        texts.append(f"{row_name(name)} {method['n']}" + f" ({remarks})" * bool(remarks))
    return f"Unlearned models: {', '.join(texts) or 'none'}."


def uninformative_sentence(audit: Mapping[str, Any]) -> str:
    """Say which measures cannot tell the original from retraining."""
    titles = {measure["name"]: measure["title"] for measure in audit["measures"]}
    without = [titles.get(name, name) for name in audit["uninformative"]]
    if not audit["models"]["original"]:
        return "Without an original model it is not known which measures are informative."
    if not without:
        return "Every measure tells the original from retraining."
    return (
        f"Uninformative here, because the original itself lies inside the band: {listed(without)}. "
        "A method that lies inside as well may have forgotten nothing."
    )
