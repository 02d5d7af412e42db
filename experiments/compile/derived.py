"""What follows from what is counted: costs for each image, and as multiples of other programs."""

from collections.abc import Mapping

from .measuring import Record, is_too_large


def derive(records: Mapping[str, Record]) -> None:
    """Add to a target's records what tables show and readers would have to compute.

    ``fits``: whether the program has room on a device. ``per_image``: operations and bytes for each
    image, over all devices that share a batch. ``images_per_second`` at the bound. Of steps and
    loops ``of_cross_entropy``, operations and bytes as multiples of those of training in batches of
    the same size, and ``of_plain``, of a step of the same network's written plainly, each where it
    is compiled.
    """
    sound = {name: record for name, record in records.items() if record["error"] is None}
    for record in sound.values():
        record["fits"] = not is_too_large(record)
        images = images_of(record)
        share = record["shards"] / images
        record["per_image"] = {kind: record[kind] * share for kind in ("flops", "bytes")}
        record["images_per_second"] = images * record["models"] / record["bound_seconds"]
    for name, record in sound.items():
        kind, size = name.split()[-2:]
        if kind not in ("step", "scan", "plain"):
            continue
        others = {
            # A loop is compared with a loop.
            "of_cross_entropy": f"training {'scan' if kind == 'scan' else 'step'} {size}",
            "of_plain": f"training plain {size}",
        }
        for key, other in others.items():
            if other in sound:
                mine, its = record["per_image"], sound[other]["per_image"]
                record[key] = {kind: mine[kind] / its[kind] for kind in mine}


def images_of(record: Record) -> int:
    """Images of a batch of one model: its rows without those that only fill it up."""
    return record["batch"] - record.get("padding", 0)
