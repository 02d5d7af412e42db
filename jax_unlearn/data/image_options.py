"""How images that lie in files become arrays of one shape."""

import dataclasses
from collections.abc import Sequence

from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.data.image_files import MODES


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How a folder of images, or a data set of Hugging Face, is read.

    Attributes:
      image_size: side in pixels to which every image is brought: the shorter side is resized to it
        and the middle of the longer one is kept; 0 leaves images as they are, and then they must
        have one size.
      channels: 1 (grey), 2 (grey and opacity), 3 (colour) or 4 (colour and opacity); 0 takes 1
        where all images are grey and else 3.
      test_share: share of the images, in (0, 1), drawn class by class as the test split where there
        is none.
      split_seed: randomness of that draw.
      columns: names of the image and the label column of a Hugging Face data set; empty finds them
        by their types.
    """

    image_size: int = 0
    channels: int = 0
    test_share: float = 0.2
    split_seed: int = 0
    columns: Sequence[str] = ()

    def validate(self) -> None:
        """Raise InputError for a value that is out of range."""
        check_number("image_size", self.image_size, low=0, whole=True)
        check_number("split_seed", self.split_seed, low=0, whole=True)
        check_number("test_share", self.test_share, above=0, high=1)
        check_choice("channels", str(self.channels), ("0", *map(str, MODES)))
        if self.test_share == 1:
            raise InputError("test_share=1: expected less than 1; leave images to train on")
        if len(self.columns) not in (0, 2) or isinstance(self.columns, str):
            raise InputError(
                f"columns={self.columns!r}: expected the names of the image and the label column, "
                "or none"
            )


AS_THEY_ARE = ImageOptions()


def refuse_options(name: str, options: ImageOptions, taken: Sequence[str] = ()) -> None:
    """Raise InputError for options that a data set cannot follow.

    Args:
      name: of the data set.
      options: as given.
      taken: names of those that it follows.
    """
    for field in ("image_size", "channels", "columns"):
        value = getattr(options, field)
        if value and field not in taken:
            raise InputError(
                f"{field}={value!r}: {name} comes with its own: expected a folder of images or a "
                "data set of Hugging Face; leave it out"
            )
