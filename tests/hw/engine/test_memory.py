# amaranth: UnusedElaboratable=no
"""The engine's memories against lists in Python."""

from dataclasses import replace

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib.memory import Memory

from hw.capability import Capability
from hw.engine.memory import ActivationMemory, ImageMemory, ParameterMemory, WeightMemory
from hw.families.ice40 import blocks
from tests.hw.bus.helpers import seeded, simulate

SMALL = Capability(
    family="generic", weight_words=64, activation_words=64, parameter_words=32, layer_entries=4,
    image_bytes=64, logit_words=8,
)  # fmt: skip


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
            bank = rng.randrange(2)
            a = bank << SMALL.bank_bits | rng.randrange(SMALL.bank_words)
            b = (1 - bank) << SMALL.bank_bits | rng.randrange(SMALL.bank_words)
            ctx.set(dut.a_addr, a)
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
            if target not in (a, b):
                assert before == expected, (a, b)
        assert before is not None

    simulate(dut, testbenches=[bench])


def test_image_memory():
    rng = seeded(2)
    dut = ImageMemory(SMALL)
    words = [rng.randrange(1 << 32) for _ in range(SMALL.image_bytes // 4)]

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


class Spram(Elaboratable):
    """An SB_SPRAM256KA in place of `Instance`: Lattice TN1314, table 1 and section 3.

    A write-enable bit covers 4 bits. A cycle that writes reads nothing of use.
    """

    def __init__(self, name, **pins):
        assert name == "SB_SPRAM256KA"
        self.pins = pins

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = content = Memory(shape=16, depth=16384, init=[])
        read, write = content.read_port(), content.write_port(granularity=4)
        pins = self.pins
        m.d.comb += [
            read.addr.eq(pins["i_ADDRESS"]),
            read.en.eq(~pins["i_WREN"]),
            write.addr.eq(pins["i_ADDRESS"]),
            write.data.eq(pins["i_DATAIN"]),
            write.en.eq(pins["i_MASKWREN"] & pins["i_WREN"].replicate(4)),
            pins["o_DATAOUT"].eq(read.data),
        ]
        return m


@pytest.fixture(params=["generic", "ice40"])
def family(request, monkeypatch):
    monkeypatch.setattr(blocks, "Instance", Spram)
    return request.param


def test_weight_memory_is_written_by_bus_words(family):
    rng = seeded(4)
    capability = replace(SMALL, family=family)
    dut = WeightMemory(capability)
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
            await ctx.tick()
            assert ctx.get(dut.data) == word

    simulate(dut, testbenches=[bench])


def test_weight_memory_is_written_by_bytes(family):
    """Also the processor's words, behind those of the networks."""
    rng = seeded(5)
    capability = replace(SMALL, family=family, weight_words=48, processor_words=16)
    dut = WeightMemory(capability)
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
            await ctx.tick()
            word = expected[address * size : (address + 1) * size]
            assert ctx.get(dut.data) == int.from_bytes(word, "little"), address

    simulate(dut, testbenches=[bench])
