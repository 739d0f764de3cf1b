# amaranth: UnusedElaboratable=no
"""The parameter memory against a list."""

import pytest

from hw.engine.memory import ParameterMemory
from hw.pipeline import pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.memory.helpers import BY_PIPELINE


@pytest.mark.parametrize("capability", BY_PIPELINE)
def test_parameter_memory_is_written_in_halves(capability):
    rng = seeded(3)
    dut = ParameterMemory(capability)
    cycles = pipeline_of(capability).drain_read_cycles
    words = [rng.randrange(1 << 48) for _ in range(capability.parameter_words)]
    halves = [(address, high) for address in range(len(words)) for high in (0, 1)]
    rng.shuffle(halves)

    async def bench(ctx):
        for address, high in halves:
            ctx.set(dut.write, 1)
            ctx.set(dut.write_addr, address)
            ctx.set(dut.write_high, high)
            ctx.set(dut.write_data, words[address] >> 32 * high & 0xFFFF_FFFF)
            await ctx.tick()
        ctx.set(dut.write, 0)
        for address, word in enumerate(words):
            ctx.set(dut.addr, address)
            await ctx.tick().repeat(cycles)
            assert ctx.get(dut.data) == word

    simulate(dut, testbenches=[bench])
