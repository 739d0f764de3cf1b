# amaranth: UnusedElaboratable=no
"""Sums of windows from lanes that run on."""

import pytest

from hw.engine.drain.window import WindowSum
from hw.pipeline import pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import BY_PIPELINE, CAPABILITY

LANE_STAGES = 2  # from a lane's turn to its running sum
HALF = 1 << CAPABILITY.accumulator_bits - 1


def wrapped(total):
    return (total + HALF) % (2 * HALF) - HALF


@pytest.mark.parametrize("capability", BY_PIPELINE)
def test_sums_are_what_was_added_since_the_turn_before(capability):
    rng = seeded(1)
    dut = WindowSum(capability)
    stages = pipeline_of(capability).window_sum_stages
    running = [rng.randrange(-HALF, HALF) for _ in range(CAPABILITY.lanes)]
    windows, turns = 12, []  # (lane, running sum, what was added), or None
    for _ in range(windows):
        for lane in range(CAPABILITY.lanes):
            added = rng.randrange(-HALF, HALF)
            running[lane] = wrapped(running[lane] + added)
            turns += [(lane, running[lane], added)] + [None] * rng.randrange(3)
    turns += [None] * stages
    sides = [(rng.randrange(2), rng.randrange(2), rng.randrange(2)) for _ in turns]
    checked = 0

    async def bench(ctx):
        nonlocal checked
        for cycle, turn in enumerate(turns):
            ctx.set(dut.active, turn is not None)
            ctx.set(dut.lane, turn[0] if turn else rng.randrange(CAPABILITY.lanes))
            odd, valid, pixel = sides[cycle]
            ctx.set(dut.odd, odd)
            ctx.set(dut.ends, {"valid": valid, "pixel": pixel})
            if cycle >= LANE_STAGES:
                shown = turns[cycle - LANE_STAGES]
                ctx.set(dut.i_lane, shown[1] if shown else rng.randrange(-HALF, HALF))
                _, valid, pixel = sides[cycle - LANE_STAGES]
                assert (ctx.get(dut.ahead.valid), ctx.get(dut.ahead.pixel)) == (valid, pixel)
            if cycle >= 1:  # the array shows the next lane a cycle after `shift`
                assert ctx.get(dut.shift) == (turns[cycle - 1] is not None)
            if cycle >= stages:
                before = turns[cycle - stages]
                odd, valid, pixel = sides[cycle - stages]
                assert ctx.get(dut.o_active) == (before is not None)
                assert ctx.get(dut.o_odd) == odd
                assert (ctx.get(dut.o_ends.valid), ctx.get(dut.o_ends.pixel)) == (valid, pixel)
                # The first window's are those since a reset: of no use.
                lanes_seen = sum(one is not None for one in turns[: cycle - stages])
                if before and lanes_seen >= CAPABILITY.lanes:
                    assert ctx.get(dut.o_sum) == before[2]
                    checked += 1
            await ctx.tick()

    simulate(dut, testbenches=[bench])
    assert checked == (windows - 1) * CAPABILITY.lanes
