"""What devices could do at most, by their makers' data sheets."""

PEAKS: dict[str, dict[str, float]] = {
    # NVIDIA A100, H100 and H200 Tensor Core GPU data sheets: dense figures, half of those "with
    # sparsity". XLA computes float32 convolutions and products in TF32 there.
    "A100": {"float32": 156e12, "bfloat16": 312e12},
    "H100 PCIe": {"float32": 378e12, "bfloat16": 756e12},
    "H100": {"float32": 494.5e12, "bfloat16": 989e12},
    "H200": {"float32": 494.5e12, "bfloat16": 989e12},
    # cloud.google.com/tpu/docs, system architecture of v4, v5e, v5p and v6e: per chip. XLA computes
    # float32 products from bfloat16 operands there, unless told otherwise.
    "TPU v4": {"float32": 275e12, "bfloat16": 275e12},
    "TPU v5 lite": {"float32": 197e12, "bfloat16": 197e12},
    "TPU v5": {"float32": 459e12, "bfloat16": 459e12},
    "TPU v6 lite": {"float32": 918e12, "bfloat16": 918e12},
}
"""Operations per second by device and compute type; what a name begins with comes before it."""


def peak(kind: str, dtype: str) -> float | None:
    """Peak of a device, or None where it is not known.

    Args:
      kind: JAX's name of the device, such as NVIDIA H100 80GB HBM3.
      dtype: float32 or bfloat16.
    """
    known = [name for name in PEAKS if name in kind]
    return PEAKS[max(known, key=len)][dtype] if known else None
