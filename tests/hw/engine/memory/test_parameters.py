# amaranth: UnusedElaboratable=no
"""The parameter memory against a list."""

from hw.engine.memory import ParameterMemory
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.memory.helpers import SMALL


def test_parameter_memory_is_written_in_halves():
    rng = seeded(3)
    dut = ParameterMemory(SMALL)
    words = [rng.randrange(1 << 48) for _ in range(SMALL.parameter_words)]
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
            await ctx.tick()
            assert ctx.get(dut.data) == word

    simulate(dut, testbenches=[bench])
