# amaranth: UnusedElaboratable=no
"""`hw.soc.flash` against an SPI flash that checks the timing."""

import pytest

from hw.soc.flash import READ, FlashController
from tests.hw.bus.helpers import Bus, receive, seeded, simulate
from tests.hw.soc.helpers import IDENTIFY, STATUS, SpiFlash, content, content_word

WORD_CYCLES = 129
FIRST_CYCLES = 82
BYTE_CYCLES = 18
LAST = 0xFF_FFFC


def bench(testbench, *, seed=0, offset=0):
    """Run `testbench(ctx, dut, bus, chip)`."""
    dut = FlashController(offset=offset)
    bus = Bus(dut.bus, deadline=2 * WORD_CYCLES)
    chip = SpiFlash(dut, content, rng=seeded(seed))

    async def run(ctx):
        await ctx.tick().repeat(3)
        await testbench(ctx, dut, bus, chip)
        await idle(ctx, dut)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.cs_n) and not ctx.get(dut.sck) and not ctx.get(dut.bus.ack)

    simulate(dut, testbenches=[run], background=[chip.run])


async def idle(ctx, dut, limit=2 * WORD_CYCLES):
    cycles = 0
    while ctx.get(dut.busy):
        await ctx.tick()
        cycles += 1
        assert cycles <= limit, "busy for ever"
    return cycles


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def begin(ctx, bus, address):
    """Begin a sequential read."""
    _, error, cycles = await bus.transfer(ctx, address // 4, 0x1234_5678)
    assert not error and cycles == 1


def read(address):
    return [READ, *address.to_bytes(3, "big")]


def test_words():
    rng = seeded(1)

    async def testbench(ctx, dut, bus, chip):
        addresses = [0, 4, LAST, 0x55_5554, 0xAA_AAA8]
        addresses += [rng.randrange(1 << 22) * 4 for _ in range(15)]
        for address in addresses:
            assert await bus.transfer(ctx, address // 4) == (
                content_word(address), False, WORD_CYCLES
            )  # fmt: skip
            assert ctx.get(dut.bus.dat_r) == 0, "data must be 0 while nothing is asked"
            assert not ctx.get(dut.o.valid) and not ctx.get(dut.streaming)
            for _ in range(rng.randrange(3)):
                await ctx.tick()
        assert [one[:4] for one in chip.commands] == [read(address) for address in addresses]
        assert {len(one) for one in chip.commands} == {8}

    bench(testbench)


@pytest.mark.parametrize("offset", [0x20_0000, 0x12_3454])
def test_an_offset_is_added_to_every_read(offset):
    async def testbench(ctx, dut, bus, chip):
        for address in (0, 0x02_0000, 0x55_5554, LAST):
            place = address + offset & 0xFF_FFFF
            data, error, cycles = await bus.transfer(ctx, address // 4)
            assert (data, error, cycles) == (content_word(place), False, WORD_CYCLES)
            await begin(ctx, bus, address)
            assert await receive(ctx, dut.o, 1) == [content(place)]
            await pulse(ctx, dut.stop)
            await idle(ctx, dut)
            assert [one[:4] for one in chip.commands[-2:]] == [read(place)] * 2

    bench(testbench, offset=offset)


@pytest.mark.parametrize("offset", [2, -4, 1 << 24])
def test_an_offset_that_cannot_be(offset):
    with pytest.raises(ValueError, match="Offset must be a multiple of 4 below 2"):
        FlashController(offset=offset)


def test_words_right_behind_one_another():
    """The next request comes in the cycle after the answer: the flash is deselected between."""

    async def testbench(ctx, dut, bus, chip):
        ctx.set(dut.bus.cyc, 1)
        for address in (0x100, 0x2000, 0x104):
            ctx.set(dut.bus.adr, address // 4)
            ctx.set(dut.bus.stb, 1)
            while not ctx.get(dut.bus.ack):
                await ctx.tick()
            assert ctx.get(dut.bus.dat_r) == content_word(address)
            ctx.set(dut.bus.stb, 0)
            await ctx.tick()
        assert [one[:4] for one in chip.commands] == [
            read(address) for address in (0x100, 0x2000, 0x104)
        ]

    bench(testbench)


@pytest.mark.parametrize("stall", [0.0, 0.9, 0.99])
def test_sequential_reads(stall):
    rng = seeded(2)

    async def testbench(ctx, dut, bus, chip):
        for address, count in ((0x02_0000, 40), (LAST, 9), (0, 1), (0x7F_FFFC, 17)):
            await begin(ctx, bus, address)
            assert ctx.get(dut.streaming) and ctx.get(dut.busy)
            data = await receive(ctx, dut.o, count, stall=stall, rng=rng)
            assert data == [content(address + i & 0xFF_FFFF) for i in range(count)]
            await pulse(ctx, dut.stop)
            assert not ctx.get(dut.streaming) and not ctx.get(dut.o.valid)
            assert await idle(ctx, dut) <= 20
            assert chip.commands[-1][:4] == read(address)
            # At most the byte that was under way was read beyond.
            assert 4 + count <= len(chip.commands[-1]) <= 4 + count + 1
        assert len(chip.commands) == 4

    bench(testbench)


def test_sequential_read_takes_its_time():
    async def testbench(ctx, dut, bus, chip):
        ctx.set(dut.bus.cyc, 1)
        ctx.set(dut.bus.stb, 1)
        ctx.set(dut.bus.we, 1)
        ctx.set(dut.o.ready, 1)
        times = []
        for cycle in range(FIRST_CYCLES + 5 * BYTE_CYCLES + 1):
            if ctx.get(dut.bus.ack):
                ctx.set(dut.bus.stb, 0)
            if ctx.get(dut.o.valid):
                times.append(cycle)
            await ctx.tick()
        assert times == [FIRST_CYCLES + i * BYTE_CYCLES for i in range(6)]
        await pulse(ctx, dut.stop)

    bench(testbench)


def test_the_clock_rests_while_nobody_takes_bytes():
    async def testbench(ctx, dut, bus, chip):
        await begin(ctx, bus, 0x1000)
        while not ctx.get(dut.o.valid):
            await ctx.tick()
        for _ in range(100):
            assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == content(0x1000)
            assert ctx.get(dut.data) == content(0x1000)
            assert not ctx.get(dut.sck) and not ctx.get(dut.cs_n)
            await ctx.tick()
        assert chip.clocks == 40
        assert await receive(ctx, dut.o, 2) == [content(0x1000), content(0x1001)]
        await pulse(ctx, dut.stop)

    bench(testbench)


@pytest.mark.parametrize("taking", [True, False])
def test_stop_at_any_moment_and_a_word_right_behind(taking):
    """In the command, in a byte, between bytes, while one waits. The word is asked at once."""

    async def testbench(ctx, dut, bus, chip):
        for moment in (*range(4), 30, 31, *range(60, FIRST_CYCLES + 2 * BYTE_CYCLES)):
            address = 0x400 * moment
            # Not by `begin`, which is over in the third cycle.
            ctx.set(dut.bus.adr, address // 4)
            ctx.set(dut.bus.we, 1)
            ctx.set(dut.bus.cyc, 1)
            ctx.set(dut.bus.stb, 1)
            ctx.set(dut.o.ready, taking)
            got = []
            for cycle in range(max(moment, 1) + 1):
                ctx.set(dut.stop, cycle == moment)
                if ctx.get(dut.bus.ack):
                    ctx.set(dut.bus.cyc, 0)
                    ctx.set(dut.bus.stb, 0)
                if ctx.get(dut.o.valid) and taking:
                    got.append(ctx.get(dut.o.payload))
                await ctx.tick()
            ctx.set(dut.stop, 0)
            assert got == [content(address + i) for i in range(len(got))]
            assert not ctx.get(dut.streaming) and not ctx.get(dut.o.valid)
            word, error, cycles = await bus.transfer(ctx, (address + 0x20) // 4)
            assert (word, error) == (content_word(address + 0x20), False), moment
            # The end of what was under way, and one cycle in which the flash is not selected.
            assert cycles <= WORD_CYCLES + 70, moment
            assert not ctx.get(dut.o.valid)
            assert [one[:4] for one in chip.commands[-2:]] == [read(address), read(address + 0x20)]

    bench(testbench)


def test_stop_while_nothing_is_read():
    async def testbench(ctx, dut, bus, chip):
        await pulse(ctx, dut.stop)
        assert not ctx.get(dut.busy)
        ctx.set(dut.stop, 1)  # all the time: words are not sequential reads
        assert await bus.read(ctx, 0x80 // 4) == content_word(0x80)
        ctx.set(dut.stop, 0)

    bench(testbench)


async def exchange(ctx, dut, byte):
    ctx.set(dut.send_data, byte)
    await pulse(ctx, dut.send)
    ctx.set(dut.send_data, 0xEE)  # it counts in the pulse only
    assert 1 + await idle(ctx, dut) == 17
    return ctx.get(dut.data)


def test_bytes_by_hand():
    async def testbench(ctx, dut, bus, chip):
        await pulse(ctx, dut.select)
        assert [await exchange(ctx, dut, byte) for byte in (IDENTIFY, 0, 0, 0)][1:] == [
            0xEF, 0x40, 0x18
        ]  # fmt: skip
        await ctx.tick().repeat(50)
        assert not ctx.get(dut.cs_n) and not ctx.get(dut.sck), "it stays selected"
        await pulse(ctx, dut.stop)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.cs_n)
        await pulse(ctx, dut.select)
        await exchange(ctx, dut, STATUS)
        await pulse(ctx, dut.stop)
        # A word and a stream right behind.
        assert await bus.read(ctx, 0x300 // 4) == content_word(0x300)
        await begin(ctx, bus, 0x304)
        assert await receive(ctx, dut.o, 3) == [content(0x304 + i) for i in range(3)]
        await pulse(ctx, dut.stop)
        await idle(ctx, dut)
        # And bytes again, with a read by hand.
        await pulse(ctx, dut.select)
        got = [await exchange(ctx, dut, byte) for byte in (*read(0x1_2345), 0, 0xFF)]
        assert got[4:] == [content(0x1_2345), content(0x1_2346)]
        await pulse(ctx, dut.stop)
        await ctx.tick()
        assert [one[:4] for one in chip.commands] == [
            [IDENTIFY, 0, 0, 0], [STATUS], read(0x300), read(0x304), read(0x1_2345)
        ]  # fmt: skip

    bench(testbench)


@pytest.mark.parametrize("early", range(18))
def test_select_may_end_while_the_last_byte_goes_out(early):
    """The flash is deselected behind the byte; and selected, if select comes with the byte."""

    async def testbench(ctx, dut, bus, chip):
        ctx.set(dut.select, 1)
        ctx.set(dut.send_data, STATUS)
        await pulse(ctx, dut.send)
        ctx.set(dut.select, 0)
        for _ in range(early):
            await ctx.tick()
        await pulse(ctx, dut.stop)
        await idle(ctx, dut)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.cs_n) and chip.commands == [[STATUS]]

    bench(testbench)
