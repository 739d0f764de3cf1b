# amaranth: UnusedElaboratable=no

import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.uart import Receiver, Transmitter, divisor_for
from tests.hw.bus.helpers import receive, seeded, send, simulate, uart_receive, uart_send


# With few cycles a bit there is no margin for a wrong rate.
@pytest.mark.parametrize(
    "divisor, error",
    [(4, 1.0), (5, 1.0), (8, 0.97), (8, 1.0), (8, 1.03), (36, 0.97), (36, 1.0), (36, 1.03)],
)
def test_receiver_values(divisor, error):
    rng = seeded(divisor)
    data = [0x00, 0xFF, 0x55, 0xAA] + [rng.randrange(256) for _ in range(20)]
    dut = Receiver(divisor=divisor)

    async def line(ctx):
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(2 * divisor)
        await uart_send(ctx, dut.rx, data, divisor=divisor * error)

    async def sink(ctx):
        assert await receive(ctx, dut.o_stream, len(data)) == data
        for _ in range(30 * divisor):
            await ctx.tick()
            assert not ctx.get(dut.o_stream.valid), "a byte too many"

    simulate(dut, testbenches=[line, sink])


def test_receiver_latency():
    dut = Receiver(divisor=8)

    async def line(ctx):
        await ctx.tick().repeat(20)
        await uart_send(ctx, dut.rx, [0x5A], divisor=8)

    async def sink(ctx):
        # The line falls in cycle 20; the middle of the stop bit is 9.5 bits later.
        cycles = 0
        while not ctx.get(dut.o_stream.valid):
            await ctx.tick()
            cycles += 1
        assert cycles == 20 + 9 * 8 + 4 + 3
        assert ctx.get(dut.o_stream.payload) == 0x5A

    simulate(dut, testbenches=[line, sink])


def test_receiver_rejects_glitch_break_and_bad_stop_bit():
    dut = Receiver(divisor=8)

    async def line(ctx):
        for level, cycles in ((1, 20), (0, 3), (1, 100), (0, 500), (1, 100)):
            ctx.set(dut.rx, level)
            await ctx.tick().repeat(cycles)
        # A frame with a low stop bit, then a good one.
        for bit in (0, 1, 0, 1, 0, 1, 0, 1, 0, 0):
            ctx.set(dut.rx, bit)
            await ctx.tick().repeat(8)
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(100)
        await uart_send(ctx, dut.rx, [0x42], divisor=8)

    async def sink(ctx):
        assert await receive(ctx, dut.o_stream, 1) == [0x42]
        assert not ctx.get(dut.o_stream.valid)

    simulate(dut, testbenches=[line, sink])


def test_receiver_overrun_keeps_the_waiting_byte_and_drops_whole_bytes():
    dut = Receiver(divisor=4)

    async def line(ctx):
        await ctx.tick().repeat(10)
        await uart_send(ctx, dut.rx, [0x11, 0x22, 0x33], divisor=4)
        await ctx.tick().repeat(10)
        for _ in range(20):
            assert ctx.get(dut.o_stream.valid) and ctx.get(dut.o_stream.payload) == 0x11
            await ctx.tick()
        assert await receive(ctx, dut.o_stream, 1) == [0x11]
        assert not ctx.get(dut.o_stream.valid)
        await uart_send(ctx, dut.rx, [0x44], divisor=4)
        assert await receive(ctx, dut.o_stream, 1) == [0x44]

    simulate(dut, testbenches=[line])


@pytest.mark.parametrize("divisor", [4, 7, 36])
def test_transmitter_values(divisor):
    rng = seeded(divisor)
    data = [0x00, 0xFF, 0x55] + [rng.randrange(256) for _ in range(10)]
    dut = Transmitter(divisor=divisor)

    async def source(ctx):
        assert ctx.get(dut.tx) == 1
        await send(ctx, dut.i_stream, data, stall=0.3, rng=rng)

    async def line(ctx):
        assert await uart_receive(ctx, dut.tx, len(data), divisor=divisor) == data
        for _ in range(20 * divisor):
            await ctx.tick()
            assert ctx.get(dut.tx) == 1

    simulate(dut, testbenches=[source, line])


def test_transmitter_throughput():
    dut = Transmitter(divisor=5)

    async def source(ctx):
        ctx.set(dut.i_stream.valid, 1)
        taken = []
        for cycle in range(160):
            if ctx.get(dut.i_stream.ready):
                taken.append(cycle)
            await ctx.tick()
        assert taken == [0, 51, 102, 153]

    simulate(dut, testbenches=[source])


class Line(wiring.Component):
    """A transmitter, wired to a receiver."""

    def __init__(self, divisor):
        self.transmitter, self.receiver = Transmitter(divisor=divisor), Receiver(divisor=divisor)
        super().__init__({
            "i_stream": In(stream.Signature(8)),
            "o_stream": Out(stream.Signature(8)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules += [self.transmitter, self.receiver]
        m.d.comb += self.receiver.rx.eq(self.transmitter.tx)
        wiring.connect(m, wiring.flipped(self.i_stream), self.transmitter.i_stream)
        wiring.connect(m, self.receiver.o_stream, wiring.flipped(self.o_stream))
        return m


@pytest.mark.parametrize("divisor", [4, 9])
def test_both_ends_at_full_rate(divisor):
    data = list(range(256))
    dut = Line(divisor)

    async def source(ctx):
        await send(ctx, dut.i_stream, data)

    async def sink(ctx):
        assert await receive(ctx, dut.o_stream, 256) == data

    simulate(dut, testbenches=[source, sink])


@pytest.mark.parametrize("component", [Receiver, Transmitter])
def test_wrong_divisor(component):
    with pytest.raises(TypeError, match=r"^Divisor must be an integer, not 4\.5$"):
        component(divisor=4.5)
    with pytest.raises(ValueError, match=r"^Divisor must be at least 4 cycles a bit, not 3$"):
        component(divisor=3)


@pytest.mark.parametrize("mhz", [12, 30, 33, 36, 40, 42])
def test_divisor_at_a_megabaud(mhz):
    assert divisor_for(clock_hz=mhz * 1_000_000, baud=1_000_000) == mhz


@pytest.mark.parametrize(
    "clock_hz, baud, text",
    [
        (0, 1, "Clock must be positive, not 0"),
        (1000, -1, "Baud rate must be positive, not -1"),
        (
            12_000_000,
            4_000_000,
            "Baud rate 4000000 must be at most a 4th of the clock: 3000000 at 12 MHz",
        ),
        (
            12_000_000,
            2_700_000,
            "Baud rate 2700000 must be within 2% of what a 12 MHz clock can make; "
            "the nearest is 3000000 (+11.1%)",
        ),
    ],
)
def test_baud_rate_out_of_reach(clock_hz, baud, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        divisor_for(clock_hz=clock_hz, baud=baud)
