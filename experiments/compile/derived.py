"""What follows from what is counted: costs for each image, and as multiples of other programs."""

from collections.abc import Mapping

from .measuring import Record


def derive(records: Mapping[str, Record]) -> None:
    """Add to a target's records what tables show and readers would have to compute.

    ``fits``: whether the program has room on a device. ``per_image``: operations and bytes for each
    image, over all devices that share a batch. ``images_per_second`` at the bound. Of steps and
    loops ``of_cross_entropy``, operations and bytes as multiples of those of a training step of the
    same batch, and ``of_plain``, of the same network's written plainly, each where it is compiled.
    """
    sound = {name: record for name, record in records.items() if record["error"] is None}
    for record in sound.values():
        record["fits"] = record["memory"]["total"] <= record["room"]
        share = record["shards"] / record["batch"]
        record["per_image"] = {kind: record[kind] * share for kind in ("flops", "bytes")}
        images = record["batch"] * record["models"]
        record["images_per_second"] = images / record["bound_seconds"]
    for name, record in sound.items():
        kind, size = name.split()[-2:]
        if kind not in ("step", "scan", "plain"):
            continue
        # A loop is compared with a loop where there is one.
        kinds = ("step",) if kind == "plain" else (kind, "step")
        others = {
            "of_cross_entropy": [f"training {k} {size}" for k in kinds],
            "of_plain": [f"training plain {size}"],
        }
        for key, names in others.items():
            other = next((sound[n]["per_image"] for n in names if n in sound), None)
            if other is not None:
                mine = record["per_image"]
                record[key] = {kind: mine[kind] / other[kind] for kind in mine}
