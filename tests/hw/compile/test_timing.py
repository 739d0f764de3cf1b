"""The cycle model on layers small enough to count by hand; the RTL is compared in tests/sim.

The totals are numbers, written down from the descriptions of `hw.engine.taps`, `walker`, `issuer`
and `drain`, not computed from the constants of `hw.pipeline`: a constant that changes shows here.
"""

from dataclasses import replace

import numpy as np
import pytest

from hw.compile.plan import make_plan
from hw.compile.timing import NonZero, layer_timing, non_zero
from hw.layer_entry import LayerEntry
from hw.pipeline import SHORT, pipeline_of
from tests.hw.engine.helpers import BY_PIPELINE, CAPABILITY, plans

LONG_CAPABILITY = replace(CAPABILITY, pipeline=1)

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

#: What differs from `ONE`; cycles of the first word, of the last word of each line, of the end.
#: The first tap is visited in cycle 3, popped in 4, its first word is read in 5, that word's first
#: record issued in 6. From a window's last issue to the write of a one-lane window's word: 17
#: cycles, and 1 for each lane more. A word has four records.
COUNTED = {
    "one of everything": ({}, 5, (5,), 23),
    # Two words, taken in 5 and 6; eight records, issued in 6 to 13.
    "groups": ({"groups": 8}, 5, (6,), 30),
    # Three bytes of the image are read alone, and issued in 6 to 8.
    "image": ({"groups": 3, "image": 1}, 5, (7,), 25),
    # Visits 3, 5, ..., 19; the last word is read two cycles later.
    "nine taps": (
        {"kernel_height": 3, "kernel_width": 3, "input_height": 3, "input_width": 3}, 5, (21,), 39,
    ),
    # Only the fifth of nine taps is inside: visited in 3 + 4 * 2 = 11.
    "padding": (ALONE_IN_PADDING, 13, (13,), 31),
    # Nine words, 4, 4 and 2 records a tap; issues 6 to 35. Three words wait: the last one is taken
    # when the sixth has left, in 25.
    "long taps": ({"kernel_width": 3, "input_width": 3, "groups": 10}, 5, (26,), 52),
    # The shortcut's word is read in 6; its four records are issued in 7 to 10.
    "projection": ({"projection": 1, "projection_groups": 4}, 5, (6,), 27),
    # Padding and a shortcut: eight cycles for the four taps behind the one inside, and one.
    "padding, projection": (ALONE_IN_PADDING | {"projection": 1}, 13, (22,), 40),
    # The second pixel's tap is visited three cycles after the first one's.
    "two pixels": ({"last_x": 1, "input_width": 2}, 5, (8,), 26),
    # With a stride of 3 two cycles more.
    "stride": ({"last_x": 3, "input_width": 4, "stride": 3}, 5, (10,), 28),
    # From line to line the stride costs nothing.
    "two lines": ({"last_y": 3, "input_height": 4, "stride": 3}, 5, (5, 8), 26),
    # Sixteen lanes: the second window's last issue waits until 6 + 16; 15 lanes more are written.
    "drain": (
        {"last_x": 1, "input_width": 2, "tile_lanes": 16, "last_drain_cycles": 16}, 5, (8,), 54,
    ),
    # 64 groups hide the drain: issues 6 to 133. The last of 32 words is taken when the 29th has
    # left, in 121.
    "hidden drain": (
        {"last_x": 1, "input_width": 2, "tile_lanes": 16, "last_drain_cycles": 16, "groups": 64},
        5, (122,), 165,
    ),
    # A full tile before the last one, of one lane: that waits for the sixteen.
    "tiles": ({"tiles": 2}, 5, (8,), 39),
    # Eight lanes, four cycles each.
    "slow lanes": ({"tile_lanes": 8, "lane_cycles": 4, "last_drain_cycles": 32}, 5, (5,), 51),
}  # fmt: skip

#: Records that are not zero, in each word of the only tap; when the last word is taken; the end.
SKIPPED = {
    # The first word is dropped; the second one's records are issued in 7 to 9.
    "a word of zeros": ((0, 3), 6, 26),
    # The last word takes a cycle, 7, although it has nothing to multiply.
    "zeros alone": ((0, 0), 6, 24),
    # Behind four records it takes cycle 10.
    "zeros at the end": ((4, 0), 6, 27),
    "zeros between": ((1, 0, 0, 1), 8, 26),
    # Issues 6 to 17 of the first three words, which fill the queue. The first one leaves in 9, so
    # the fourth is taken in 10, the fifth in 11 and the sixth in 12: four records in 18 to 21. The
    # seventh is taken when the second has left, in 13, for 22 to 25; the eighth when the third has
    # left, in 17, for 26.
    "a full queue": ((4, 4, 4, 0, 0, 4, 4, 1), 18, 43),
}

#: The same with the long pipeline. The first word is read in 5, as before. The word is in the
#: second stage in 7, in which the issuer takes the word, and its first record is issued in 8. From
#: a window's last issue to the write of a one-lane window's word: 22 cycles.
COUNTED_LONG = {
    "one of everything": ({}, 5, (5,), 30),
    # Two words, read in 5 and 6; eight records, issued in 8 to 15.
    "groups": ({"groups": 8}, 5, (6,), 37),
    "image": ({"groups": 3, "image": 1}, 5, (7,), 32),
    # The last word is read in 21, as with the short pipeline, and issued in 24.
    "nine taps": (
        {"kernel_height": 3, "kernel_width": 3, "input_height": 3, "input_width": 3}, 5, (21,), 46,
    ),
    # Nine words; issues 8 to 37. Three words wait in the queue, and two in the stages: the seventh
    # word is taken when the fourth has left, in 22; so the eighth enters the second stage in 22,
    # and the ninth is read.
    "long taps": ({"kernel_width": 3, "input_width": 3, "groups": 10}, 5, (22,), 59),
    # Sixteen lanes: the second window's last issue waits until 8 + 16; 15 lanes more are written.
    "drain": (
        {"last_x": 1, "input_width": 2, "tile_lanes": 16, "last_drain_cycles": 16}, 5, (8,), 61,
    ),
}  # fmt: skip

