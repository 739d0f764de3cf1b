"""Cycles of frames whose records are known: the plan gives the bound, this the exact number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hw.compile.plan import Plan
from hw.compile.timing import NonZero, layer_timing, non_zero
from hw.pipeline import pipeline_of
from model.network import Projection

__all__ = ["FrameCycles", "frame_cycles"]


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
    counted = [non_zero(one, capability) for one in values]

    def read(tensor: int, projection: Projection | None = None) -> np.ndarray | None:
        if tensor == 0:
            return None
        found = counted[tensor - 1]
        if projection is None:
            return found
        return found[:: projection.stride, :: projection.stride]

    timings = []
    for layer, planned in zip(plan.network.layers, plan.layers, strict=True):
        projection = layer.projection if layer.kind == "conv" else None
        shortcut = read(projection.source, projection) if projection else None
        found = NonZero(read(layer.source), shortcut)
        timings.append(layer_timing(planned.entry, capability, found))
    first = [one.first_word for one in timings]
    turnaround = pipeline_of(capability).turnaround_cycles
    layers = np.empty((frames, len(timings)), np.int64)
    for index, timing in enumerate(timings):
        following = first[(index + 1) % len(first)]
        layers[:, index] = timing.end - first[index] + turnaround + following
    return FrameCycles(frames=layers.sum(axis=1), layers=layers)
