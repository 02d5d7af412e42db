"""A dataset in memory: a training and a test split of labelled uint8 images."""

import dataclasses
import functools
import hashlib
import warnings

import numpy as np

from jax_unlearn.core import Examples, InputError, check_number
from jax_unlearn.data.focus import Change
from jax_unlearn.data.lazy import LazyImages, batches

CHUNK = 1024
"""Images that are hashed at a time."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Both splits of a dataset and what its labels mean.

    Attributes:
      name: shown in tables and error messages.
      train: the training split.
      test: the test split; its ids are separate from the training ids.
      num_classes: number of classes K of ``train.label`` and ``test.label``.
      class_names: K names.
      train_fine: int32 [N], the finer class of each training image where ``label`` is coarse
        (CIFAR-20: one of 100); None where there is none.
      test_fine: int32 [T], the same for the test images.
      fine_names: names of the finer classes, empty where there are none.
      validation: examples held out of the training split, see :func:`hold_out`; None for none.
      change: what a request has done to the training split, see
        :func:`jax_unlearn.data.changes.change_data`; None for nothing.

    Raises:
      InputError: if a dtype, a shape, a label or an id is wrong.
    """

    name: str
    train: Examples
    test: Examples
    num_classes: int
    class_names: tuple[str, ...]
    train_fine: np.ndarray | None = None
    test_fine: np.ndarray | None = None
    fine_names: tuple[str, ...] = ()
    validation: Examples | None = None
    change: Change | None = None

    def __post_init__(self) -> None:
        source = f"dataset={self.name!r}"
        check_number(f"{source}: num_classes", self.num_classes, low=2, whole=True)
        _check_names(source, "class_names", self.class_names, self.num_classes)
        _check_split(source, "train", self.train, self.num_classes)
        _check_split(source, "test", self.test, self.num_classes)
        if self.validation is not None:
            _check_split(source, "validation", self.validation, self.num_classes)
        if self.train.image.shape[1:] != self.test.image.shape[1:]:
            raise InputError(
                f"{source}: test images are {_shape(self.test.image.shape[1:])}: expected "
                f"{_shape(self.train.image.shape[1:])} as the train images have; resize one of them"
            )
        if (self.train_fine is None) != (self.test_fine is None):
            raise InputError(f"{source}: only one split has fine labels: expected both or neither")
        if self.train_fine is not None and self.test_fine is not None:
            fine = len(self.fine_names)
            _check_names(source, "fine_names", self.fine_names, fine)
            _check_labels(source, "train fine labels", self.train_fine, self.train, fine)
            _check_labels(source, "test fine labels", self.test_fine, self.test, fine)

    @property
    def evaluated(self) -> Examples:
        """The test split, and after it what a change of the data adds to be looked at."""
        if self.change is None or self.change.probe is None:
            return self.test
        columns = zip(self.test, self.change.probe, strict=True)
        return Examples(*(np.concatenate(pair) for pair in columns))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sha256, in hex, of the images, labels, fine labels and ids of all splits."""
        return content_digest(self)


def content_digest(dataset: Dataset) -> str:
    """Compute the fingerprint of a dataset, reading all its images."""
    digest = hashlib.sha256()
    held_out = dataset.validation or ()
    fine = (dataset.train_fine, dataset.test_fine)
    for array in (*dataset.train, *dataset.evaluated, *fine, *held_out):
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype}{array.shape}".encode())
        chunks = [
            np.arange(start, min(start + CHUNK, len(array)))
            for start in range(0, len(array), CHUNK)
        ]
        for part in batches(array, chunks):
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def take(examples: Examples, rows: np.ndarray) -> Examples:
    """Pick examples by row: int positions or a bool mask; ids stay with their images.

    Images that are not in memory are not read.
    """
    image = examples.image
    picked = image.view(rows) if isinstance(image, LazyImages) else image[rows]
    return Examples(picked, examples.label[rows], examples.id[rows])


def rows_per_class(labels: np.ndarray, order: np.ndarray, most: int) -> np.ndarray:
    """Keep at most ``most`` rows of each class: int [N], increasing.

    Args:
      labels: int [M].
      order: int [M], every row once; of a class those that come first are kept.
      most: rows of a class, >= 1.
    """
    ordered = labels[order]
    return np.sort(np.concatenate([order[ordered == c][:most] for c in np.unique(labels)]))


def stratified_rows(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw rows at random so that every class keeps its share.

    Class c with n_c of the N rows gives count * n_c / N rows; what rounding down leaves goes to
    the classes with the largest remainders, ties to the lower class.

    Args:
      labels: int [N].
      count: number of rows to draw, at most N.
      seed: randomness of the draw.

    Returns:
      int64 [count], distinct rows in increasing order.
    """
    classes, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    share = count * sizes
    quota, remainder = share // len(labels), share % len(labels)
    extra = np.argsort(-remainder, kind="stable")[: count - quota.sum()]
    quota[extra] += 1
    order = random_order(len(labels), seed)
    rows = [order[inverse[order] == c][: quota[c]] for c in range(len(classes))]
    return np.sort(np.concatenate(rows))


