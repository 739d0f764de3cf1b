# amaranth: UnusedElaboratable=no
"""`hw.soc.stream`: decoder against the package cobs, CRC against zlib, DMA against lists."""

import zlib
from collections import deque

import pytest
from cobs import cobs

from hw.soc.stream import CRC_RESIDUE, CobsDecoder, StreamDMA
from hw.soc.stream_registers import COUNT_BITS
from tests.hw.bus.helpers import memory_subordinate, seeded, send, simulate
from tests.hw.soc.helpers import tokens

ADDRESS_BITS = 12


def decode(line, *, stalls=(0.0, 0.0), seed=0):
    """The tokens of a line, by the hardware, and the cycle in which each was taken."""
    rng, other = seeded(seed), seeded(seed + 1)
    dut = CobsDecoder()
    found, times = [], []
    done = False

    async def source(ctx):
        nonlocal done
        await send(ctx, dut.i, line, stall=stalls[0], rng=rng)
        done = True

    async def sink(ctx):
        kept, cycle, idle = None, 0, 0
        while not done or idle < 3:
            ready = other.random() >= stalls[1]
            ctx.set(dut.o.ready, ready)
            valid, token = ctx.get(dut.o.valid), ctx.get(dut.o.payload)
            token = (token.data, token.end, token.cut)
            if kept is not None:
                assert valid and token == kept, "a token that nobody takes must stand still"
            kept = token if valid and not ready else None
            if valid and ready:
                found.append(token if token[1] else (token[0], 0, 0))
                times.append(cycle)
            idle = 0 if valid or not done else idle + 1
            cycle += 1
            await ctx.tick()

    simulate(dut, testbenches=[source, sink])
    return found, times


def frames(rng, count):
    """Frames of random bytes, of zeros in rows, and of no zeros at all."""
    for _ in range(count):
        length = rng.choice([0, 1, 2, 5, rng.randrange(40), rng.randrange(300)])
        kind = rng.choice([range(256), (0,), (0, 0, 0, 7), range(1, 256), (255, 1)])
        yield bytes(rng.choice(kind) for _ in range(length))


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.3, 0.5), (0.0, 0.8), (0.8, 0.0)])
@pytest.mark.parametrize("seed", range(2))
def test_random_frames(seed, stalls):
    rng = seeded(10 + seed)
    line, expected = bytearray(), []
    for frame in frames(rng, 8):
        line += b"\0" * rng.randrange(3) + cobs.encode(frame) + b"\0"
        expected += [(byte, 0, 0) for byte in frame] + [(0, 1, 0)]
    assert tokens(line) == expected
    assert decode(line, stalls=stalls, seed=seed)[0] == expected


@pytest.mark.parametrize("length", [253, 254, 255, 256, 508, 509])
@pytest.mark.parametrize("zero", ["none", "behind", "in front"])
def test_blocks_at_their_longest(length, zero):
    """A block of 254 bytes ends without a zero byte, also where it is the last."""
    frame = bytes(1 + i % 255 for i in range(length))
    frame = {"none": frame, "behind": frame + b"\0", "in front": b"\0" + frame}[zero]
    expected = [(byte, 0, 0) for byte in frame] + [(0, 1, 0)]
    assert decode(cobs.encode(frame) + b"\0")[0] == expected


def test_every_cut_is_seen():
    """A frame is cut before each of its bytes in turn, and a whole frame follows each time."""
    frame = bytes(range(1, 7)) + b"\0\0" + bytes(range(1, 5)) + b"\0"
    code = cobs.encode(frame)
    line = b"".join(code[:count] + b"\0" + cobs.encode(b"ok") + b"\0" for count in range(len(code)))
    expected = tokens(line)
    assert decode(line)[0] == expected
    ends = [token for token in expected if token[1]]
    # A cut at the end of a block cannot be seen: that is for the CRC.
    assert ends.count((0, 1, 1)) == len(code) - 1 - 3
    assert len(ends) == 2 * len(code) - 1


@pytest.mark.parametrize("seed", range(3))
def test_garbage(seed):
    """Whatever comes: each zero byte ends it, and a whole frame behind it is right."""
    rng = seeded(20 + seed)
    line, good = bytearray(), bytes(range(5))
    for _ in range(20):
        kind = rng.choice([range(256), range(6), (0, 255, 254, 3)])
        line += bytes(rng.choice(kind) for _ in range(rng.randrange(60))) + b"\0"
        line += cobs.encode(good) + b"\0"
    found, _ = decode(line, stalls=(0.2, 0.2), seed=seed)
    assert found == tokens(line)
    assert bytes(token[0] for token in found[-6:-1]) == good


