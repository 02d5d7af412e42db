"""What runs of every method share: all that are registered, and batches of one size."""

import dataclasses

import jax_unlearn as ju

from ..shared.config import Experiment

METHODS = tuple(name for name in ju.METHODS if name != "retrain")


def with_every_method(begun: Experiment, validation_size: int) -> Experiment:
    """Settings with every registered method, each in batches of the size that training takes.

    Methods that can take whole classes alone, or single examples alone, stay out of the other
    requests; one that collapses at its published defaults is shown at them, too.

    Args:
      begun: data, network, training, and what of published hyperparameters must be adapted to them.
      validation_size: number of images held out, beside as many training images as there were, for
        methods that choose by them.
    """
    data = dataclasses.replace(
        begun.data,
        train_size=begun.data.train_size + validation_size,
        validation_size=validation_size,
    )
    batches = tuple(f"{name}.batch_size={begun.training.batch_size}" for name in METHODS)
    return dataclasses.replace(
        begun,
        data=data,
        methods=METHODS,
        set=(*batches, *begun.set),
        show_defaults=True,
        skip_unfit=True,
    )
