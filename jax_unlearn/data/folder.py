"""A data set of one's own as a folder of images, with one sub-folder for each class."""

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from jax_unlearn.core import InputError
from jax_unlearn.data.dataset import Dataset
from jax_unlearn.data.encoded import Encoded, common_shape
from jax_unlearn.data.folder_tree import list_images
from jax_unlearn.data.image_files import UnfitError
from jax_unlearn.data.image_options import AS_THEY_ARE, ImageOptions, refuse_options
from jax_unlearn.data.prepared import BUILT_IN, INFO
from jax_unlearn.data.splitting import make_dataset


class FolderFiles:
    """Files below a folder, by position; see :class:`jax_unlearn.data.encoded.Files`."""

    def __init__(self, root: Path, paths: Sequence[str]):
        self._root, self._paths = root, paths

    def __len__(self) -> int:
        return len(self._paths)

    def open(self, row: int) -> BinaryIO:
        """Open a file; a pipe, which would be waited for, is refused."""
        path = self._root / self._paths[row]
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnfitError("no regular file")
        return path.open("rb")

    def name(self, row: int) -> str:
        """Its path below the folder."""
        return os.fsencode(self._paths[row]).decode(errors="replace")

    def identity(self) -> str:
        """Digest of where the files lie, of their sizes and of when they were written."""
        digest = hashlib.sha256(str(self._root.resolve()).encode(errors="surrogateescape"))
        for path in self._paths:
            found = (self._root / path).stat()
            digest.update(f"{path!a} {found.st_size} {found.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def image_folder(name: str, data_dir: str | os.PathLike | None) -> Path | None:
    """The folder of images that a data set's name stands for; None where it is no such folder.

    A name that begins as a path, or ends as one of a folder, always is; another one where such a
    folder lies in the current folder or in ``data_dir``. What TFDS prepared goes by its name.

    Raises:
      InputError: a path and a ``data_dir`` are given.
    """
    is_path = name.startswith((".", "~", os.sep)) or name.endswith(os.sep)
    path = Path(os.path.expanduser(name))
    if not is_path and data_dir is not None:
        path = Path(os.path.expanduser(data_dir)) / name
    if not path.is_dir() and (not is_path or path.exists()):
        return None
    # What datasets.save_to_disk wrote is called so too, and is no folder of images either.
    if any(any(path.glob(f"{above}{INFO}")) for above in ("", "*/", "*/*/")):
        return None
    if is_path and data_dir is not None:
        raise InputError(
            f"data_dir={str(data_dir)!r}: {name} is a path of its own: expected none; drop it"
        )
    return path if is_path or name not in BUILT_IN else None


def load_folder(path: str | os.PathLike, options: ImageOptions = AS_THEY_ARE) -> Dataset:
    """Read a folder of images that has a sub-folder for each class.

    The class folders lie in ``train`` and ``test``; ``val`` is the validation split, or the test
    split where there is no ``test``. Without a test split, and where the class folders lie right in
    the folder, test images are drawn, see :class:`~jax_unlearn.data.ImageOptions`.

    Labels count the sorted names of the class folders, and ids count the files: class by class,
    sorted by the path inside it, as torchvision's ImageFolder. Hidden files are passed over. Images
    are taken as they are stored: a camera's note on how it was held is not followed.

    Args:
      path: the folder; the data set is named after it.
      options: size and channels of the images, and how test images are drawn.

    Returns:
      The data set, its images in memory.

    Raises:
      InputError: the folder or a file in it cannot be used; all such files are counted.
    """
    return _folder(path, options, streamed=False)


def open_folder(path: str | os.PathLike, options: ImageOptions = AS_THEY_ARE) -> Dataset:
    """As :func:`load_folder`, with images that are read only when they are used."""
    return _folder(path, options, streamed=True)


def _folder(path: str | os.PathLike, options: ImageOptions, *, streamed: bool) -> Dataset:
    source = f"dataset={str(path)!r}"
    root = Path(os.path.expanduser(path))
    options.validate()
    refuse_options(str(path), options, ("image_size", "channels"))
    if not root.is_dir():
        what = "is a file" if root.is_file() else "no such folder"
        raise InputError(
            f"{source}: {what}: expected a folder with a folder of images for each class; check "
            "the path"
        )
    tree = list_images(root, source)
    files = {split: FolderFiles(root, found.paths) for split, found in tree.splits.items()}
    shape = common_shape(source, files.values(), options)
    splits = {}
    for split, found in tree.splits.items():
        images = Encoded(
            *(files[split], shape, source),
            resize=options.image_size > 0,
            identity=files[split].identity() if streamed else "",
        )
        splits[split] = (images, found.label)
    name = root.resolve().name
    return make_dataset(name, source, splits, tree.class_names, options, streamed=streamed)