def test_a_token_in_2_cycles():
    line = cobs.encode(b"abc\0d") + b"\0" + cobs.encode(b"e") + b"\0"
    found, times = decode(line)
    assert found == tokens(line)
    # A code byte without a token takes one cycle: the first of each frame.
    assert times == [2, 4, 6, 8, 10, 12, 15, 17]


class Feeder:
    """Offers tokens, with random pauses; `taken` are those that were taken."""

    def __init__(self, stream, *, rng, stall=0.0):
        self.stream, self.rng, self.stall = stream, rng, stall
        self.queue = deque()
        self.taken = []

    async def run(self, ctx):
        while True:
            if not self.queue or self.rng.random() < self.stall:
                await ctx.tick()
                continue
            byte, end, cut = self.queue[0]
            ctx.set(self.stream.payload, {"data": byte, "end": end, "cut": cut})
            ctx.set(self.stream.valid, 1)
            taken = False
            while self.queue and not taken:
                # What is ready during a cycle is known at its end.
                _, _, taken = await ctx.tick().sample(self.stream.ready)
            if self.queue:  # else somebody has emptied it: what was offered is gone
                self.taken.append(self.queue.popleft())
            ctx.set(self.stream.valid, 0)

    def data(self):
        """Bytes that were taken."""
        return bytes(byte for byte, end, _ in self.taken if not end)


class Bench:
    """A DMA with a feeder of tokens, a memory, and what the processor does."""

    def __init__(self, *, seed=0, stall=0.0, bus_stall=0, load=(0, 1), **subordinate):
        self.rng = seeded(seed)
        self.dut = dut = StreamDMA(addr_width=ADDRESS_BITS, load=load)
        self.feeder = Feeder(dut.i, rng=seeded(seed + 1), stall=stall)
        self.store, self.log = {}, []
        self.memory = memory_subordinate(
            dut.bus, self.store, rng=seeded(seed + 2), stall=bus_stall, log=self.log, **subordinate
        )

    def run(self, testbench, **others):
        simulate(
            self.dut, testbenches=[testbench], background=[self.feeder.run, self.memory], **others
        )
        assert all(write for _, write in self.log)

    def put(self, data, *, end=False, cut=False):
        self.feeder.queue.extend((byte, 0, 0) for byte in data)
        if end:
            self.feeder.queue.append((0, 1, int(cut)))

    async def pulse(self, ctx, name, **values):
        for key, value in values.items():
            ctx.set(getattr(self.dut, key), value)
        ctx.set(getattr(self.dut, name), 1)
        await ctx.tick()
        ctx.set(getattr(self.dut, name), 0)
        for key in values:  # they count in the pulse only
            ctx.set(getattr(self.dut, key), self.rng.randrange(16))

    async def until(self, ctx, condition, limit=20_000):
        cycles = 0
        while not condition():
            await ctx.tick()
            cycles += 1
            assert cycles < limit, "it does not come"
        return cycles

    async def take(self, ctx, count):
        """Tokens taken by the processor, byte by byte."""
        got = []
        for _ in range(count):
            await self.until(ctx, lambda: ctx.get(self.dut.head_valid))
            head = ctx.get(self.dut.head)
            got.append((head.data if not head.end else 0, head.end, head.cut))
            await self.pulse(ctx, "next")
            for _ in range(self.rng.randrange(12)):
                await ctx.tick()
        return got

    async def rest(self, ctx):
        """Until every bit has gone through the CRC."""
        await ctx.tick().repeat(9)

    async def start(self, ctx, words, target=None, *, wait=0):
        if target is not None:
            await self.pulse(ctx, "target_load", target=target)
        await self.pulse(ctx, "start", words=words, wait=wait)

    async def finished(self, ctx):
        return await self.until(ctx, lambda: not ctx.get(self.dut.busy))


def words_of(data):
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data) - 3, 4)]


