"""What an original is made of: data, network and recipe, as settings."""

import dataclasses

import jax_unlearn as ju


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """The data set.

    Attributes:
      name: digits, cifar10, svhn, a folder of images, hf:PATH, FILE.py:NAME and so on. By name:
        digits, cifar10, cifar20, cifar100, svhn, tiny_imagenet200; any data set that TFDS prepared
        (NAME, NAME/CONFIG, NAME:VERSION); the path of a folder with a folder of images for each
        class, in train and test or without them, or of an .npz file; hf:USER/NAME or hf:PATH, which
        Hugging Face's datasets reads; or your own as FILE.py:NAME, pkg.module:NAME or an installed
        package's entry point.
      dir: folder that holds the TFDS data sets, or the original archives to prepare them from;
        digits needs none.
      image_size: side in pixels that a folder's images get, the middle of the longer side kept; 0
        leaves their size, which must be one.
      channels: of the images of a folder, 1, 3 or 4; 0 takes 1 where all are grey, else 3.
      test_share: share of the images that are drawn for testing, class by class, where there is no
        test split.
      split_seed: randomness of that draw.
      columns: image and label column, of a Hugging Face data set where their types do not tell.
      train_size: number of training images, drawn class by class; 0 takes all.
      test_size: number of test images, drawn class by class; 0 takes all.
      validation_size: number of those training images, drawn class by class, that are held out of
        all training for methods that choose by them; 0 holds out none.
      validation_seed: randomness of that draw.
      padding: pixels that augmentation pads and crops; 0 crops nothing.
      flip: whether augmentation flips images; left to right.
    """

    name: str = "digits"
    dir: str | None = None
    image_size: int = 0
    channels: int = 0
    test_share: float = 0.2
    split_seed: int = 0
    columns: tuple[str, ...] = ()
    train_size: int = 0
    test_size: int = 0
    validation_size: int = 0
    validation_seed: int = 0
    padding: int = 4
    flip: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """The network.

    Attributes:
      name: convnet, resnet18, vgg16_bn, vit_tiny, swin_tiny, FILE.py:NAME and so on. By name:
        convnet, resnet8, resnet8_halved, resnet10, resnet18, resnet20, resnet34, resnet50,
        vgg16_bn, vit_tiny, vit_small, vit_base, swin_tiny; a constructor of your own as
        FILE.py:NAME, pkg.module:NAME or entry point.
      width: channels of the first layer; 0 takes the network's own.
      dtype: what it computes in: float32, bfloat16, or bfloat16_sums, which sums gradients over
        devices in bfloat16, too; weights stay float32.
      patch: height and width of a ViT's patch in pixels; 0 takes the network's own.
      image_size: side in pixels to which images are enlarged, inside the network; 0 leaves them.
      weights: pretrained weights to start from, of originals and oracles, with a last layer of
        their own: a .safetensors file of timm, torchvision or transformers, or a folder or hub id
        of a network; '' draws all weights.
      normalize: whose mean and deviation pixels get, cifar10 and so on, imagenet, or centred, which
        are 0.5 and 0.5; '' takes those of the data.
    """

    name: str = "convnet"
    width: int = 0
    dtype: str = "float32"
    patch: int = 0
    image_size: int = 0
    weights: str = ""
    normalize: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """The recipe of the original and of its oracles.

    Attributes:
      epochs: passes over the training set.
      batch_size: images per step.
      learning_rate: peak rate.
      weight_decay: L2 term in the gradient (sgd, adam), decoupled decay (adamw).
      momentum: of sgd.
      optimizer: sgd, adam or adamw.
      schedule: constant, cosine, cosine_by_epoch, triangle_by_epoch, or step (linear warm-up, a
        tenth at 60 % and at 80 %).
      warmup_epochs: of the step schedule.
      augment: whether images are cropped and flipped; in training.
    """

    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    momentum: float = 0.9
    optimizer: str = "sgd"
    schedule: str = "step"
    warmup_epochs: float = 2.0
    augment: bool = True

    def recipe(self) -> ju.Unlearner:
        """The method that trains an original or an oracle."""
        return ju.retrain(**dataclasses.asdict(self))
