# amaranth: UnusedElaboratable=no
"""The layer memory against a list."""

from hw.engine.memory import LayerMemory
from hw.layer_entry import ENTRY_WORDS
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.memory.helpers import SMALL


def test_layer_memory():
    rng = seeded(6)
    dut = LayerMemory(SMALL)
    words = [rng.randrange(1 << 16) for _ in range(SMALL.layer_entries * ENTRY_WORDS)]

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
            await ctx.tick()
            assert ctx.get(dut.data) == word

    simulate(dut, testbenches=[bench])
