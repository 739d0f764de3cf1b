# amaranth: UnusedElaboratable=no
"""`hw.soc.arbiter`: two initiators, who comes first, hold, and the firmware that is read."""

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from hw.bus.wishbone import UNMAPPED, Decoder
from hw.soc.addresses import COPY_DISTANCE, FIRMWARE_COPIES, FLASH_BASE
from hw.soc.arbiter import Arbiter
from tests.hw.bus.helpers import Bus, memory_subordinate, seeded, simulate

WIDTH = 23
BAD = 0x7F_0000  # word address of nothing


class Bench(Elaboratable):
    """An arbiter before a decoder, whose answers are registered, as in the system."""

    def __init__(self):
        self.arbiter = Arbiter(addr_width=WIDTH)
        regions = {"low": (0, 1 << 22), "high": (1 << 22, 1 << 16)}
        self.decoder = Decoder(addr_width=WIDTH, regions=regions)
        for name in ("processor", "dma", "bus", "hold", "load", "copy"):
            setattr(self, name, getattr(self.arbiter, name))

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter, m.submodules.decoder = self.arbiter, self.decoder
        wiring.connect(m, self.arbiter.bus, self.decoder.bus)
        return m

    def subordinates(self, store, *, rng, stall):
        """The memories behind it, with a store that they share."""
        return [
            memory_subordinate(one, store, rng=rng, stall=stall)
            for one in (self.decoder.low, self.decoder.high)
        ]


def initiators(dut, deadline=500):
    return Bus(dut.processor, deadline=deadline), Bus(dut.dma, deadline=deadline)


def monitor(dut, seen):
    """Background testbench: (address, write, data, select) of each transfer, checked."""

    async def run(ctx):
        before = None
        while True:
            await ctx.tick()
            bus = dut.bus
            assert ctx.get(bus.cyc) == ctx.get(bus.stb)
            request = None
            if ctx.get(bus.cyc):
                names = ("adr", "we", "dat_w", "sel")
                request = tuple(ctx.get(getattr(bus, name)) for name in names)
                assert before in (None, request), "a request must stand still"
                if before is None:
                    seen.append(request)
            before = request

    return run


@pytest.mark.parametrize("stall", [0, 5])
@pytest.mark.parametrize("seed", range(3))
def test_both_at_random(seed, stall):
    """Each gets its own answers; every transfer reaches the bus once and whole."""
    dut = Bench()
    rng, own = seeded(seed), seeded(10 + seed)
    processor, dma = initiators(dut)
    store, seen, words = {}, [], []
    done = []

    async def run_processor(ctx):
        mine = {}
        for _ in range(150):
            address, word = rng.randrange(64), rng.randrange(1 << 32)
            if rng.random() < 0.1:
                data, error, _ = await processor.transfer(ctx, BAD)
                assert error and data == UNMAPPED
            elif rng.random() < 0.5:
                # Address bits beyond the bus do not count.
                _, error, _ = await processor.transfer(ctx, address | 1 << WIDTH, word)
                assert not error
                mine[address] = word
            else:
                assert await processor.read(ctx, address) == mine.get(address, 0)
            for _ in range(rng.choice([0, 0, 1, 8])):
                await ctx.tick()
        done.append("processor")

    async def run_dma(ctx):
        for count in range(150):
            words.append(own.randrange(1 << 32))
            _, error, _ = await dma.transfer(ctx, 0x8_0000 + count, words[-1])
            assert not error
            for _ in range(own.choice([0, 0, 1, 30])):
                await ctx.tick()
        _, error, _ = await dma.transfer(ctx, BAD, 1)
        assert error
        done.append("dma")

    simulate(
        dut,
        testbenches=[run_processor, run_dma],
        background=[
            monitor(dut, seen),
            *dut.subordinates(store, rng=seeded(20 + seed), stall=stall),
        ],
    )
    assert sorted(done) == ["dma", "processor"]
    moved = [request for request in seen if 0x8_0000 <= request[0] < 0x9_0000]
    assert moved == [(0x8_0000 + count, 1, word, 0b1111) for count, word in enumerate(words)]
    assert len(seen) == 150 + 151


def test_a_transfer_is_granted_the_cycle_after_its_request():
    dut = Arbiter(addr_width=WIDTH)
    seen = []

    async def run(ctx):
        ctx.set(dut.processor.sel, 0b0110)
        for initiator in (dut.processor, dut.dma):
            assert not ctx.get(dut.bus.cyc)
            ctx.set(initiator.cyc, 1)
            ctx.set(initiator.stb, 1)
            await ctx.tick()
            assert ctx.get(dut.bus.cyc) and ctx.get(dut.bus.stb)
            assert ctx.get(dut.bus.sel) == (0b0110 if initiator is dut.processor else 0b1111)
            assert ctx.get(dut.bus.we) == (initiator is dut.dma)
            await ctx.tick().repeat(5)
            ctx.set(dut.bus.ack, 1)
            assert ctx.get(initiator.ack)
            other = dut.dma if initiator is dut.processor else dut.processor
            assert not ctx.get(other.ack)
            await ctx.tick()
            ctx.set(dut.bus.ack, 0)
            ctx.set(initiator.cyc, 0)
            ctx.set(initiator.stb, 0)
            assert not ctx.get(dut.bus.cyc)
            await ctx.tick()

    simulate(dut, testbenches=[run], background=[monitor(dut, seen)])
    assert len(seen) == 2


