# amaranth: UnusedElaboratable=no
"""The weight memory of each family against a list."""

from dataclasses import replace

import pytest

from hw.engine.memory import WeightMemory, weights
from hw.families.ice40 import blocks
from hw.pipeline import pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.memory.helpers import SMALL, Spram


@pytest.fixture(params=["generic", "ice40"])
def family(request, monkeypatch):
    monkeypatch.setattr(blocks, "Instance", Spram)
    return request.param


@pytest.fixture(params=[0, 1], ids=["short", "long"])
def pipeline(request, monkeypatch):
    monkeypatch.setattr(weights, "_BANK_WORDS", 16)
    return request.param


def test_weight_memory_is_written_by_bus_words(family, pipeline):
    rng = seeded(4)
    capability = replace(SMALL, family=family, pipeline=pipeline)
    dut = WeightMemory(capability)
    cycles = pipeline_of(capability).weight_cycles
    count = capability.bus_words_per_weight_word
    words = [rng.randrange(1 << 32 * count) for _ in range(capability.weight_words)]
    parts = [(address, part) for address in range(len(words)) for part in range(count)]
    rng.shuffle(parts)

    async def bench(ctx):
        for address, part in parts:
            ctx.set(dut.write, 1)
            ctx.set(dut.write_mask, 0b1111)
            ctx.set(dut.addr, address)
            ctx.set(dut.write_half, part)
            ctx.set(dut.write_data, words[address] >> 32 * part & 0xFFFF_FFFF)
            await ctx.tick()
        ctx.set(dut.write, 0)
        for address, word in enumerate(words):
            ctx.set(dut.addr, address)
            await ctx.tick().repeat(cycles)
            assert ctx.get(dut.data) == word

    simulate(dut, testbenches=[bench])


def test_weight_memory_is_written_by_bytes(family, pipeline):
    """Also the processor's words, behind those of the networks."""
    rng = seeded(5)
    capability = replace(
        SMALL, family=family, pipeline=pipeline, weight_words=48, processor_words=16
    )
    dut = WeightMemory(capability)
    cycles = pipeline_of(capability).weight_cycles
    size = 4 * capability.bus_words_per_weight_word
    expected = bytearray(size * capability.weight_depth)

    async def bench(ctx):
        for index in range(0, len(expected), 4):  # the RTL's first content is not defined
            expected[index : index + 4] = rng.randbytes(4)
            ctx.set(dut.write, 1)
            ctx.set(dut.write_mask, 0b1111)
            ctx.set(dut.addr, index // size)
            ctx.set(dut.write_half, index % size // 4)
            ctx.set(dut.write_data, int.from_bytes(expected[index : index + 4], "little"))
            await ctx.tick()
        for _ in range(500):
            index, mask, data = 4 * rng.randrange(len(expected) // 4), rng.randrange(16), 0
            for byte in range(4):
                value = rng.randrange(256)
                data |= value << 8 * byte
                if mask >> byte & 1:
                    expected[index + byte] = value
            ctx.set(dut.write_mask, mask)
            ctx.set(dut.addr, index // size)
            ctx.set(dut.write_half, index % size // 4)
            ctx.set(dut.write_data, data)
            await ctx.tick()
        ctx.set(dut.write, 0)
        for address in range(capability.weight_depth):
            ctx.set(dut.addr, address)
            await ctx.tick().repeat(cycles)
            word = expected[address * size : (address + 1) * size]
            assert ctx.get(dut.data) == int.from_bytes(word, "little"), address

    simulate(dut, testbenches=[bench])


def test_a_word_in_each_cycle(family, pipeline):
    """From bank to bank, too."""
    rng = seeded(6)
    capability = replace(SMALL, family=family, pipeline=pipeline)
    dut = WeightMemory(capability)
    cycles = pipeline_of(capability).weight_cycles
    words = [rng.randrange(1 << 32) for _ in range(capability.weight_words)]
    given = [rng.randrange(len(words)) for _ in range(300)]

    async def bench(ctx):
        ctx.set(dut.write, 1)
        ctx.set(dut.write_mask, 0b1111)
        for address, word in enumerate(words):
            ctx.set(dut.addr, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write, 0)
        for cycle, address in enumerate(given):
            ctx.set(dut.addr, address)
            if cycle >= cycles:
                assert ctx.get(dut.data) & 0xFFFF_FFFF == words[given[cycle - cycles]]
            await ctx.tick()

    simulate(dut, testbenches=[bench])
