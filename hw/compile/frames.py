"""Cycles of frames whose records are known: the plan gives the bound, this the exact number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hw.compile.plan import Plan
from hw.compile.timing import NonZero, layer_timing, non_zero
from hw.pipeline import pipeline_of

__all__ = ["FrameCycles", "frame_cycles", "non_zero_of"]


@dataclass(frozen=True, kw_only=True)
class FrameCycles:
    """Cycles of each frame [N], and of each of its layers [N, layers].

    A layer's run from its first word to the next layer's; the last one's to the next frame's.
    """

    frames: np.ndarray
    layers: np.ndarray


def frame_cycles(plan: Plan, values: Sequence[np.ndarray]) -> FrameCycles:
    """Cycles that the RTL takes for each of N frames, given the records that they lead to.

    Parameters
    ----------
    plan : Plan
    values : sequence of [N, H, W, G]
        The records' values of each convolution, in the order of the layers
        (`model.integers.oracle`, `model.integers.reference`).
    """
    capability = plan.capability
    frames = len(values[0])
    timings = [
        layer_timing(planned.entry, capability, found)
        for planned, found in zip(plan.layers, non_zero_of(plan, values), strict=True)
    ]
    first = [one.first_word for one in timings]
    turnaround = pipeline_of(capability).turnaround_cycles
    layers = np.empty((frames, len(timings)), np.int64)
    for index, timing in enumerate(timings):
        following = first[(index + 1) % len(first)]
        layers[:, index] = timing.end - first[index] + turnaround + following
    return FrameCycles(frames=layers.sum(axis=1), layers=layers)


def non_zero_of(plan: Plan, values: Sequence[np.ndarray]) -> list[NonZero]:
    """How many records are not zero in the words that each layer reads; `values` as above."""
    counted = [non_zero(one, plan.capability) for one in values]
    found = []
    for layer in plan.network.layers:
        source = None if layer.source == 0 else counted[layer.source - 1]
        shortcut = None
        projection = layer.projection
        if projection is not None and projection.source != 0:
            stride = projection.stride
            shortcut = counted[projection.source - 1][::stride, ::stride]
        found.append(NonZero(source, shortcut))
    return found
