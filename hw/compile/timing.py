"""Cycle model: how many clock cycles a layer takes, exactly.

The engine is built so that a few recurrences describe it: nothing in it depends on the data.
``tests/hw/compile/test_plan.py`` and every verification compare them with the RTL, layer by layer.
"""

from dataclasses import dataclass

from hw.engine.drain import DRAIN_LATENCY
from hw.layer_entry import LAST_WORD, LayerEntry

__all__ = ["TURNAROUND_CYCLES", "LayerTiming", "layer_timing"]

#: Cycles from a layer's end to the start pulse of the next: fetching its fields, and two states.
TURNAROUND_CYCLES = LAST_WORD + 3
# Cycles from a window's last issue to the write of its last word, if it has one lane.
_PIPELINE_CYCLES = 5 + DRAIN_LATENCY
_FIRST_VISIT = 3  # cycle, after the start pulse, in which the generator visits the first tap
_TAP_CYCLES = 2  # of the generator, from tap to tap
_SHORTCUT_CYCLES = 1  # from the kernel's last tap to the projection's
_WINDOW_CYCLES = 3  # from a window's last tap to the next one's first; and stride - 1 in a line


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
    visit = _FIRST_VISIT
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
                    taps.append((_TAP_CYCLES * (position - before), entry.groups))
                    before = position
            rest = _TAP_CYCLES * (len(visits) - 1 - before)
            if entry.projection:
                taps.append((rest + _SHORTCUT_CYCLES, entry.projection_groups))
                rest = 0
            for drain in drains:
                for cycles, count in taps:
                    visit = max(visit + cycles, popped)
                    popped = max(visit + 1, issued)
                    if first_issue is None:
                        first_issue = popped + 1
                    issued = popped + count
                visit += rest + _WINDOW_CYCLES
                issued = max(issued, drained)
                drained = issued + drain
            visit += moved
        lines.append(issued)
    assert first_issue is not None  # each window has a tap inside the image
    last_lane = (entry.tile_lanes - 1) * entry.lane_cycles
    return LayerTiming(first_issue, issued + last_lane + _PIPELINE_CYCLES, tuple(lines))


def _taps(starts: range, kernel: int, extent: int) -> list[list[bool]]:
    """For each output position along an axis: whether each tap is inside the image."""
    return [[0 <= start + tap < extent for tap in range(kernel)] for start in starts]
