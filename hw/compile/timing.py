"""Cycle model: how many clock cycles a layer takes, exactly.

The engine is built so that a few recurrences describe it. Zeros are skipped, so a frame's cycles
depend on which of its records are zero, and on nothing else of the data. Without records the
recurrences give the bound, the cycles of a frame that has no zero: another record that is not zero
never makes anything earlier. The parts' cycles are those of ``hw.pipeline``. ``tests/hw/engine``
and every verification compare the recurrences with the RTL, frame by frame and layer by layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar, overload

import numpy as np

from hw.capability import Capability
from hw.compile.schedule import output_pixels, tile_drains
from hw.layer_entry import LayerEntry
from hw.pipeline import (
    FIRST_VISIT_CYCLES,
    QUEUE_CYCLES,
    QUEUE_TO_ISSUE_CYCLES,
    QUEUED_WORDS,
    SHORTCUT_CYCLES,
    TAP_CYCLES,
    WALK_CYCLES,
    WINDOW_CYCLES,
    Pipeline,
    pipeline_of,
)

__all__ = ["LayerTiming", "NonZero", "layer_timing", "non_zero"]

Cycles = TypeVar("Cycles", int, np.ndarray)

_LONG_AGO = -10_000  # cycles


@dataclass(frozen=True)
class LayerTiming(Generic[Cycles]):
    """Cycles counted from a layer's start pulse: in which its first word is read; of its end; in
    which the last word of each line of output pixels is taken from memory.

    Those of the bound are numbers; those of N frames are arrays [N], or [] if all are alike.
    """

    first_word: int
    end: Cycles
    lines: tuple[Cycles, ...]


@dataclass(frozen=True)
class NonZero:
    """How many records are not zero in each word that a layer reads, frame by frame.

    ``source`` is [H, W, words, N]; ``shortcut`` [rows, columns, words, N], at the pixels that the
    projection reads for each output pixel. None: the image, or no shortcut.
    """

    source: np.ndarray | None
    shortcut: np.ndarray | None = None


def non_zero(values: np.ndarray, capability: Capability) -> np.ndarray:
    """Values of records [N, H, W, G] -> how many are not zero in each word [H, W, words, N]."""
    frames, height, width, groups = values.shape
    records = capability.records_per_word
    words = -(-groups // records)
    found = np.zeros((frames, height, width, words * records), np.uint8)
    found[..., :groups] = values != 0
    counted = found.reshape(frames, height, width, words, records).sum(-1, dtype=np.uint8)
    return np.ascontiguousarray(counted.transpose(1, 2, 3, 0))


@overload
def layer_timing(entry: LayerEntry, capability: Capability) -> LayerTiming[int]: ...
@overload
def layer_timing(
    entry: LayerEntry, capability: Capability, found: NonZero
) -> LayerTiming[np.ndarray]: ...
def layer_timing(
    entry: LayerEntry, capability: Capability, found: NonZero | None = None
) -> LayerTiming[Any]:
    """Timing of the layer whose table entry is `entry`, for records as `found`; None: the bound.

    Per tap i: visited in cycle v, pushed into the queue in cycle p, popped by the walker in cycle
    q, its last word read out of memory in cycle t, where p[i] = max(v[i], q[i - 1]) and
    q[i] = max(p[i] + 1, t[i - 1]). What follows is `_Words`.
    """
    return _bound(entry, capability) if found is None else _timing(entry, capability, found)


@lru_cache(maxsize=1024)  # each head of a network, and each report of a plan, asks again
def _bound(entry: LayerEntry, capability: Capability) -> LayerTiming[int]:
    return _timing(entry, capability, None)


def _timing(entry: LayerEntry, capability: Capability, found: NonZero | None) -> LayerTiming[Any]:
    pipeline = pipeline_of(capability)
    words = _Words(pipeline, arrays=found is not None)
    source = _tap(entry.image, entry.groups, capability)
    shortcut = _tap(entry.projection_image, entry.projection_groups, capability)
    visit: Any = FIRST_VISIT_CYCLES
    popped: Any = -1
    first_word = None
    lines = []
    positions = entry.kernel_height * entry.kernel_width
    drains = tile_drains(entry)
    for pixel in output_pixels(entry):
        # Of each tap: cycles of the generator after the tap before, and records of its words.
        taps: list[tuple[int, Sequence]] = []
        before = 0
        for tap in pixel.taps:
            counts: Sequence
            if tap.source is None:
                cycles = TAP_CYCLES * (positions - 1 - before) + SHORTCUT_CYCLES
                counts = shortcut
                if found is not None and found.shortcut is not None:
                    counts = found.shortcut[pixel.line, pixel.column]
            else:
                cycles = TAP_CYCLES * (tap.position - before)
                counts = source
                if found is not None and found.source is not None:
                    counts = found.source[tap.source]
            taps.append((cycles, counts))
            before = tap.position
        rest = 0 if entry.projection else TAP_CYCLES * (positions - 1 - before)
        for drain in drains:
            for number, (cycles, counts) in enumerate(taps):
                visit = words.latest(visit + cycles, popped)
                popped = words.latest(visit + QUEUE_CYCLES, words.read)
                if first_word is None:
                    first_word = popped + WALK_CYCLES
                words.walk(popped + WALK_CYCLES, counts, number == len(taps) - 1)
            visit = visit + rest + WINDOW_CYCLES
            words.drained = words.left[0] + drain
        if pixel.last_column:
            lines.append(words.read)
        else:
            visit = visit + entry.stride - 1
    assert first_word is not None  # each window has a tap inside the image
    last_lane = (entry.tile_lanes - 1) * entry.lane_cycles
    end = words.left[0] + last_lane + pipeline.issue_to_write_cycles
    if found is not None:
        return LayerTiming(first_word, np.asarray(end), tuple(map(np.asarray, lines)))
    return LayerTiming(first_word, end, tuple(lines))


class _Words:
    """Words from memory to the issue of their last record (`hw.engine.walker`, `stages`, `issuer`).

    ``entered`` are the cycles in which the last word entered each stage, and the issuer's queue;
    ``left`` those in which words left the queue, the latest first; ``drained`` is the first cycle
    in which the next window may end.
    """

    def __init__(self, pipeline: Pipeline, *, arrays: bool) -> None:
        self.latest: Callable[[Any, Any], Any] = np.maximum if arrays else max
        self.choose: Callable[[Any, Any, Any], Any] = np.where if arrays else _choose
        self.entered: list[Any] = [_LONG_AGO] * (pipeline.word_stages + 1)
        self.left: list[Any] = [_LONG_AGO] * QUEUED_WORDS
        self.drained: Any = 0

    @property
    def read(self) -> Any:
        """The cycle in which the last word was read out of memory, and not again."""
        return self.entered[0]

    def walk(self, cycle: Any, counts: Sequence, ends: bool) -> None:
        """The words of a tap, the first of them at the walker's output in `cycle`.

        A word stands there, and in each stage, until it is taken. A stage takes it once the word
        before leaves the stage, and shows it in the next cycle. The issuer takes it once there is
        room, which is when the first of the `QUEUED_WORDS` last words that were queued has left. A
        word without records is not queued, unless it is the window's last. Records are issued one a
        cycle, from `QUEUE_TO_ISSUE_CYCLES` later on or when the word before has left. The last word
        of a window takes a cycle even if it has none.
        """
        final = len(counts) - 1
        for number, count in enumerate(counts):
            last = ends and number == final
            for place, free in enumerate([*self.entered[1:], self.left[-1] + 1]):
                self.entered[place] = self.latest(cycle, free)
                cycle = self.entered[place] + 1
            leaves = self.latest(self.entered[-1] + QUEUE_TO_ISSUE_CYCLES, self.left[0] + 1)
            leaves = leaves + self.latest(count, 1) - 1
            if last:
                leaves = self.latest(leaves, self.drained)
            left = [leaves, *self.left[:-1]]
            if not last:
                left = [
                    self.choose(count == 0, here, after)
                    for here, after in zip(self.left, left, strict=True)
                ]
            self.left = left
            cycle = self.read + 1


def _choose(condition: bool, one: int, other: int) -> int:
    return one if condition else other


def _tap(image: int, groups: int, capability: Capability) -> list[int]:
    """Records of each word of a tap: of the image each byte is a word."""
    if image:
        return [1] * groups
    records = capability.records_per_word
    return [min(records, groups - first) for first in range(0, groups, records)]
