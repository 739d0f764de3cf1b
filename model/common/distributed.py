"""Training by several processes, started by torchrun: sums over all, one failure stops all.

Without torchrun there is one process, and everything here does nothing. Each process holds the
whole network and takes its part of every batch; `model.training.trainer` and `model.dham.layers`
call `total` where a sum goes over the whole batch.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from model.common.errors import UserError
from model.common.lazy import torch
from model.common.optional import Lazy

if TYPE_CHECKING:
    import torch.distributed as dist
    from torch import Tensor
else:
    dist = Lazy("torch.distributed")

__all__ = [
    "asked",
    "device_of",
    "first",
    "from_first",
    "processes",
    "rank",
    "size",
    "stopping",
    "together",
    "total",
]

Result = TypeVar("Result")
stop_asked = 0  # the signal that came, if one did; all processes stop after the same step


def asked() -> bool:
    """Whether torchrun, or what sets the same variables, started this process."""
    return "RANK" in os.environ and "MASTER_ADDR" in os.environ


def size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, 0 to `size` − 1."""
    return dist.get_rank() if size() > 1 else 0


def first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return int(os.environ.get("RANK", "0")) == 0 if asked() else True


def device_of(name: str) -> torch.device:
    """The device of this process: "cpu", "cuda", or "auto", which takes CUDA where there is one.

    Raises `UserError` where there is no GPU (of this process's number on its machine).
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cuda" and not count:
        raise UserError("No CUDA device is available: use --device cpu")
    if name == "cpu" or not count:
        return torch.device("cpu")
    if not asked():
        return torch.device("cuda")
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if number >= count:
        raise UserError(
            f"Process {number} of this machine has no GPU: {count} of them are here, "
            f"give torchrun --nproc-per-node {count}"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def on_signal(number: int, frame: object) -> None:
    global stop_asked
    stop_asked = number


def stopping() -> int:
    """The signal that asked this process to stop; 0 where none did."""
    return stop_asked


@contextmanager
def processes() -> Iterator[None]:
    """Join the other processes, if torchrun started this one, until the end of the block.

    Within it SIGINT and SIGTERM only leave a note (`stopping`), so that no process leaves the
    others in the middle of a step. Raises `UserError` where the others are not to be found or lost.
    """
    global stop_asked
    if not asked() or int(os.environ["WORLD_SIZE"]) == 1:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(minutes=10))
    except (RuntimeError, ValueError) as error:
        raise UserError(f"The processes of torchrun do not find each other: {error}") from None
    stop_asked = 0
    before = [(n, signal.signal(n, on_signal)) for n in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error).lower()):
            raise
        raise UserError(
            f"Process {rank()} of {size()} lost the others, one of them must have ended; "
            "the last checkpoint is kept, go on from it with --resume"
        ) from None
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        dist.destroy_process_group()


@functools.cache
def _total() -> type[torch.autograd.Function]:
    class Total(torch.autograd.Function):
        """Sum over the processes; the gradient of one's share is the sum of all gradients."""

        @staticmethod
        def forward(ctx, value):
            value = value.clone(memory_format=torch.contiguous_format)
            dist.all_reduce(value)
            return value

        @staticmethod
        def backward(ctx, gradient):
            return Total.apply(gradient)

    return Total


def total(value: Tensor) -> Tensor:
    """Sum of `value` over the processes, with gradient; alone: `value` itself."""
    return value if size() == 1 else _total().apply(value)


def together(action: Callable[[], Result]) -> Result:
    """Do `action` in every process; where it fails in one, all raise `UserError` with its text.

    For what only the first process does, give the others an `action` that does nothing.
    """
    if size() == 1:
        return action()
    results, failure = [], None
    try:
        results.append(action())
    except UserError as error:
        failure = str(error)
    except OSError as error:
        failure = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    failures: list[str | None] = [None] * size()
    dist.all_gather_object(failures, failure)
    for number, text in enumerate(failures):
        if text is not None:
            raise UserError(text if number == 0 else f"{text} (process {number})")
    return results[0]


def from_first(action: Callable[[], Any]) -> Any:
    """Result of `action`, which the first process alone runs, in every process."""
    found = [together(lambda: action() if rank() == 0 else None)]
    if size() > 1:
        dist.broadcast_object_list(found)
    return found[0]
