"""What a measured number has to say of the machine that it was measured on."""

from __future__ import annotations

import os
import platform
import sys

import torch

__all__ = ["allocator", "device_name"]


def device_name(device: torch.device) -> str:
    """The processor's or the card's own name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return next((n for n in names if n), platform.processor() or platform.machine())


def allocator(device: torch.device) -> str:
    """Which allocator serves the tensors: it decides the price of every fresh page."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_allocator_backend()}"
    preloaded = [
        name
        for name in ("jemalloc", "tcmalloc", "mimalloc")
        if name in os.environ.get("LD_PRELOAD", "")
    ]
    library = " ".join(platform.libc_ver()).strip() or sys.platform
    tuned = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("MALLOC_")]
    return " ".join([*(preloaded or [f"{library} malloc"]), *tuned])