def test_the_dma_first_and_then_in_turn():
    """Both ask all the time, each after the one cycle that it must rest: they alternate."""
    dut = Bench()
    processor, dma = initiators(dut)
    seen = []

    async def run_processor(ctx):
        for _ in range(20):
            await processor.write(ctx, 1, 1)

    async def run_dma(ctx):
        for _ in range(20):
            await dma.write(ctx, 2, 2)

    simulate(
        dut,
        testbenches=[run_processor, run_dma],
        background=[monitor(dut, seen), *dut.subordinates({}, rng=seeded(0), stall=2)],
    )
    assert [request[0] for request in seen] == [2, 1] * 20


def test_hold_keeps_the_processor_out_and_the_dma_in():
    dut = Bench()
    processor, dma = initiators(dut)
    seen, times = [], []

    async def run_processor(ctx):
        await processor.write(ctx, 1, 1)  # under way when hold comes: it ends as ever
        assert ctx.get(dut.hold)
        await processor.write(ctx, 3, 1)
        assert not ctx.get(dut.hold)

    async def run(ctx):
        await ctx.tick().repeat(2)
        ctx.set(dut.hold, 1)
        for address in range(100, 105):
            await dma.write(ctx, address, 7)
        await ctx.tick().repeat(50)
        assert [request[0] for request in seen] == [1, 100, 101, 102, 103, 104]
        ctx.set(dut.hold, 0)
        await ctx.tick()
        assert ctx.get(dut.bus.cyc) and ctx.get(dut.bus.adr) == 3
        times.append(1)

    simulate(
        dut,
        testbenches=[run_processor, run],
        background=[monitor(dut, seen), *dut.subordinates({}, rng=seeded(0), stall=8)],
    )
    assert times and len(seen) == 7


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("hold", [0, 1])
def test_load_writes_to_a_copy(copy, hold):
    """One transfer, whatever the processor's wires say, and the next ones are theirs."""
    dut = Bench()
    processor, dma = initiators(dut)
    seen = []

    async def run(ctx):
        ctx.set(dut.processor.adr, 0x3FFF_FFFF)
        ctx.set(dut.processor.sel, 0b1111)  # as in reset
        ctx.set(dut.copy, copy)
        ctx.set(dut.hold, hold)
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        ctx.set(dut.hold, 0)
        await ctx.tick().repeat(10)
        for address in (*FIRMWARE_COPIES, 0, COPY_DISTANCE):
            await processor.read(ctx, (FLASH_BASE + address) // 4)
        await dma.write(ctx, 5, 1)

    simulate(
        dut,
        testbenches=[run],
        background=[monitor(dut, seen), *dut.subordinates({}, rng=seeded(0), stall=0)],
    )
    first, second = FIRMWARE_COPIES
    asked = [(first, second)[copy], first, second, 0, COPY_DISTANCE]
    expected = [((FLASH_BASE + one) // 4, int(n == 0)) for n, one in enumerate(asked)]
    assert [request[:2] for request in seen] == [*expected, (5, 1)]


def test_a_granted_request_stands_whatever_the_processor_does():
    """As when it is reset in mid-transfer: the bus sees the transfer to its end, unchanged."""
    dut = Arbiter(addr_width=WIDTH)
    seen = []
    first = {"adr": 0x40_8000, "we": 0, "sel": 0b1111, "dat_w": 0x1234}
    then = {"adr": 0x10, "we": 1, "sel": 0b0001, "dat_w": 0x5678, "cyc": 0, "stb": 0}

    async def run(ctx):
        for name, value in (first | {"cyc": 1, "stb": 1}).items():
            ctx.set(getattr(dut.processor, name), value)
        await ctx.tick()
        for name, value in then.items():
            ctx.set(getattr(dut.processor, name), value)
        ctx.set(dut.copy, 1)
        for _ in range(10):
            assert ctx.get(dut.bus.cyc) and ctx.get(dut.bus.stb)
            for name, value in first.items():
                assert ctx.get(getattr(dut.bus, name)) == value
            await ctx.tick()
        ctx.set(dut.bus.ack, 1)
        await ctx.tick()
        ctx.set(dut.bus.ack, 0)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.bus.cyc)

    simulate(dut, testbenches=[run], background=[monitor(dut, seen)])
    assert len(seen) == 1
