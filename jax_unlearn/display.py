"""Names as a reader knows them, for records, reports and figures alike."""

_NAMES = {
    "natmu": "NatMU",
    "mumis": "MU-Mis",
    "salun": "SalUn",
    "neggrad_plus": "NegGrad+",
    "neggrad": "NegGrad",
    "finetune": "fine-tune",
}


def display_name(name: str) -> str:
    """Name a method as a reader knows it: ``'natmu'`` is NatMU, ``'bad_teacher'`` bad teacher."""
    if name in _NAMES:
        return _NAMES[name]
    return " ".join(_NAMES.get(word, word) for word in name.split("_"))
