# amaranth: UnusedElaboratable=no
"""The activation memory against a list."""

from hw.engine.memory import ActivationMemory
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.memory.helpers import SMALL


def test_activation_memory_reads_both_banks_at_once():
    rng = seeded(1)
    dut = ActivationMemory(SMALL)
    words = [rng.randrange(1 << SMALL.word_bits) for _ in range(SMALL.activation_words)]

    async def bench(ctx):
        ctx.set(dut.write, 1)
        for address, word in enumerate(words):
            ctx.set(dut.write_addr, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write, 0)
        before = None
        for _ in range(300):
            bank, used = rng.randrange(2), rng.randrange(2)
            a = bank << SMALL.bank_bits | rng.randrange(SMALL.bank_words)
            # A port that is not in use may point anywhere.
            other = 1 - bank if used else rng.randrange(2)
            b = other << SMALL.bank_bits | rng.randrange(SMALL.bank_words)
            ctx.set(dut.a_addr, a)
            ctx.set(dut.b_used, used)
            ctx.set(dut.b_addr, b)
            # While it reads, it writes.
            target = rng.randrange(SMALL.activation_words)
            ctx.set(dut.write, 1)
            ctx.set(dut.write_addr, target)
            ctx.set(dut.write_data, word := rng.randrange(1 << SMALL.word_bits))
            expected = words[a], words[b]
            await ctx.tick()
            words[target] = word
            before = ctx.get(dut.a_data), ctx.get(dut.b_data)
            if target != a:
                assert before[0] == expected[0], (a, b)
            if used and target != b:
                assert before[1] == expected[1], (a, b)
        assert before is not None

    simulate(dut, testbenches=[bench])
