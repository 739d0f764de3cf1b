"""The cycle model on layers small enough to count by hand; the RTL is compared in tests/sim.

The totals are numbers, written down from the descriptions of `hw.engine.taps`, `walker` and
`drain`, not computed from the constants of `hw.timing`: a constant that changes shows here.
"""

from dataclasses import replace

import numpy as np
import pytest

from hw.plan import make_plan
from hw.timing import TURNAROUND_CYCLES, layer_timing
from tests.hw.engine.helpers import CAPABILITY, plans

#: One output pixel, one tap of one group, one output channel.
ONE = {
    "kernel_height": 0, "kernel_width": 0, "start_y": 0, "start_x": 0, "last_y": 0, "last_x": 0,
    "input_height": 0, "input_width": 0, "stride": 0, "tiles": 0, "tile_lanes": 0,
    "lane_cycles": 0, "drain_cycles": 15, "last_drain_cycles": 1, "groups": 0, "projection": 0,
    "projection_groups": 0,
}  # fmt: skip

#: What differs from `ONE`; cycle of the last issue of each line; cycle of the end.
#: The first tap is visited in cycle 3, popped in 4, its first group issued in 5. From a window's
#: last issue to the write of a one-lane window's word: 18 cycles, and 1 for each lane more.
COUNTED = {
    "one of everything": ({}, (5,), 23),
    # Eight groups are issued in 5 to 12.
    "groups": ({"groups": 7}, (12,), 30),
    # Visits 3, 5, ..., 19; the last one is issued two cycles later.
    "nine taps": (
        {"kernel_height": 2, "kernel_width": 2, "input_height": 2, "input_width": 2}, (21,), 39,
    ),
    # Only the fifth of nine taps is inside: visited in 3 + 4 * 2 = 11.
    "padding": (
        {"kernel_height": 2, "kernel_width": 2, "start_y": -1, "start_x": -1, "last_y": -1,
         "last_x": -1}, (13,), 31,
    ),
    # The generator waits for the walker: issues 5 to 14, 15 to 24, 25 to 34.
    "long taps": ({"kernel_width": 2, "input_width": 2, "groups": 9}, (34,), 52),
    # The shortcut's tap comes a cycle after the kernel's; its four groups are issued in 6 to 9.
    "projection": ({"projection": 1, "projection_groups": 3}, (9,), 27),
    # Padding and a shortcut: eight cycles for the four taps behind the one inside, and one.
    "padding, projection": (
        {"kernel_height": 2, "kernel_width": 2, "start_y": -1, "start_x": -1, "last_y": -1,
         "last_x": -1, "projection": 1}, (22,), 40,
    ),
    # The second pixel's tap is visited three cycles after the first one's.
    "two pixels": ({"last_x": 1, "input_width": 1}, (8,), 26),
    # With a stride of 3 two cycles more.
    "stride": ({"last_x": 3, "input_width": 3, "stride": 2}, (10,), 28),
    # From line to line the stride costs nothing.
    "two lines": ({"last_y": 3, "input_height": 3, "stride": 2}, (5, 8), 26),
    # Sixteen lanes: the second window's last issue waits until 5 + 16; 15 lanes more are written.
    "drain": (
        {"last_x": 1, "input_width": 1, "tile_lanes": 15, "last_drain_cycles": 15}, (21,), 54,
    ),
    # 64 groups hide the drain: issues 5 to 68 and 69 to 132.
    "hidden drain": (
        {"last_x": 1, "input_width": 1, "tile_lanes": 15, "last_drain_cycles": 15, "groups": 63},
        (132,), 165,
    ),
    # A full tile before the last one, of one lane: that waits for the sixteen.
    "tiles": ({"tiles": 1}, (21,), 39),
    # Eight lanes, four cycles each.
    "slow lanes": ({"tile_lanes": 7, "lane_cycles": 3, "last_drain_cycles": 31}, (5,), 51),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTED)
def test_counted_by_hand(name):
    changes, lines, end = COUNTED[name]
    timing = layer_timing(ONE | changes)
    first = 13 if "padding" in name else 5
    assert (timing.first_issue, timing.lines, timing.end) == (first, lines, end)


def test_turnaround():
    """24 words of fields, the start, and the walker's and the sequencer's states."""
    assert TURNAROUND_CYCLES == 26


def test_frame_is_the_sum_of_its_layers():
    for plan in plans(20, 1000):
        timings = [layer_timing(layer.fields) for layer in plan.layers]
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
