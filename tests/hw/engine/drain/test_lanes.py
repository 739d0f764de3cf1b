# amaranth: UnusedElaboratable=no
"""The lane counter: which lane has its turn when, and what ends with it."""

import pytest

from hw.engine.drain.lanes import LaneCounter
from tests.hw.bus.helpers import simulate
from tests.hw.engine.helpers import CAPABILITY

LANES = CAPABILITY.lanes


def turns(*, wide, pace, tile_lanes, last_tile, clear=0, cycles=100):
    """(cycle, lane, odd, valid, pixel, layer) of each turn of a window that comes in cycle 0."""
    dut = LaneCounter(CAPABILITY)
    found = []

    async def bench(ctx):
        ctx.set(dut.layer, {"wide": wide, "lane_cycles": pace - 1, "tile_lanes": tile_lanes - 1})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.clear, clear)
        for cycle in range(cycles):
            ctx.set(dut.soon, cycle == 0)
            ctx.set(dut.last_tile, last_tile if cycle == 0 else 1 - last_tile)
            ctx.set(dut.last_window, last_tile if cycle == 0 else 1 - last_tile)
            if ctx.get(dut.active):
                ends = ctx.get(dut.ends)
                found.append(
                    (cycle, ctx.get(dut.lane), ctx.get(dut.odd), ends.valid, ends.pixel, ends.layer)
                )
            await ctx.tick()

    simulate(dut, testbenches=[bench])
    return found


@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize("pace", [1, 2, 4])
@pytest.mark.parametrize(("tile_lanes", "last_tile"), [(LANES, 1), (6, 1), (2, 1), (6, 0)])
def test_turns(wide, pace, tile_lanes, last_tile):
    """All lanes, but in a pixel's last tile only those that it has."""
    count = tile_lanes if last_tile else LANES
    expected = []
    for lane in range(count):
        odd = lane % 2 if wide else 0
        ends = last_tile and lane == count - 1
        expected.append((pace * lane, lane, odd, odd if wide else 1, ends, ends))
    assert turns(wide=wide, pace=pace, tile_lanes=tile_lanes, last_tile=last_tile) == expected


def test_one_lane_alone():
    assert turns(wide=0, pace=1, tile_lanes=1, last_tile=1) == [(0, 0, 0, 1, 1, 1)]


def test_no_channel_is_complete_during_a_clear():
    found = turns(wide=0, pace=1, tile_lanes=LANES, last_tile=1, clear=1)
    assert [turn[1] for turn in found] == list(range(LANES))
    assert not any(valid for _, _, _, valid, _, _ in found)
