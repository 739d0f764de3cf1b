"""Cycle model: how many clock cycles a layer takes, exactly.

The engine is built so that a few recurrences describe it: nothing in it depends on the data. The
parts' cycles are those of ``hw.pipeline``. ``tests/hw/engine`` and every verification compare the
recurrences with the RTL, layer by layer.
"""

from dataclasses import dataclass

from hw.layer_entry import LayerEntry
from hw.pipeline import (
    FIRST_VISIT_CYCLES,
    ISSUE_TO_WRITE_CYCLES,
    QUEUE_CYCLES,
    SHORTCUT_CYCLES,
    TAP_CYCLES,
    WALK_CYCLES,
    WINDOW_CYCLES,
)

__all__ = ["LayerTiming", "layer_timing"]


@dataclass(frozen=True)
class LayerTiming:
    """Cycles counted from a layer's start pulse: of its first issue and of its end; of the last
    issue of each line of output pixels."""

    first_issue: int
    end: int
    lines: tuple[int, ...]


def layer_timing(entry: LayerEntry) -> LayerTiming:
    """Timing of the layer whose table entry is `entry`.

    Per tap i: visited in cycle v, pushed into the queue in cycle p, popped by the walker in cycle
    q, its last group issued in cycle e, where
    p[i] = max(v[i], q[i - 1]), q[i] = max(p[i] + 1, e[i - 1]), e[i] = q[i] + groups, and the
    last tap of a window also waits for the drain: e[i] >= e[last tap before] + its drain cycles.
    """
    visit = FIRST_VISIT_CYCLES
    popped = issued = -1
    first_issue = None
    drained = 0
    lines = []
    starts_y = range(entry.start_y, entry.last_y + 1, entry.stride)
    starts_x = range(entry.start_x, entry.last_x + 1, entry.stride)
    rows = _taps(starts_y, entry.kernel_height, entry.input_height)
    columns = _taps(starts_x, entry.kernel_width, entry.input_width)
    drains = [entry.drain_cycles] * (entry.tiles - 1) + [entry.last_drain_cycles]
    for row in rows:
        for column in columns:
            moved = 0 if column is columns[-1] else entry.stride - 1
            visits = [inside_y and inside_x for inside_y in row for inside_x in column]
            # Taps that count: cycles of the generator after the one before, and groups.
            taps, before = [], 0
            for position, inside in enumerate(visits):
                if inside:
                    taps.append((TAP_CYCLES * (position - before), entry.groups))
                    before = position
            rest = TAP_CYCLES * (len(visits) - 1 - before)
            if entry.projection:
                taps.append((rest + SHORTCUT_CYCLES, entry.projection_groups))
                rest = 0
            for drain in drains:
                for cycles, count in taps:
                    visit = max(visit + cycles, popped)
                    popped = max(visit + QUEUE_CYCLES, issued)
                    if first_issue is None:
                        first_issue = popped + WALK_CYCLES
                    issued = popped + WALK_CYCLES + count - 1
                visit += rest + WINDOW_CYCLES
                issued = max(issued, drained)
                drained = issued + drain
            visit += moved
        lines.append(issued)
    assert first_issue is not None  # each window has a tap inside the image
    last_lane = (entry.tile_lanes - 1) * entry.lane_cycles
    return LayerTiming(first_issue, issued + last_lane + ISSUE_TO_WRITE_CYCLES, tuple(lines))


def _taps(starts: range, kernel: int, extent: int) -> list[list[bool]]:
    """For each output position along an axis: whether each tap is inside the image."""
    return [[0 <= start + tap < extent for tap in range(kernel)] for start in starts]
