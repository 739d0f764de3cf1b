"""What a training runs on, in words."""

from __future__ import annotations

import platform
from pathlib import Path

from model.common.lazy import torch

# isort: split

__all__ = ["hardware"]


def hardware(device: torch.device) -> str:
    """What trained it, without names of machines."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    flags = Path("/proc/cpuinfo")
    amx = " with AMX" if flags.exists() and "amx_bf16" in flags.read_text("utf-8") else ""
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU{amx}, {threads} thread{'s' * (threads > 1)}"
