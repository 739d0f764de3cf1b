# amaranth: UnusedElaboratable=no
"""The image memory, in one part and in two, against a list."""

from dataclasses import replace

import pytest

from hw.engine.memory import ImageMemory
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.memory.helpers import SMALL


@pytest.mark.parametrize("pipeline", [0, 1])
@pytest.mark.parametrize("size", [64, 96])
def test_image_memory(size, pipeline):
    rng = seeded(2)
    dut = ImageMemory(replace(SMALL, image_bytes=size, pipeline=pipeline))
    words = [rng.randrange(1 << 32) for _ in range(size // 4)]

    async def bench(ctx):
        for address, word in enumerate(words):
            ctx.set(dut.write, 1)
            ctx.set(dut.write_addr, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write, 0)
        ctx.set(dut.write_data, 0)
        for address, word in enumerate(words):
            ctx.set(dut.addr, address)
            if pipeline:  # what it shows stays until it is told to advance
                ctx.set(dut.advance, 0)
                shown = ctx.get(dut.data)
                await ctx.tick()
                assert ctx.get(dut.data) == shown
                ctx.set(dut.advance, 1)
            await ctx.tick()
            assert ctx.get(dut.data) == word

    simulate(dut, testbenches=[bench])