@pytest.mark.parametrize("stall", [0.0, 0.9])
def test_crc(stall):
    """Of bytes that the processor takes, of bytes that it feeds, and of both."""
    bench = Bench(seed=1, stall=stall)
    dut, rng = bench.dut, bench.rng

    async def processor(ctx):
        data = bytearray()
        for _ in range(25):
            if rng.random() < 0.2:
                await bench.pulse(ctx, "crc_clear")
                data.clear()
            chunk = rng.randbytes(rng.randrange(8))
            if rng.random() < 0.5:
                for byte in chunk:
                    await bench.pulse(ctx, "feed", feed_data=byte)
                    await ctx.tick().repeat(8)
            else:
                bench.put(chunk)
                assert await bench.take(ctx, len(chunk)) == [(byte, 0, 0) for byte in chunk]
            data += chunk
            await bench.rest(ctx)
            assert ctx.get(dut.crc) == zlib.crc32(data)
        check = zlib.crc32(data).to_bytes(4, "little")
        bench.put(check)
        await bench.take(ctx, 4)
        await bench.rest(ctx)
        assert ctx.get(dut.crc) == CRC_RESIDUE == zlib.crc32(bytes(data) + check)

    bench.run(processor)
    assert not bench.log


def test_crc_is_valid_8_cycles_after_the_byte():
    bench = Bench()
    dut = bench.dut

    async def processor(ctx):
        await bench.pulse(ctx, "feed", feed_data=0x31)
        await ctx.tick().repeat(8)
        assert ctx.get(dut.crc) == zlib.crc32(b"1")

    bench.run(processor)


def test_the_processor_sees_ends():
    """An end leaves the CRC as it is; after a byte the front is hidden while it goes through."""
    bench = Bench(seed=3)
    dut = bench.dut
    bench.put(b"ab", end=True, cut=True)
    bench.put(b"", end=True)
    bench.put(b"c")

    async def processor(ctx):
        assert await bench.take(ctx, 3) == [(97, 0, 0), (98, 0, 0), (0, 1, 1)]
        await bench.rest(ctx)
        assert ctx.get(dut.crc) == zlib.crc32(b"ab")
        assert await bench.take(ctx, 2) == [(0, 1, 0), (99, 0, 0)]
        await bench.rest(ctx)
        assert ctx.get(dut.crc) == zlib.crc32(b"abc")
        assert not ctx.get(dut.head_valid)

    bench.run(processor)


def test_a_byte_every_9_cycles():
    bench = Bench()
    dut = bench.dut
    bench.put(b"12345")
    times = []

    async def processor(ctx):
        await ctx.tick().repeat(2)
        ctx.set(dut.next, 1)
        for cycle in range(60):
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                times.append(cycle)
            await ctx.tick()

    bench.run(processor)
    assert [time - times[0] for time in times] == [0, 9, 18, 27, 36]


@pytest.mark.parametrize("bus_stall", [0, 3])
def test_words_take_their_time(bus_stall):
    """A word is 4 bytes, and then the bus: nothing is taken while a write is under way."""
    bench = Bench(bus_stall=bus_stall)
    bench.put(bytes(range(40)))
    lengths = []

    async def processor(ctx):
        await ctx.tick().repeat(2)
        await bench.start(ctx, 10, 0x20)
        count = await bench.finished(ctx)
        lengths.append(count)

    bench.run(processor)
    shortest = 10 * (4 * 9 + 1)
    assert shortest + (bus_stall > 0) <= lengths[0] <= shortest + 10 * bus_stall
    assert bench.store == {0x20 + i: word for i, word in enumerate(words_of(bytes(range(40))))}


@pytest.mark.parametrize("stall, bus_stall", [(0.0, 0), (0.8, 0), (0.0, 60), (0.7, 20)])
@pytest.mark.parametrize("seed", range(2))
def test_moves(seed, stall, bus_stall):
    """Moves of random length, with bytes for the processor before, between and after."""
    bench = Bench(seed=30 + 5 * seed, stall=stall, bus_stall=bus_stall)
    dut, rng = bench.dut, bench.rng

    async def processor(ctx):
        target, moved = 0, []
        for _ in range(8):
            words = rng.choice([1, 1, 2, rng.randrange(1, 12)])
            before, data = rng.randbytes(rng.randrange(6)), rng.randbytes(4 * words)
            bench.put(before + data)
            assert await bench.take(ctx, len(before)) == [(byte, 0, 0) for byte in before]
            await bench.rest(ctx)
            if rng.random() < 0.6:
                target = rng.randrange(1 << ADDRESS_BITS)
                await bench.start(ctx, words, target)
            else:  # goes on where the last one ended
                await bench.start(ctx, words)
            assert ctx.get(dut.busy) and not ctx.get(dut.head_valid)
            assert ctx.get(dut.left) == words
            await bench.finished(ctx)
            assert ctx.get(dut.left) == 0
            moved += [((target + i) % (1 << ADDRESS_BITS), True) for i in range(words)]
            for i, word in enumerate(words_of(data)):
                assert bench.store[(target + i) % (1 << ADDRESS_BITS)] == word
            target += words
            assert ctx.get(dut.crc) == zlib.crc32(bench.feeder.data())
        assert bench.log == moved
        assert not bench.feeder.queue
        # More than was asked for is not taken.
        bench.put(b"rest")
        await ctx.tick().repeat(200)
        assert len(bench.feeder.queue) == 4
        assert await bench.take(ctx, 4) == [(byte, 0, 0) for byte in b"rest"]

    bench.run(processor)


