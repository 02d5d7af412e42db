"""A model's predictions on forget, retain and test: all that the audit needs."""

import numpy as np

from jax_unlearn.core import Examples, Model, Outputs, Predictions, Variables
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.validation import check_examples, check_model


def predict(
    model: Model,
    variables: Variables,
    *,
    forget: Examples,
    retain: Examples,
    test: Examples,
    test_forgotten: np.ndarray,
    batch_size: int = 256,
) -> Predictions:
    """Apply a model to un-augmented images in eval mode.

    Args:
      model: the network.
      variables: its weights.
      forget: the forget set.
      retain: the retain set.
      test: the whole test set.
      test_forgotten: bool [T], test images of a class or sub-class forgotten as a whole.
      batch_size: images at a time.

    Raises:
      InputError: examples or network are not what they must be.
    """
    parts = (forget, retain, test)
    num_outputs = check_model(model, variables, tuple(test.image.shape[1:]))
    for name, part in zip(("forget", "retain", "test"), parts, strict=True):
        check_examples(name, part, num_outputs)
    # One call for all three: sets of any size then share one compiled shape.
    images = np.concatenate([part.image for part in parts])
    logits = predict_logits(model, variables, images, batch_size=batch_size)
    ends = np.cumsum([len(part.label) for part in parts])[:-1]
    outputs = [
        Outputs(rows, np.asarray(part.label, np.int32), np.asarray(part.id, np.int64))
        for rows, part in zip(np.split(logits, ends), parts, strict=True)
    ]
    return Predictions(outputs[0], outputs[1], outputs[2], np.asarray(test_forgotten, bool))
