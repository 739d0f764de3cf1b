# amaranth: UnusedElaboratable=no
"""The activation memory against a list."""

from dataclasses import replace

import pytest

from hw.engine.memory import ActivationMemory
from hw.pipeline import pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.memory.helpers import BY_PIPELINE, SMALL


@pytest.mark.parametrize("capability", BY_PIPELINE)
def test_activation_memory_reads_both_banks_at_once(capability):
    """Port a in a cycle, port b in as many as the drain expects."""
    rng = seeded(1)
    dut = ActivationMemory(capability)
    later = pipeline_of(capability).drain_read_cycles - 1
    words = [rng.randrange(1 << SMALL.word_bits) for _ in range(SMALL.activation_words)]

    async def bench(ctx):
        ctx.set(dut.write, 1)
        for address, word in enumerate(words):
            ctx.set(dut.write_addr, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write, 0)
        if later:
            ctx.set(dut.a_advance, 1)
        coming = [None] * later  # what port b shows next
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
            expected = words[a]
            coming.append(words[b] if used and target != b else None)  # None: any
            await ctx.tick()
            words[target] = word
            if target != a:
                assert ctx.get(dut.a_data) == expected, a
            shown = coming.pop(0)
            if shown is not None:
                assert ctx.get(dut.b_data) == shown, b

    simulate(dut, testbenches=[bench])


def test_port_a_stays_while_port_b_reads():
    """In the long pipeline, until it is told to advance."""
    rng = seeded(2)
    capability = replace(SMALL, pipeline=1)
    dut = ActivationMemory(capability)
    words = [rng.randrange(1 << SMALL.word_bits) for _ in range(SMALL.activation_words)]
    cycles = pipeline_of(capability).drain_read_cycles

    async def bench(ctx):
        ctx.set(dut.write, 1)
        for address, word in enumerate(words):
            ctx.set(dut.write_addr, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write, 0)
        bank, shown, coming = 0, None, [None] * cycles
        for _ in range(400):
            advance = rng.random() < 0.5
            if advance:
                bank = rng.randrange(2)
            # While it stays, port a's bank is asked for another word, and the other bank for b's.
            a = bank << SMALL.bank_bits | rng.randrange(SMALL.bank_words)
            b = (1 - bank) << SMALL.bank_bits | rng.randrange(SMALL.bank_words)
            ctx.set(dut.a_advance, advance)
            ctx.set(dut.b_used, 1)
            ctx.set(dut.a_addr, a)
            ctx.set(dut.b_addr, b)
            await ctx.tick()
            shown = words[a] if advance else shown
            if shown is not None:
                assert ctx.get(dut.a_data) == shown
            coming = [*coming[1:], words[b]]
            if coming[0] is not None:
                assert ctx.get(dut.b_data) == coming[0]

    simulate(dut, testbenches=[bench])
