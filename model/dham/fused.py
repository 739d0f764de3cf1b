"""Compiles and calls `fused.cpp`, the fast element-wise part of a training step on a CPU.

Everything here is optional: where g++ is missing, or shapes do not suit it, `available` says so
and `model.dham.quantise` computes the same in plain torch, several times slower.
"""

import ctypes
import functools
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from model.common.children import capture

__all__ = ["available", "backward", "backward_sums", "forward", "moments"]

SOURCE = Path(__file__).with_name("fused.cpp")
FLAGS = [
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp",
    "-shared",
    "-fPIC",
]
GROUP_SIZES = (1, 2, 4, 8, 16)


@functools.cache
def compiled() -> ctypes.CDLL | None:
    """The compiled `fused.cpp`, or None where it cannot be compiled.

    It is kept in the user's cache folder under a name that depends on source, flags and processor.
    """
    if os.environ.get("DHAM_FUSED") == "0":
        return None
    try:
        native = capture(["g++", "-march=native", "-Q", "--help=target"])
        native.check_returncode()
        made = " ".join(FLAGS) + native.stdout
        key = hashlib.sha256(SOURCE.read_bytes() + made.encode()).hexdigest()
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dham"
        path = cache / f"fused-{key[:16]}.so"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                built = Path(folder) / "fused.so"
                capture(["g++", *FLAGS, "-o", str(built), str(SOURCE)]).check_returncode()
                built.replace(path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError):
        return None


def available(y: Tensor, group_size: int) -> bool:
    """Whether the compiled code can serve activations `y` [N, C, H, W] and this group size."""
    return (
        y.device.type == "cpu"
        and y.dtype == torch.bfloat16
        and y.shape[1] % 16 == 0
        and y.shape[1] <= 1024
        and group_size in GROUP_SIZES
        and y.is_contiguous(memory_format=torch.channels_last)
        and compiled() is not None
    )


def address(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def size(y: Tensor) -> tuple[ctypes.c_long, ctypes.c_int]:
    """Pixels of the whole batch, and channels."""
    return ctypes.c_long(y.numel() // y.shape[1]), ctypes.c_int(y.shape[1])


def last(tensor: Tensor | None) -> Tensor | None:
    """The tensor as bf16 with the channels innermost, as the compiled code reads it."""
    if tensor is None:
        return None
    return tensor.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


def moments(y: Tensor) -> Tensor:
    """Per-channel mean of y and of y squared over batch and pixels: float64 [2, C]."""
    sums = torch.empty(2, y.shape[1], dtype=torch.float64)
    compiled().dham_moments(address(y), *size(y), address(sums))
    return sums / (y.numel() // y.shape[1])


def forward(
    y: Tensor,
    residual: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    *,
    group_size: int,
    rho: float,
    temperature: float,
    top: float,
    limit: float,
    before: bool,
    binary: bool,
    slopes: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Activations, bf16, and their slope d out / d z in 1/255, uint8, both [N, C, H, W].

    z = scale * y + shift + rho * residual; `temperature` 0 is the winner-takes-all, `top` 0 leaves
    the values unrounded; from z = `limit` on, no gradient passes where they are rounded.
    """
    out = torch.empty_like(y)
    slope = torch.empty_like(y, dtype=torch.uint8) if slopes else None
    residual, scale, shift = last(residual), scale.float().contiguous(), shift.float().contiguous()
    compiled().dham_forward(
        address(y),
        address(residual),
        address(scale),
        address(shift),
        address(out),
        address(slope),
        *size(y),
        ctypes.c_int(group_size),
        ctypes.c_float(rho),
        ctypes.c_float(temperature),
        ctypes.c_float(top),
        ctypes.c_float(limit),
        ctypes.c_int(before),
        ctypes.c_int(binary),
    )
    return out, slope


def gradient_arguments(gradient: Tensor, sampled: Tensor | None, stride: int) -> tuple:
    """The gradient of one use or two, as `fused.cpp` takes it."""
    height, width = gradient.shape[2:]
    numbers = (ctypes.c_int(number) for number in (height, width, stride))
    return address(gradient), address(sampled), *numbers


def backward_sums(
    gradient: Tensor, slope: Tensor, y: Tensor, sampled: Tensor | None = None, stride: int = 1
) -> Tensor:
    """Per-channel sums of dz = gradient * slope / 255 and of dz * y: float64 [2, C].

    `sampled` is the gradient of a second use, by every `stride`-th pixel, added to `gradient`.
    """
    sums = torch.empty(2, y.shape[1], dtype=torch.float64)
    compiled().dham_backward_sums(
        *gradient_arguments(gradient, sampled, stride),
        address(slope),
        address(y),
        *size(y),
        address(sums),
    )
    return sums


def backward(
    gradient: Tensor,
    slope: Tensor,
    y: Tensor,
    factors: Tensor,
    rho: float,
    residual: bool,
    sampled: Tensor | None = None,
    stride: int = 1,
) -> tuple[Tensor, Tensor | None]:
    """dy = factors[0] * dz + factors[1] * y + factors[2] per channel, and rho * dz if asked."""
    d_y = torch.empty_like(y)
    d_residual = torch.empty_like(y) if residual else None
    factors = factors.float().contiguous()
    compiled().dham_backward(
        *gradient_arguments(gradient, sampled, stride),
        address(slope),
        address(y),
        address(factors),
        ctypes.c_float(rho),
        address(d_y),
        address(d_residual),
        *size(y),
    )
    return d_y, d_residual
