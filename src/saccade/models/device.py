"""Device and numeric precision."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager, nullcontext

import torch

# Parameters of glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def best_device() -> torch.device:
    """Return the first CUDA device, or the CPU if there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_precision(device: torch.device) -> str:
    """Return the fastest precision: ``bf16`` if the device multiplies bf16 matrices in hardware.

    Otherwise ``fp16`` on CUDA and ``fp32`` on a CPU.
    """
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device.type == "cpu" and torch.cpu._is_amx_tile_supported() else "fp32"


def tune_malloc() -> None:
    """Make glibc keep large freed blocks in the process, to speed up training on a CPU.

    By default glibc returns large blocks to the operating system at once, and each training step pays for page
    faults.
    """
    libc = ctypes.CDLL(None)
    # Other C libraries, such as musl, have no mallopt.
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return a context in which models compute with ``precision``: ``fp32``, ``bf16`` or ``fp16``."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, _DTYPES[precision])
