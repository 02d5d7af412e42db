"""What is published of chips is read from files, one for each."""

import pytest

from experiments.shared.chip import chip_of


@pytest.mark.parametrize(
    ("kind", "dtype", "expected"),
    [
        ("NVIDIA H200", "bfloat16", 989e12),
        ("NVIDIA H100 80GB HBM3", "float32", 494.5e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA A100-SXM4-80GB", "float32", 156e12),
        ("TPU v5 lite", "bfloat16", 197e12),
        ("TPU v5p", "bfloat16", 459e12),
        # Others by the same name, whose figures are not these.
        ("NVIDIA H100 NVL", "bfloat16", None),
        ("NVIDIA GH200 480GB", "bfloat16", None),
        ("NVIDIA A100-PCIE-40GB", "bfloat16", None),
        ("cpu", "float32", None),
    ],
)
def test_peaks_are_found_by_the_name_of_the_device(kind, dtype, expected):
    chip = chip_of(kind)
    assert (chip and chip.peak[dtype]) == expected
