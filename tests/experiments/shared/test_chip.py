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
        ("NVIDIA A100-SXM4-40GB", "bfloat16", None),
        ("NVIDIA A100X", "bfloat16", None),
        ("NVIDIA H100 64GB HBM2", "bfloat16", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bfloat16", None),
        ("TPU v4", "bfloat16", 275e12),
        ("TPU v4 lite", "bfloat16", None),
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
memory = 2_000_000_000
usable = 0.75
sizes = ["1", "2x2"]
sources = ["data sheet"]
compiler = "gpu_device_info { }"

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
        ("memory = 2_000_000_000\n", "", "memory missing: expected the facts"),
        ("memory = 2_000_000_000", "memory = 80", "memory=80: expected"),
        ("usable = 0.75", "usable = 0.75\ncores = 3", "unknown cores: expected the facts"),
        ('compiler = "gpu_device_info { }"', "", "compiler: of a GPU it must be told"),
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


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "chip.toml").mkdir()
    with pytest.raises(InputError, match=r"^chip='.*chip\.toml': .*expected the facts that"):
        _read(tmp_path / "chip.toml")


def test_a_chip_that_nothing_is_compiled_for_needs_no_word_to_a_compiler(tmp_path):
    path = tmp_path / "chip.toml"
    path.write_text(
        FACTS.replace('["1", "2x2"]', "[]").replace('compiler = "gpu_device_info { }"', "")
    )
    assert _read(path).compiler == ""
