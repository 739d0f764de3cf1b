# amaranth: UnusedElaboratable=no

import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hw.bus.window import MemoryWindows
from hw.bus.wishbone import Signature
from hw.pipeline import SHORT
from tests.hw.bus.helpers import Bus, FakeEngine, seeded, simulate

MEMORY_LATENCY = SHORT.memory_latency


class Bench(wiring.Component):
    """Windows before a fake engine, which reads in just MEMORY_LATENCY cycles."""

    def __init__(self):
        self.engine = FakeEngine()
        self.windows = MemoryWindows(
            readable=range(6), writable=range(5), by_byte=[0], read_latency=MEMORY_LATENCY
        )
        super().__init__({"bus": In(Signature(addr_width=19))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine, m.submodules.windows = self.engine, self.windows
        wiring.connect(m, wiring.flipped(self.bus), self.windows.bus)
        host, windows = self.engine.host, self.windows
        for name in ("mem_region", "mem_addr", "mem_write", "mem_write_mask", "mem_write_data"):
            m.d.comb += getattr(host, name).eq(getattr(windows, name))
        m.d.comb += windows.mem_read_data.eq(host.mem_read_data)
        return m


def word_address(region, index):
    return region << 16 | index


def test_values_and_latency():
    rng = seeded(3)
    dut = Bench()
    bus = Bus(dut.bus)

    async def host(ctx):
        expected = {}
        for _ in range(500):
            region, index = rng.randrange(5), rng.randrange(FakeEngine.DEPTH)
            address = word_address(region, index)
            if rng.random() < 0.5:
                expected[address] = rng.randrange(1 << 32)
                result = await bus.transfer(ctx, address, expected[address])
                assert result[1:] == (False, 1)
            else:
                result = await bus.transfer(ctx, address)
                assert result == (expected.get(address, 0), False, MEMORY_LATENCY)
            for _ in range(rng.randrange(4)):
                await ctx.tick()

    simulate(dut, testbenches=[host])


def test_one_pulse_a_write_and_none_a_read():
    dut = Bench()
    bus, windows = Bus(dut.bus), dut.windows
    seen = []

    async def monitor(ctx):
        previous = None
        while True:
            await ctx.tick()
            names = ("mem_region", "mem_addr", "mem_write_data")
            request = tuple(ctx.get(getattr(windows, name)) for name in names)
            if ctx.get(windows.mem_write):
                seen.append(request)
                assert request == previous, "the request must stand still before the pulse"
            previous = request

    async def host(ctx):
        await ctx.tick()
        await bus.transfer(ctx, word_address(2, 0xABCD), 1)
        await bus.transfer(ctx, word_address(5, 3))
        await bus.transfer(ctx, word_address(4, 0xFFFF), 2)
        await ctx.tick().repeat(10)
        assert seen == [(2, 0xABCD, 1), (4, 0xFFFF, 2)]

    simulate(dut, testbenches=[host], background=[monitor])


def test_refused_accesses():
    dut = Bench()
    bus, windows = Bus(dut.bus), dut.windows

    async def monitor(ctx):
        while True:
            await ctx.tick()
            assert not ctx.get(windows.mem_write)

    async def host(ctx):
        for region, word, sel in (
            (5, 1, 0b1111), (6, None, 0b1111), (7, 1, 0b1111), (1, 1, 0b0111), (4, 1, 0b1110),
            (2, 1, 0b0001), (3, 1, 0b0000), (5, 1, 0b0001),
        ):  # fmt: skip
            _, error, cycles = await bus.transfer(ctx, word_address(region, 0), word, sel=sel)
            assert error and cycles == 1

    simulate(dut, testbenches=[host], background=[monitor])


def test_bytes_of_a_region_by_byte():
    rng = seeded(4)
    dut = Bench()
    bus = Bus(dut.bus)

    async def host(ctx):
        expected = [bytearray(4) for _ in range(FakeEngine.DEPTH)]
        for _ in range(200):
            index, sel, word = rng.randrange(8), rng.randrange(16), rng.randrange(1 << 32)
            _, error, cycles = await bus.transfer(ctx, word_address(0, index), word, sel=sel)
            assert not error and cycles == 1
            for byte in range(4):
                if sel >> byte & 1:
                    expected[index][byte] = word >> 8 * byte & 0xFF
            # A read of a part is a read of the word.
            data, error, _ = await bus.transfer(ctx, word_address(0, index), sel=rng.randrange(16))
            assert not error and data == int.from_bytes(expected[index], "little")

    simulate(dut, testbenches=[host])


@pytest.mark.parametrize("patience", range(1, MEMORY_LATENCY))
def test_an_abandoned_read_is_forgotten(patience):
    dut = Bench()
    bus = Bus(dut.bus)

    async def host(ctx):
        await bus.write(ctx, word_address(0, 1), 111)
        await bus.write(ctx, word_address(0, 2), 222)
        ctx.set(dut.bus.adr, word_address(0, 1))
        ctx.set(dut.bus.we, 0)
        ctx.set(dut.bus.cyc, 1)
        ctx.set(dut.bus.stb, 1)
        await ctx.tick().repeat(patience)
        ctx.set(dut.bus.cyc, 0)
        ctx.set(dut.bus.stb, 0)
        await ctx.tick()
        assert await bus.read(ctx, word_address(0, 2)) == 222

    simulate(dut, testbenches=[host])


@pytest.mark.parametrize(
    "parameters, error, text",
    [
        ({"read_latency": 0}, ValueError, "Read latency must be at least 1 cycle, not 0"),
        ({"read_latency": "4"}, TypeError, "Read latency must be an integer, not '4'"),
        ({"readable": [8]}, ValueError, "Region must be from 0 to 7, not 8"),
        ({"writable": [-1]}, ValueError, "Region must be from 0 to 7, not -1"),
        ({"by_byte": [9]}, ValueError, "Region must be from 0 to 7, not 9"),
    ],
)
def test_wrong_parameters(parameters, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        MemoryWindows(**{"readable": [0], "writable": [0], "read_latency": 2, **parameters})
