"""Where and how precisely a model runs."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager, nullcontext

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def best_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_precision(device: torch.device) -> str:
    """``bf16`` where the processor multiplies bf16 matrices in hardware, else ``fp32``."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device.type == "cpu" and torch.cpu._is_amx_tile_supported() else "fp32"


def reuse_freed_memory() -> None:
    """Keep large freed blocks in this process, so that each step of a training on the CPU need not ask for them anew.

    glibc gives large blocks back to the system at once by default, and then every step pays for page faults.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context in which a model computes with a precision of ``fp32``, ``bf16`` or ``fp16``."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, _TYPES[precision])
