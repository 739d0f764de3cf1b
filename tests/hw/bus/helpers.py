# amaranth: UnusedElaboratable=no
"""What the bus tests share: stream and bus testbenches, a UART line, a fake engine."""

import random

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from hw.engine.interface import HostPort


def simulate(dut, *, testbenches=(), background=(), deadline=50_000):
    """Run testbenches to their end; one that has not ended after `deadline` cycles fails."""
    top = Module()
    top.submodules.dut = dut
    top.d.sync += Signal().eq(1)  # a clock, even for what is only combinational
    sim = Simulator(top)
    sim.add_clock(1e-6)

    for testbench in testbenches:
        sim.add_testbench(testbench)
    for testbench in background:
        sim.add_testbench(testbench, background=True)
    steps = 0
    while sim.advance():
        steps += 1  # two a cycle
        assert steps < 2 * deadline, f"a testbench has not ended after {deadline} cycles"


async def send(ctx, stream, data, *, stall=0.0, rng=None):
    """Put bytes into a stream, with random pauses."""
    for value in data:
        while stall and rng.random() < stall:
            await ctx.tick()
        ctx.set(stream.payload, value)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)


async def receive(ctx, stream, count, *, stall=0.0, rng=None):
    """Take `count` bytes from a stream, with random pauses."""
    data = []
    while len(data) < count:
        while stall and rng.random() < stall:
            await ctx.tick()
        ctx.set(stream.ready, 1)
        (value,) = await ctx.tick().sample(stream.payload).until(stream.valid)
        data.append(value)
        ctx.set(stream.ready, 0)
    return data


class Bus:
    """Initiator of a Wishbone subordinate, checked against the protocol."""

    def __init__(self, bus, *, deadline=50):
        self.bus = bus
        self.deadline = deadline

    async def transfer(self, ctx, address, word=None, *, sel=0b1111):
        """Returns (data read, error, cycles from the request to its end)."""
        bus = self.bus
        ctx.set(bus.adr, address)
        ctx.set(bus.we, word is not None)
        ctx.set(bus.sel, sel)
        ctx.set(bus.dat_w, word or 0)
        ctx.set(bus.cyc, 1)
        ctx.set(bus.stb, 1)
        for cycles in range(self.deadline):
            ack, err, data = ctx.get(bus.ack), ctx.get(bus.err), ctx.get(bus.dat_r)
            await ctx.tick()
            assert not (ack and err)
            if ack or err:
                ctx.set(bus.cyc, 0)
                ctx.set(bus.stb, 0)
                await ctx.tick()
                assert not ctx.get(bus.ack) and not ctx.get(bus.err)
                return data, bool(err), cycles
        raise AssertionError(f"no answer at {address:#x}")

    async def read(self, ctx, address):
        data, error, _ = await self.transfer(ctx, address)
        assert not error, f"error at {address:#x}"
        return data

    async def write(self, ctx, address, word):
        _, error, _ = await self.transfer(ctx, address, word)
        assert not error, f"error at {address:#x}"


def memory_subordinate(bus, store, *, rng, mapped=lambda address: True, stall=3, log=None):
    """Background testbench: a subordinate of a dictionary, with random latency."""

    async def run(ctx):
        while True:
            await ctx.tick()
            if not (ctx.get(bus.cyc) and ctx.get(bus.stb)):
                continue
            for _ in range(rng.randrange(stall + 1)):
                await ctx.tick()
            address, write = ctx.get(bus.adr), ctx.get(bus.we)
            assert ctx.get(bus.sel) == 0b1111
            if log is not None:
                log.append((address, write))
            if not mapped(address):
                ctx.set(bus.dat_r, 0x12345678)
                ctx.set(bus.err, 1)
            else:
                if write:
                    store[address] = ctx.get(bus.dat_w)
                else:
                    ctx.set(bus.dat_r, store.get(address, 0))
                ctx.set(bus.ack, 1)
            await ctx.tick()
            ctx.set(bus.ack, 0)
            ctx.set(bus.err, 0)
            ctx.set(bus.dat_r, 0)

    return run


async def uart_send(ctx, line, data, *, divisor, gap=0):
    """Put bytes on a UART line; `divisor` may be a fraction: a transmitter off its rate."""
    time, done = 0.0, 0
    for value in data:
        for bit in (0, *(value >> i & 1 for i in range(8)), 1):
            ctx.set(line, bit)
            time += divisor
            while done < round(time):
                await ctx.tick()
                done += 1
        for _ in range(gap):
            await ctx.tick()


async def uart_receive(ctx, line, count, *, divisor):
    """Decode `count` bytes of a UART line, checking its stop bits and that bits do not jitter."""
    data = []
    while len(data) < count:
        # Not `until()`: a testbench that the simulation's end leaves waiting there warns.
        await ctx.tick()
        while ctx.get(line):
            await ctx.tick()
        bits = []
        for bit in range(10):
            levels = []
            for cycle in range(divisor):
                levels.append(ctx.get(line))
                # The next byte's first tick ends this one.
                if (bit, cycle) != (9, divisor - 1):
                    await ctx.tick()
            bits.append(levels[divisor // 2])
        assert bits[0] == 0 and bits[9] == 1, f"framing: {bits}"
        data.append(sum(bit << i for i, bit in enumerate(bits[1:9])))
    return data


class FakeEngine(wiring.Component):
    """An engine without arithmetic: memories of 64 words a region, and frames of FRAME cycles.

    Its class is the low byte of the first image word plus STOP_AFTER, and its logits are the
    words of region 5, which its tests write by back door.
    """

    FRAME = 60
    DEPTH = 64

    def __init__(self):
        super().__init__({"host": Out(HostPort())})
        self.memory = Memory(shape=32, depth=8 * self.DEPTH, init=[])

    def elaborate(self, platform):
        m = Module()
        host = self.host
        m.submodules.memory = self.memory
        write, read = self.memory.write_port(granularity=8), self.memory.read_port()
        where = Cat(host.mem_addr[:6], host.mem_region)
        # Weights by the byte, the others in whole words.
        mask = host.mem_write_mask | (host.mem_region != 0).replicate(4)
        # Latency 2 in all: in the memory, and in a register behind it.
        m.d.comb += [
            write.addr.eq(where), write.data.eq(host.mem_write_data),
            write.en.eq(host.mem_write.replicate(4) & mask),
            read.addr.eq(where), read.en.eq(1),
        ]  # fmt: skip
        m.d.sync += host.mem_read_data.eq(read.data)

        count, first = Signal(range(self.FRAME)), Signal(8)
        with m.If(host.mem_write & (host.mem_region == 1) & (host.mem_addr == 0)):
            m.d.sync += first.eq(host.mem_write_data)
        with m.If(host.busy):
            m.d.sync += [count.eq(count + 1), host.cycles.eq(count + 1)]
            with m.If(count == self.FRAME - 1):
                m.d.sync += [
                    host.busy.eq(host.repeat), host.done.eq(1), count.eq(0),
                    host.frames.eq(host.frames + 1),
                    host.layer.eq(7), host.decision.eq(first + host.stop_after),
                ]  # fmt: skip
        with m.Elif(host.start):
            m.d.sync += [
                host.busy.eq(1), host.done.eq(0), host.frames.eq(0), count.eq(0), host.cycles.eq(0),
            ]  # fmt: skip
        with m.If(host.abort):
            m.d.sync += [host.busy.eq(0), host.done.eq(0)]
        return m


def seeded(seed):
    """A generator, with its seed in the test's output."""
    print(f"seed {seed}")
    return random.Random(seed)
