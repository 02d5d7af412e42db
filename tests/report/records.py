"""A record of an audit that no audit made, small enough to draw a report from in a moment."""

import numpy as np

HOSTILE = "<script>alert(1)</script>"

TITLES = {"FA": "Forget accuracy", "gap": "Average gap", "ulira_auc": "U-LiRA AUC"}
CENTRES = {"FA": 88.0, "gap": 1.2, "ulira_auc": 0.5}
UNITS = {"FA": "%", "gap": "points", "ulira_auc": ""}


def cell(value, mark="inside", n=8, note=""):
    return {
        "value": value,
        "low": None if value is None else 0.99 * value,
        "high": None if value is None else 1.01 * value,
        "n": n,
        "verdict": mark,
        "note": note,
    }


def row(name, kind, shift, marks):
    cells = {
        measure: cell(centre * (1 + shift), mark)
        for (measure, centre), mark in zip(CENTRES.items(), marks, strict=True)
    }
    outside = marks.count("outside")
    judged = len(marks) - marks.count("uninformative")
    return {
        "name": name,
        "kind": kind,
        "flags": [],
        "results": cells,
        "verdict": {
            "outcome": "fails" if outside else "passes",
            "outside": outside,
            "judged": judged,
            "chance": 0,
            "reason": f"8 models against 8 oracles: {outside} of {judged} informative measures "
            "outside, at most 0 by chance",
        },
        "seconds": {"value": 2.0, "low": 1.5, "high": 2.5, "n": 8},
        "share": {"value": 10.0, "low": None, "high": None, "n": 8},
    }


def record(methods=("natmu", "mumis")):
    """A small record of an audit, as experiments.audit writes it."""
    rng = np.random.default_rng(0)
    far = ("outside", "inside", "outside")
    rows = [row("original", "original", 0.3, far), row("oracle", "oracle", 0.0, ("inside",) * 3)]
    rows += [row(name, "method", 0.1, ("outside", "uninformative", "inside")) for name in methods]
    names = [r["name"] for r in rows]
    fpr = [0.0, *np.geomspace(1e-3, 1, 20).tolist()]
    return {
        "format": 2,
        "level": "strong",
        "request": {
            "hash": "3f2a9c0d",
            "text": "random:0.1",
            "ids_hash": "77aa",
            "forget": 150,
            "retain": 1350,
            "test": 360,
            "class_wise": False,
        },
        "models": {
            "original": 8,
            "oracle": 16,
            "reference": 8,
            "held_out": 8,
            "methods": {
                name: {
                    "n": 8,
                    "collapsed": 0,
                    "no_op": 0,
                    "statuses": {"finished": 8},
                    "arguments": {"learning_rate": 0.01, "mask": {"size": 4}},
                    "seconds": [1.0 + k] * 8,
                    "files": [{"path": f"p/{name}-{i}.npz", "sha256": "00"} for i in range(8)],
                }
                for k, name in enumerate(methods)
            },
        },
        "measures": [
            {
                "name": name,
                "title": title,
                "unit": UNITS[name],
                "oracle_value": 0.5 if name == "ulira_auc" else None,
                "outside": "above" if name == "gap" else "both",
                "higher": "more is known",
                "needs": "1 model",
                "does": "what is computed",
                "source": 'Someone, "Title", 2024, arXiv:2401.00000',
            }
            for name, title in TITLES.items()
        ],
        "rows": rows,
        "bands": {
            name: {"low": 0.95 * c, "high": 1.05 * c, "median": c, "n": 8, "how": "200 splits"}
            for name, c in CENTRES.items()
        },
        "uninformative": ["gap"],
        "ranking": [
            {
                "measure": "gap",
                "order": [
                    {"name": name, "value": 1.3, "low": 1.2, "high": 1.4} for name in methods
                ],
                "note": "Cannot be told apart: all.",
            }
        ],
        "curves": {
            "roc": {
                name: {a: {"fpr": fpr, "tpr": np.sqrt(fpr).tolist()} for a in ("ulira", "rmia")}
                for name in names
            },
            "epsilon": {name: rng.gamma(1, 1, 30).tolist() for name in names},
            "confidence": {
                "examples": [
                    {
                        "id": 100 + i,
                        "label": i,
                        "oracle": rng.normal(1, 1, 8).tolist(),
                        "original": rng.normal(5, 1, 8).tolist(),
                        "methods": {name: rng.normal(2, 1, 8).tolist() for name in methods},
                    }
                    for i in range(3)
                ]
            },
            "density": {name: rng.normal(2, 2, 50).tolist() for name in names},
            "forget_accuracy": {name: [[100.0, 95.0, 90.0], [100.0, 93.0]] for name in methods},
            "seconds": {
                "oracle": [20.0] * 8,
                **{name: [1.0 + k] * 8 for k, name in enumerate(methods)},
            },
        },
        "summary": ["150 of 1500 training images were forgotten."],
        "notes": [],
        "protocol": {"terms": ["RA", "FA", "TA"]},
        "provenance": {"versions": {"jax": "0.10.2"}},
    }
