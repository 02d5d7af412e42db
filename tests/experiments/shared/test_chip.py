"""What is published of chips is read from files, one for each."""

import pytest

from experiments.shared.chip import _read, chip_of
from jax_unlearn.core import InputError


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


FACTS = """
name = "A chip"
platform = "gpu"
kind = "Chip"
bandwidth = 1e12
memory = 1000
usable = 0.75
sizes = ["1", "2x2"]
sources = ["data sheet"]

[peak]
float32 = 1e12
bfloat16 = 2e12
"""


@pytest.mark.parametrize(
    ("fact", "wrong", "says"),
    [
        ("bandwidth = 1e12", 'bandwidth = "1e12"', "bandwidth='1e12': expected a number > 0"),
        ("bandwidth = 1e12", "bandwidth = 0", "bandwidth=0: expected a number > 0"),
        ("float32 = 1e12\n", "", "'float32'"),
        ("usable = 0.75", "usable = 75", "usable=75: expected a number > 0 and <= 1"),
        ('sizes = ["1", "2x2"]', "sizes = [4]", "sizes=(4,) is no list of texts"),
        ('sizes = ["1", "2x2"]', 'sizes = "2x2"', "sizes: 'x' is no topology"),
        ('platform = "gpu"', 'platform = "npu"', "platform='npu': "),
        ("memory = 1000\n", "", "memory"),
        ("memory = 1000", "memory = 1000\ncores = 3", "cores"),
    ],
)
def test_a_wrong_fact_is_refused_when_the_file_is_read(tmp_path, fact, wrong, says):
    path = tmp_path / "chip.toml"
    path.write_text(FACTS)
    assert _read(path).name == "A chip"
    path.write_text(FACTS.replace(fact, wrong))
    with pytest.raises(InputError) as caught:
        _read(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
