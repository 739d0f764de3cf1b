# amaranth: UnusedElaboratable=no
"""What is written through a memory's port lies where its description of its arrays says."""

from dataclasses import replace

import pytest
from amaranth.hdl import Elaboratable, Module

from hw.engine.memory import (
    ActivationMemory,
    ImageMemory,
    LayerMemory,
    ParameterMemory,
    WeightMemory,
    WordArray,
    weights,
)
from hw.families.ice40 import blocks
from hw.layer_entry import ENTRY_WORDS
from hw.regions import Region
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.memory.helpers import SMALL, Spram

IMAGE = replace(SMALL, image_bytes=96)  # in two parts
ICE40 = replace(SMALL, family="ice40")
BANKS = replace(SMALL, pipeline=1, weight_words=60)
HALVES = SMALL.bus_words_per_weight_word
MEMORIES = {
    "activations": (ActivationMemory, SMALL, SMALL.activation_words, SMALL.word_bits),
    "image": (ImageMemory, IMAGE, IMAGE.image_bytes // 4, 32),
    "layers": (LayerMemory, SMALL, SMALL.layer_entries * ENTRY_WORDS, 16),
    "parameters": (ParameterMemory, SMALL, 2 * SMALL.parameter_words, 32),
    "weights": (WeightMemory, SMALL, HALVES * SMALL.weight_words, 32),
    "weights in banks": (WeightMemory, BANKS, HALVES * BANKS.weight_words, 32),
    "weights on ice40": (WeightMemory, ICE40, HALVES * ICE40.weight_words, 32),
}


class Observed(Elaboratable):
    """A memory, unchanged, whose parts can be looked at."""

    def __init__(self, memory):
        self.memory = memory

    def elaborate(self, platform):
        self.module = self.memory.elaborate(platform)
        return self.module

    def array(self, path):
        """The words of an array, by its path."""
        name, *inner = path
        found = getattr(self.module.submodules, name)
        for one in inner:
            found = getattr(found.submodules if isinstance(found, Module) else found, one)
        return found.data


def write(ctx, dut, address, word):
    """Write a bus word, as the host's side does."""
    ctx.set(dut.write, 1)
    ctx.set(dut.write_data, word)
    if dut.region == Region.WEIGHTS:
        ctx.set(dut.write_mask, 0b1111)
        ctx.set(dut.addr, address // HALVES)
        ctx.set(dut.write_half, address % HALVES)
    elif dut.region == Region.PARAMETERS:
        ctx.set(dut.write_addr, address // 2)
        ctx.set(dut.write_high, address % 2)
    else:
        ctx.set(dut.write_addr, address)


@pytest.mark.parametrize("name", MEMORIES)
def test_words_lie_where_the_arrays_say(monkeypatch, name):
    monkeypatch.setattr(blocks, "Instance", Spram)
    monkeypatch.setattr(weights, "_BANK_WORDS", 16)
    rng = seeded(7)
    kind, capability, count, bits = MEMORIES[name]
    memory = kind(capability)
    observed = Observed(memory)
    words = [rng.getrandbits(bits) for _ in range(count)]

    async def bench(ctx):
        for address, word in enumerate(words):
            write(ctx, memory, address, word)
            await ctx.tick()
        ctx.set(memory.write, 0)
        await ctx.tick().repeat(2)  # through the registers before a bank
        seen = [0] * count
        for array in memory.arrays:
            content = observed.array(array.path)
            assert (content.shape, content.depth) == (array.bits, array.depth)
            for row in range(array.depth):
                address, shift = array.place(row)
                if address < count:
                    seen[address] |= ctx.get(content[row]) << shift
        kept = [word & 0xFFFF if name == "parameters" and address % 2 else word
                for address, word in enumerate(words)]  # fmt: skip
        assert seen == kept

    simulate(observed, testbenches=[bench])


def test_place():
    """Four blocks of 16 bits beside each other are words of 64 bits: two bus words."""
    array = WordArray(path=("block3", "mem"), bits=16, depth=8, piece_bits=16, part=3, parts=4)
    assert array.name == "block3"
    assert [array.place(row) for row in (0, 1)] == [(1, 16), (3, 16)]
    later = WordArray(path=("high",), bits=32, depth=8, first=512)
    assert later.place(0) == (512, 0)