#: As `SKIPPED`.
SKIPPED_LONG = {
    # The second word's records are issued in 9 to 11.
    "a word of zeros": ((0, 3), 6, 33),
    "zeros alone": ((0, 0), 6, 31),
    # Issues 8 to 19 of the first three words. The first one leaves in 11: the fourth, which stood
    # in the second stage from 10 on, is taken in 12, the fifth in 13, the sixth in 14: four records
    # in 20 to 23. The second one leaves in 15: the seventh is taken in 16, for 24 to 27. The eighth
    # is read in 14, in which the seventh enters the second stage. The third one leaves in 19: the
    # eighth is taken in 20, for 28.
    "a full queue": ((4, 4, 4, 0, 0, 4, 4, 1), 14, 50),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counted_by_hand(name):
    changes, first, lines, end = COUNTED[name]
    timing = layer_timing(replace(ONE, **changes), CAPABILITY)
    assert (timing.first_word, timing.lines, timing.end) == (first, lines, end)


@pytest.mark.parametrize("name", SKIPPED)
def test_zeros_counted_by_hand(name):
    counts, last, end = SKIPPED[name]
    entry = replace(ONE, groups=4 * len(counts))
    found = NonZero(np.array(counts, np.uint8).reshape(1, 1, -1, 1))
    timing = layer_timing(entry, CAPABILITY, found)
    assert (timing.first_word, timing.lines, timing.end) == (5, (last,), end)


@pytest.mark.parametrize("name", COUNTED_LONG)
def test_the_long_pipeline_counted_by_hand(name):
    changes, first, lines, end = COUNTED_LONG[name]
    timing = layer_timing(replace(ONE, **changes), LONG_CAPABILITY)
    assert (timing.first_word, timing.lines, timing.end) == (first, lines, end)


@pytest.mark.parametrize("name", SKIPPED_LONG)
def test_zeros_in_the_long_pipeline_counted_by_hand(name):
    counts, last, end = SKIPPED_LONG[name]
    entry = replace(ONE, groups=4 * len(counts))
    found = NonZero(np.array(counts, np.uint8).reshape(1, 1, -1, 1))
    timing = layer_timing(entry, LONG_CAPABILITY, found)
    assert (timing.first_word, timing.lines, timing.end) == (5, (last,), end)


def test_frames_do_not_mix():
    """Frames that are computed together are those computed alone."""
    entry = replace(ONE, groups=32)
    counts = [counts for counts, _, _ in SKIPPED.values() if len(counts) == 8] + [
        (0,) * 8,
        (4,) * 8,
    ]
    rng = np.random.default_rng(3)
    counts += rng.integers(0, 5, (20, 8)).tolist()
    together = layer_timing(entry, CAPABILITY, NonZero(np.array(counts).T.reshape(1, 1, 8, -1)))
    for frame, one in enumerate(counts):
        alone = layer_timing(entry, CAPABILITY, NonZero(np.array(one).reshape(1, 1, 8, 1)))
        assert alone.end[0] == together.end[frame]


@pytest.mark.parametrize("capability", BY_PIPELINE)
def test_a_record_more_is_never_earlier(capability):
    """Which makes the cycles of a frame without zeros a bound."""
    rng = np.random.default_rng(4)
    entry = replace(
        ONE, groups=12, kernel_height=3, kernel_width=3, input_height=4, input_width=5, start_y=-1,
        start_x=-1, last_y=2, last_x=3, tiles=3, tile_lanes=9, last_drain_cycles=9,
    )  # fmt: skip
    shape = (4, 5, 3, 1)
    counts = rng.integers(0, 5, shape)
    before = layer_timing(entry, capability, NonZero(counts)).end[0]
    while (counts < 4).any():
        more = rng.integers(0, 4, shape) == 0
        counts = np.minimum(counts + more, 4)
        after = layer_timing(entry, capability, NonZero(counts)).end[0]
        assert after >= before
        before = after
    assert before == layer_timing(entry, capability).end


def test_non_zero_counts_each_word():
    values = np.zeros((2, 1, 2, 6), np.int64)
    values[0, 0, 0] = [1, 0, 0, 9, 0, 3]
    values[1, 0, 1] = [0, 0, 0, 0, 1, 1]
    found = non_zero(values, CAPABILITY)
    assert found.shape == (1, 2, 2, 2)
    assert found[..., 0].tolist() == [[[2, 1], [0, 0]]]
    assert found[..., 1].tolist() == [[[0, 0], [0, 2]]]


def test_turnaround():
    """24 words of fields, the start, and the walker's and the sequencer's states."""
    assert SHORT.turnaround_cycles == 26


@pytest.mark.parametrize("capability", BY_PIPELINE)
def test_frame_is_the_sum_of_its_layers(capability):
    turnaround = pipeline_of(capability).turnaround_cycles
    for plan in plans(20, 1000, capability=capability):
        timings = [layer_timing(layer.entry, capability) for layer in plan.layers]
        assert plan.cycles == sum(turnaround + timing.end for timing in timings)
        # From first word to first word, all around: the same.
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
