"""The cycle model on layers small enough to count by hand; the RTL is compared in tests/sim.

The totals are numbers, written down from the descriptions of `hw.engine.taps`, `walker` and
`drain`, not computed from the constants of `hw.pipeline`: a constant that changes shows here.
"""

from dataclasses import replace

import numpy as np
import pytest

from hw.compile.plan import make_plan
from hw.compile.timing import layer_timing
from hw.layer_entry import LayerEntry
from hw.pipeline import TURNAROUND_CYCLES
from tests.hw.engine.helpers import CAPABILITY, plans

#: One output pixel, one tap of one group, one output channel.
ONE = LayerEntry(
    image=0, before=1, binary=0, wide=0, classifier=0, final=0, kernel_height=1, kernel_width=1,
    input_height=1, input_width=1, start_y=0, start_x=0, last_y=0, last_x=0, stride=1, tiles=1,
    tile_lanes=1, lane_cycles=1, maximum=15, drain_cycles=16, last_drain_cycles=2,
    kernel_x_step=1, kernel_return=0, line_return=0, groups=1, group=1, weights=0, weight_step=1,
    tile_step=0, output_group=1, parameters=0, source=0, output=0,
)  # fmt: skip

ALONE_IN_PADDING = {
    "kernel_height": 3, "kernel_width": 3, "start_y": -1, "start_x": -1, "last_y": -1, "last_x": -1,
}  # fmt: skip

#: What differs from `ONE`; cycles of the first issue, of the last issue of each line, of the end.
#: The first tap is visited in cycle 3, popped in 4, its first group issued in 5. From a window's
#: last issue to the write of a one-lane window's word: 18 cycles, and 1 for each lane more.
COUNTED = {
    "one of everything": ({}, 5, (5,), 23),
    # Eight groups are issued in 5 to 12.
    "groups": ({"groups": 8}, 5, (12,), 30),
    # Visits 3, 5, ..., 19; the last one is issued two cycles later.
    "nine taps": (
        {"kernel_height": 3, "kernel_width": 3, "input_height": 3, "input_width": 3}, 5, (21,), 39,
    ),
    # Only the fifth of nine taps is inside: visited in 3 + 4 * 2 = 11.
    "padding": (ALONE_IN_PADDING, 13, (13,), 31),
    # The generator waits for the walker: issues 5 to 14, 15 to 24, 25 to 34.
    "long taps": ({"kernel_width": 3, "input_width": 3, "groups": 10}, 5, (34,), 52),
    # The shortcut's tap comes a cycle after the kernel's; its four groups are issued in 6 to 9.
    "projection": ({"projection": 1, "projection_groups": 4}, 5, (9,), 27),
    # Padding and a shortcut: eight cycles for the four taps behind the one inside, and one.
    "padding, projection": (ALONE_IN_PADDING | {"projection": 1}, 13, (22,), 40),
    # The second pixel's tap is visited three cycles after the first one's.
    "two pixels": ({"last_x": 1, "input_width": 2}, 5, (8,), 26),
    # With a stride of 3 two cycles more.
    "stride": ({"last_x": 3, "input_width": 4, "stride": 3}, 5, (10,), 28),
    # From line to line the stride costs nothing.
    "two lines": ({"last_y": 3, "input_height": 4, "stride": 3}, 5, (5, 8), 26),
    # Sixteen lanes: the second window's last issue waits until 5 + 16; 15 lanes more are written.
    "drain": (
        {"last_x": 1, "input_width": 2, "tile_lanes": 16, "last_drain_cycles": 16}, 5, (21,), 54,
    ),
    # 64 groups hide the drain: issues 5 to 68 and 69 to 132.
    "hidden drain": (
        {"last_x": 1, "input_width": 2, "tile_lanes": 16, "last_drain_cycles": 16, "groups": 64},
        5, (132,), 165,
    ),
    # A full tile before the last one, of one lane: that waits for the sixteen.
    "tiles": ({"tiles": 2}, 5, (21,), 39),
    # Eight lanes, four cycles each.
    "slow lanes": ({"tile_lanes": 8, "lane_cycles": 4, "last_drain_cycles": 32}, 5, (5,), 51),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTED)
def test_counted_by_hand(name):
    changes, first, lines, end = COUNTED[name]
    timing = layer_timing(replace(ONE, **changes))
    assert (timing.first_issue, timing.lines, timing.end) == (first, lines, end)


def test_turnaround():
    """24 words of fields, the start, and the walker's and the sequencer's states."""
    assert TURNAROUND_CYCLES == 26


def test_frame_is_the_sum_of_its_layers():
    for plan in plans(20, 1000):
        timings = [layer_timing(layer.entry) for layer in plan.layers]
        assert plan.cycles == sum(TURNAROUND_CYCLES + timing.end for timing in timings)
        # From first issue to first issue, all around: the same.
        assert plan.cycles == sum(layer.cycles for layer in plan.layers)


def test_never_faster_than_one_record_a_cycle():
    """Cycles are at least the needed issues: multiplications over the lanes that do them."""
    for plan in plans(20, 1000):
        for layer in plan.layers:
            assert layer.cycles * CAPABILITY.lanes >= layer.multiplications
            assert 0 < layer.utilisation <= 1
            if layer.kind == "conv":  # the dense count pools before it classifies
                assert layer.multiplications <= layer.multiplications_dense


def test_timing_does_not_depend_on_the_weights():
    """Other weights, all of them, of the same widths: the same cycles, another memory."""
    rng = np.random.default_rng(5)
    for plan in plans(5, 1100):
        network = plan.network
        layers = [_reweighted(layer, rng) for layer in network.layers]
        other = make_plan(replace(network, layers=tuple(layers)), CAPABILITY)
        assert (other.weights != plan.weights).any()
        assert [one.cycles for one in other.layers] == [one.cycles for one in plan.layers]


def _reweighted(layer, rng):
    """The layer with weights drawn anew, none farther from 0 than it was: no sum overflows."""
    drawn = layer.weights * rng.integers(0, 2, layer.weights.shape)
    if (drawn == layer.weights).all():
        drawn = np.zeros_like(layer.weights)
    return replace(layer, weights=drawn)