def random_order(count: int, seed: int) -> np.ndarray:
    """Permutation of ``range(count)``: int64 [count].

    Sorting uniform numbers keeps it the same over NumPy versions, which may change the stream of
    ``Generator.permutation``.
    """
    return np.argsort(np.random.default_rng(seed).random(count), kind="stable")


def subset(
    dataset: Dataset,
    train_size: int | None = None,
    test_size: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Shrink a dataset to class-stratified random parts of its splits.

    Args:
      dataset: what to shrink.
      train_size: number of training images, exactly; None keeps all.
      test_size: number of test images, exactly; None keeps all.
      seed: randomness of the draw.

    Returns:
      A dataset in the same order with the same ids and classes.

    Raises:
      InputError: if a size is not a whole number between 1 and the size of the split.
    """
    keep = []
    for argument, size, examples in (
        ("train_size", train_size, dataset.train),
        ("test_size", test_size, dataset.test),
    ):
        total = len(examples.label)
        if size is not None:
            check_number(argument, size, low=1, high=total, whole=True)
        keep.append(
            np.arange(total) if size is None else stratified_rows(examples.label, size, seed)
        )
    train, test = keep
    lost = np.setdiff1d(dataset.train.label, dataset.train.label[train])
    if len(lost):
        _warn_absent(f"train_size={train_size!r}", dataset, lost, "take more images")
    return dataclasses.replace(
        dataset,
        train=take(dataset.train, train),
        test=take(dataset.test, test),
        train_fine=None if dataset.train_fine is None else dataset.train_fine[train],
        test_fine=None if dataset.test_fine is None else dataset.test_fine[test],
    )


def hold_out(dataset: Dataset, size: int, seed: int = 0) -> Dataset:
    """Move a class-stratified random part of the training split to the validation split.

    Methods that choose among checkpoints (SCRUB+R) choose by it: no model is trained on it, and the
    test split stays unseen until the audit.

    Args:
      dataset: what to divide; one without a validation split.
      size: number of training images to hold out.
      seed: randomness of the draw.

    Returns:
      A dataset with ``size`` training images fewer and a validation split of that many, both in the
      same order with the same ids.

    Raises:
      InputError: if the size is not a whole number between 1 and one less than there are, or images
        are held out already.
    """
    total = len(dataset.train.label)
    check_number("validation_size", size, low=1, high=total - 1, whole=True)
    check_number("validation_seed", seed, low=0, whole=True)
    if dataset.validation is not None:
        raise InputError(
            f"dataset={dataset.name!r}: {len(dataset.validation.label)} images are held out "
            "already: expected a dataset without a validation split; hold out once"
        )
    held_out = np.zeros(total, bool)
    held_out[stratified_rows(dataset.train.label, size, seed)] = True
    return dataclasses.replace(
        dataset,
        train=take(dataset.train, ~held_out),
        train_fine=None if dataset.train_fine is None else dataset.train_fine[~held_out],
        validation=take(dataset.train, held_out),
    )


def warn_absent_classes(dataset: Dataset) -> None:
    """Warn of classes without a training image: the network's outputs for them never learn."""
    absent = np.setdiff1d(np.arange(dataset.num_classes), dataset.train.label)
    if not len(absent):
        return
    remedy = "number the labels from 0 without gaps, or name only the classes that there are"
    if absent.tolist() == [0]:
        remedy = "labels that count from 1 need 1 subtracted"
    _warn_absent(f"dataset={dataset.name!r}", dataset, absent, remedy)


def _warn_absent(source: str, dataset: Dataset, absent: np.ndarray, remedy: str) -> None:
    shown = ", ".join(f"{k} ({dataset.class_names[k]})" for k in absent[:5])
    more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
    warnings.warn(
        f"{source}: no training images for {len(absent)} of the {dataset.num_classes} classes: "
        f"{shown}{more}; models cannot learn these, yet methods and measures count them; {remedy}",
        stacklevel=4,
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _check_names(source: str, argument: str, names: tuple[str, ...], count: int) -> None:
    if len(names) != count or len(set(names)) != count:
        raise InputError(
            f"{source}: {argument} holds {len(names)} names, {len(set(names))} of them different: "
            f"expected {count} different names, one for each class"
        )


def _check_split(source: str, split: str, examples: Examples, num_classes: int) -> None:
    if not isinstance(examples, Examples):
        raise InputError(
            f"{source}: {split} is of type {type(examples).__name__}: expected jax_unlearn.Examples"
        )
    for name, column in examples._asdict().items():
        _check_array(f"{source}: {split}.{name}", column)
    image, label, ids = examples
    if image.dtype != np.uint8 or image.ndim != 4 or 0 in image.shape:
        raise InputError(
            f"{source}: {split} images are {image.dtype} {_shape(image.shape)}: expected uint8 "
            "[N, H, W, C], none of them 0; a grey image needs C = 1"
        )
    if _is_channel_first(image.shape):
        raise InputError(
            f"{source}: {split} images are {_shape(image.shape)}, which looks like [N, C, H, W]: "
            "expected [N, H, W, C]; move the channels to the end with images.transpose(0, 2, 3, 1)"
        )
    _check_labels(source, f"{split} labels", label, examples, num_classes)
    if ids.dtype != np.int64 or ids.shape != label.shape:
        raise InputError(
            f"{source}: {split} ids are {ids.dtype} {_shape(ids.shape)}: expected int64 "
            f"[{len(image)}], one for each image"
        )
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        raise InputError(
            f"{source}: {split} id {values[counts > 1][0]} occurs {counts.max()} times: expected "
            "each id once; renumber the images"
        )


def _check_array(what: str, array: object) -> None:
    if not all(hasattr(array, name) for name in ("dtype", "shape", "ndim")):
        raise InputError(
            f"{what} is of type {type(array).__name__}: expected an array; make one with "
            "numpy.asarray"
        )


def _is_channel_first(shape: tuple[int, ...]) -> bool:
    """Whether axes given as [H, W, C] are more likely [C, H, W].

    True for 1, 3 or 4 rows of pixels whose other axes are those of a picture: longer, and neither
    more than twice the other. Signals of several channels (1 x 128 x 9) and small patches of many
    bands (3 x 3 x 200) do not count.
    """
    _, rows, columns, channels = shape
    likely = rows in (1, 3, 4) and min(columns, channels) > max(rows, 3)
    return likely and max(columns, channels) <= 2 * min(columns, channels)


def _check_labels(
    source: str, what: str, labels: np.ndarray, examples: Examples, num_classes: int
) -> None:
    _check_array(f"{source}: {what}", labels)
    if labels.dtype != np.int32 or labels.shape != (len(examples.image),):
        raise InputError(
            f"{source}: {what} are {labels.dtype} {_shape(labels.shape)}: expected int32 "
            f"[{len(examples.image)}], one for each image"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        hidden = "; a label of -1 often stands for one that is not published"
        raise InputError(
            f"{source}: {what} reach from {labels.min()} to {labels.max()}: expected 0 to "
            f"{num_classes - 1} for {num_classes} classes{hidden * bool(labels.min() == -1)}"
        )
