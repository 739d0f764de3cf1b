"""Capacity: how many patterns a memory holds before more than a stated share is not retrieved."""

from __future__ import annotations

import zlib

import numpy as np

from model.common.lazy import torch
from model.memory.classical import AutoMemory

__all__ = ["capacity", "error"]


def error(
    memory: AutoMemory, patterns: torch.Tensor, probes: int, share: float, seed: int
) -> float:
    """Store `patterns` and return the share of failed probes, at least `probes` of them.

    Stored patterns are probed in turn, as often as it takes, or the first `probes` of them; each
    probe has `share` of its pattern erased, at random from `seed`.
    """
    memory.store(patterns)
    rng = np.random.default_rng([seed, len(patterns), 1])
    turns = torch.arange(max(probes, 1)) % len(patterns)
    return float(memory.failed(rng, patterns[turns], share).double().mean())


def capacity(
    memory: AutoMemory,
    *,
    seed: int,
    target: float = 0.1,
    share: float = 0.25,
    probes: int = 1000,
    resolution: float = 0.005,
) -> tuple[int, int]:
    """The largest M whose error stays at or below `target`, and how many M were tried.

    The seed gives one sequence of patterns; M of them are its first M. M doubles until the error is
    above the target, then the interval is halved until it is `resolution` of M, or 1. The error of
    finitely many probes is not quite monotone in M; what is found is one place where it crosses the
    target. 0 if a single pattern is too much.
    """
    stream = zlib.crc32(f"{memory.name}/{memory.neurons}".encode())
    rng = np.random.default_rng([seed, stream])
    patterns = memory.draw(rng, 64)
    low, high, tried = 0, 1, 0

    def fits(count):
        nonlocal patterns, tried
        while len(patterns) < count:
            patterns = torch.cat([patterns, memory.draw(rng, len(patterns))])
        tried += 1
        return error(memory, patterns[:count], probes, share, seed) <= target

    while fits(high):
        low, high = high, 2 * high
    while high - low > max(1, resolution * low):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low, tried