@pytest.mark.parametrize("length", range(9))
def test_the_end_of_a_frame_in_front_of_the_dma(length):
    """It waits there, with what does not fill a word in the CRC alone, until it is stopped."""
    bench = Bench(seed=40)
    dut = bench.dut
    data = bytes(range(0x40, 0x40 + length))
    bench.put(data, end=True, cut=bool(length % 2))
    bench.put(b"next")

    async def processor(ctx):
        await bench.start(ctx, 3, 8)
        await ctx.tick().repeat(200)
        assert ctx.get(dut.busy) and not ctx.get(dut.head_valid)
        assert ctx.get(dut.i.valid) and ctx.get(dut.head).end, "what DMA_STATUS.END is made of"
        assert ctx.get(dut.left) == 3 - length // 4
        await bench.pulse(ctx, "next")  # not the processor's turn
        assert bench.feeder.data() == data
        assert ctx.get(dut.crc) == zlib.crc32(data)
        await bench.pulse(ctx, "stop")
        assert not ctx.get(dut.busy)
        assert await bench.take(ctx, 1) == [(0, 1, length % 2)]
        assert bench.store == {8 + i: word for i, word in enumerate(words_of(data))}
        # A new start does not remember the bytes that did not fill a word.
        await bench.start(ctx, 1, 0x80)
        await bench.finished(ctx)
        assert bench.store[0x80] == int.from_bytes(b"next", "little")

    bench.run(processor)


@pytest.mark.parametrize("seed", range(3))
def test_stop_at_any_moment(seed):
    """What was taken is in the CRC, whole words of it are written, and the next move is clean."""
    bench = Bench(seed=50 + 5 * seed, stall=0.3, bus_stall=6)
    dut, rng = bench.dut, bench.rng

    async def processor(ctx):
        bench.put(rng.randbytes(2000))
        every = bytes(byte for byte, _, _ in bench.feeder.queue)
        for _ in range(12):
            first, already = len(bench.feeder.data()), len(bench.log)
            await bench.pulse(ctx, "crc_clear")
            await bench.start(ctx, 6, 0x100)
            for _ in range(rng.randrange(180)):
                await ctx.tick()
            await bench.pulse(ctx, "stop")
            assert not ctx.get(dut.busy)
            await ctx.tick()  # the feeder comes to know what was taken in the cycle of the pulse
            count = len(bench.feeder.data())
            await ctx.tick().repeat(20)  # the write that was under way
            assert len(bench.feeder.data()) == count, "nothing is taken after a stop"
            taken = bench.feeder.data()[first:]
            assert ctx.get(dut.crc) == zlib.crc32(taken)
            written = len(bench.log) - already
            # The fourth byte's last bit may still have been under way.
            assert written in (len(taken) // 4, (len(taken) - 1) // 4)
            for i, word in enumerate(words_of(taken)[:written]):
                assert bench.store[0x100 + i] == word
        await bench.rest(ctx)
        where = len(bench.feeder.data())
        await bench.start(ctx, 2, 0x200)
        await bench.finished(ctx)
        assert [bench.store[0x200], bench.store[0x201]] == words_of(every[where : where + 8])

    bench.run(processor)


@pytest.mark.parametrize("end", ["go", "stop"])
def test_what_waits(end):
    """It takes nothing, and shows nothing, until `go`; STOP ends that too."""
    bench = Bench(seed=70)
    dut = bench.dut
    data = bytes(range(1, 9))
    bench.put(data, end=True)

    async def processor(ctx):
        await bench.pulse(ctx, "go")  # before it is started: nothing to begin
        await bench.start(ctx, 2, 8, wait=1)
        await ctx.tick().repeat(100)
        assert ctx.get(dut.busy) and not ctx.get(dut.head_valid)
        await bench.pulse(ctx, "next")
        assert not bench.feeder.taken and not bench.log
        await bench.pulse(ctx, end)
        if end == "go":
            await bench.finished(ctx)
            assert bench.store == {8: words_of(data)[0], 9: words_of(data)[1]}
            assert ctx.get(dut.crc) == zlib.crc32(data)
        else:
            assert not ctx.get(dut.busy)
            assert await bench.take(ctx, 8) == [(byte, 0, 0) for byte in data]
        # The next move waits for nothing.
        assert await bench.take(ctx, 1) == [(0, 1, 0)]
        bench.put(data)
        await bench.start(ctx, 1, 0x80)
        await bench.finished(ctx)
        assert bench.store[0x80] == words_of(data)[0]

    bench.run(processor)


def test_bus_errors_do_not_stop_it():
    """A word to where nothing is, is lost; the others come where they belong."""
    bench = Bench(seed=60, mapped=lambda address: address != 5)
    data = bytes(range(16))
    bench.put(data)

    async def processor(ctx):
        await bench.start(ctx, 4, 4)
        await bench.finished(ctx)

    bench.run(processor)
    first, _, third, fourth = words_of(data)
    assert bench.store == {4: first, 6: third, 7: fourth}


def test_the_longest_count():
    bench = Bench()
    dut = bench.dut
    most = (1 << COUNT_BITS) - 1

    async def processor(ctx):
        await bench.start(ctx, most, 0)
        bench.put(bytes(8))
        await bench.until(ctx, lambda: len(bench.store) == 2)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.left) == most - 2 and ctx.get(dut.busy)

    bench.run(processor)


