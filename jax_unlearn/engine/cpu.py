"""Settings of the process that make steps on a CPU faster; without effect on accelerators.

Everything here overrides what XLA or glibc do by themselves, so it must be asked for, and its gain
is measured.
"""

import ctypes
import os
import sys

import jax

_MMAP_FROM, _TRIM_FROM = -3, -1
"""Numbers of mallopt's parameters in glibc's malloc.h."""


def use_cpu_devices(count: int, *, keep_memory: bool = True) -> None:
    """Split a CPU's cores into virtual devices, and keep memory between steps.

    Must come before anything touches a device.

    Args:
      count: number of virtual devices; 0 leaves JAX's own.
      keep_memory: whether what XLA frees stays with the process, and steps run in the thread that
        calls them. Worth it from steps of some ten milliseconds on.
    """
    if keep_memory:
        _keep_freed_memory()
    if count:
        jax.config.update("jax_num_cpu_devices", count)
    if count > 1:
        # XLA's pool has no more threads than there are devices or cores. All-reduces that do not
        # depend on each other start in any order and hold a thread while they wait: with so few
        # threads the devices can wait for each other forever. More threads than cores slow a
        # single device down: eight on two cores by a fifth of a ResNet-20's step.
        os.environ.setdefault("PJRT_NPROC", str(8 * count))


def _keep_freed_memory() -> None:
    """Have glibc keep what XLA frees.

    Handing 100 MB back after every step and faulting them in again costs a quarter of a small
    ResNet's step: on two cores steps of a ResNet-20 are 1.25 times as fast with it (bench_cpu).
    Steps on digits, of a few milliseconds, are 0.85 times as fast, since Python no longer prepares
    the next one meanwhile.
    """
    # Other C libraries have no mallopt; older ones refuse to keep arrays above 32 MiB.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and (mallopt(_MMAP_FROM, 2**30) or mallopt(_MMAP_FROM, 2**25)):
        mallopt(_TRIM_FROM, 2**31 - 1)
        # glibc keeps nothing above 64 MiB for other threads than the main one: the thread that
        # calls a step must be the one that allocates for it.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
