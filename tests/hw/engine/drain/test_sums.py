# amaranth: UnusedElaboratable=no
"""Sums of channels: S and its place in its group, of narrow and wide channels."""

import pytest

from hw.engine.drain.sums import ChannelSum
from hw.parameter_word import pack_parameters
from hw.pipeline import CHANNEL_SUM_STAGES
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import CAPABILITY

GROUP, CHANNELS, PIXELS, FIRST = 3, 9, 3, 40


@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize("before", [0, 1])
def test_sums(wide, before):
    rng = seeded(2 * wide + before)
    dut = ChannelSum(CAPABILITY)
    values = [
        {"multiplier": rng.randrange(1 << 16), "bias": rng.randrange(-1000, 1000),
         "factor": rng.randrange(-50, 50)}
        for _ in range(CHANNELS)
    ]  # fmt: skip
    # The lanes of stage 3: (odd, valid, pixel, sum, addend), with what S must be; or None.
    lanes = []
    for pixel in range(PIXELS):
        for channel, one in enumerate(values):
            low, high = (rng.randrange(-9999, 9999) for _ in range(2))
            addend = rng.randrange(1 << CAPABILITY.activation_bits)
            last = channel == CHANNELS - 1
            total = low + (16 * high if wide else 0) + one["bias"] + one["factor"] * addend
            right = (channel, last, last and pixel == PIXELS - 1, total)
            if wide:
                lanes += [(0, 0, 0, low, rng.randrange(16), None), None]
                lanes += [(1, 1, last, high, addend, right), None]
            else:
                lanes += [(0, 1, last, low, addend, right)] + [None] * rng.randrange(3)
    lanes += [None] * 4
    found = []

    async def memory(ctx):
        while True:
            index = ctx.get(dut.parameter_addr) - FIRST
            await ctx.tick()
            known = 0 <= index < CHANNELS
            word = pack_parameters(CAPABILITY, **values[index]) if known else 0
            ctx.set(dut.parameter_data, word)

    async def bench(ctx):
        ctx.set(dut.layer, {"before": before, "output_group": GROUP - 1, "parameters": FIRST})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(2)
        for cycle, lane in enumerate([None, *lanes]):  # a cycle ahead, `ahead` tells
            following = lanes[cycle] if cycle < len(lanes) else None
            odd, valid, pixel, window, addend, right = lane or (0, 0, 0, 5, 5, None)
            ctx.set(dut.active, lane is not None)
            ctx.set(dut.odd, odd)
            ctx.set(dut.ends, {"valid": valid, "pixel": pixel, "layer": bool(right and right[2])})
            ctx.set(dut.window, window)
            ctx.set(dut.addend, addend)
            _, valid, pixel, *_ = following or (0, 0, 0)
            ctx.set(dut.ahead, {"valid": valid, "pixel": pixel})
            if cycle >= CHANNEL_SUM_STAGES:
                flags = ctx.get(dut.o_flags)
                lane = [None, *lanes][cycle - CHANNEL_SUM_STAGES]
                right = lane and lane[5]
                assert flags.valid == (right is not None)
                if right:
                    found.append((flags, ctx.get(dut.o_total), right))
                if right and flags.ends:
                    # It stays until the requantiser has taken it, so it may be seen later too.
                    assert ctx.get(dut.multiplier) in [
                        values[(right[0] + later) % CHANNELS]["multiplier"]
                        for later in range(CHANNEL_SUM_STAGES)
                    ]
            await ctx.tick()

    simulate(dut, testbenches=[bench], background=[memory])
    assert len(found) == PIXELS * CHANNELS
    for flags, total, (channel, pixel, layer, right) in found:
        index = channel % GROUP
        first, last = index == 0, index == GROUP - 1
        assert total == right
        assert flags.index == index
        assert (flags.first, flags.last) == (first, last)
        assert (flags.starts, flags.ends) == ((first, last) if before else (1, 1))
        assert (flags.pixel, flags.layer) == (pixel, layer)