LOAD = (0xA5, 6)
CLEAR = 60


def sealed(rng):
    data = rng.randbytes(4 * LOAD[1] - 4)
    return data + zlib.crc32(data).to_bytes(4, "little")


async def load(ctx, bench, data):
    """Reset, then load these bytes, which come at once; `right` at each cycle from `go` on."""
    dut = bench.dut
    ctx.set(dut.reset, 1)
    bench.feeder.queue.clear()
    await ctx.tick().repeat(CLEAR)
    ctx.set(dut.reset, 0)
    bench.feeder.taken.clear()
    bench.log.clear()
    bench.put(data)
    await ctx.tick().repeat(30)
    assert ctx.get(dut.busy) and not bench.feeder.taken, "it waits"
    await bench.pulse(ctx, "go")
    seen = []
    while ctx.get(dut.busy):
        seen.append(ctx.get(dut.right))
        await ctx.tick()
    seen.append(ctx.get(dut.right))
    await ctx.tick()
    return [*seen, ctx.get(dut.right)]


@pytest.mark.parametrize("before", range(0, 230, 7))
def test_reset_prepares_a_load(before):
    """Whatever was under way, and whatever the CRC was."""
    bench = Bench(seed=70 + before, stall=0.2, bus_stall=12, load=LOAD)
    data = sealed(bench.rng)
    bench.put(bench.rng.randbytes(20))

    async def processor(ctx):
        await bench.start(ctx, 4, 0x33)
        for _ in range(before):
            await ctx.tick()
        *busy, last = await load(ctx, bench, data)
        assert last == 1 and not any(busy)
        assert bench.feeder.data() == data
        assert bench.log == [(LOAD[0] + i, True) for i in range(LOAD[1])]
        assert [bench.store[LOAD[0] + i] for i in range(LOAD[1])] == words_of(data)

    bench.run(processor)


def test_right_only_where_every_bit_is():
    """Of the data and of the CRC; nor of bytes that are all the same, as a dead flash gives, nor
    where less than all would be right."""
    bench = Bench(load=LOAD)
    data = sealed(bench.rng)
    short = bench.rng.randbytes(8)
    short += zlib.crc32(short).to_bytes(4, "little") + bytes(len(data) - 12)
    cases = [bytes(len(data)), b"\xff" * len(data), short]
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        cases.append(bytes(changed))

    async def processor(ctx):
        for case in cases:
            assert not any(await load(ctx, bench, case))
            # Nor later.
            await ctx.tick().repeat(5)
            assert not ctx.get(bench.dut.right)
        assert (await load(ctx, bench, data))[-1] == 1

    bench.run(processor, deadline=200_000)


def test_right_ends_with_a_reset():
    bench = Bench(load=LOAD)
    dut = bench.dut
    data = sealed(bench.rng)

    async def processor(ctx):
        assert (await load(ctx, bench, data))[-1] == 1
        await ctx.tick().repeat(50)
        assert ctx.get(dut.right)
        ctx.set(dut.reset, 1)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.right)

    bench.run(processor)
