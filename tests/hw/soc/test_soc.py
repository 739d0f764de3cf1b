# amaranth: UnusedElaboratable=no
"""`hw.soc.soc`: everything around the processor, in whose place a testbench uses the bus.

The processor itself, with firmware, runs in the simulated board; the watchdog and restarts are in
`test_soc_boot.py`.
"""

import re
import zlib

import pytest

from hw.capability import Capability
from hw.register_map import REGISTER_MAP
from hw.soc import soc
from hw.soc.addresses import FLASH_BASE
from hw.soc.soc import FIFO_BYTES, Soc
from hw.soc.stream import CRC_RESIDUE
from tests.hw.bus.helpers import FakeEngine, uart_receive, uart_send
from tests.hw.soc.helpers import IDENTIFY, content, content_word, framed
from tests.hw.soc.system import CAPABILITY, DIVISOR, System


@pytest.fixture
def system(monkeypatch):
    return System(monkeypatch)


def with_crc(data):
    return data + zlib.crc32(data).to_bytes(4, "little")


def test_time_lights_and_buttons(system):
    dut = system.dut

    async def testbench(ctx):
        times = []
        for _ in range(3):
            times.append((await system.read(ctx, "TIMER"))["timer"])
            await ctx.tick().repeat(100)
        assert times[2] - times[1] == times[1] - times[0] > 100
        for lights in (0, 0b1010101, 0b0101010):
            await system.write(ctx, "LEDS", leds=lights)
            assert (await system.read(ctx, "LEDS"))["leds"] == lights == ctx.get(dut.leds)
        for pressed in (0b1001, 0b0110, 0):
            ctx.set(dut.buttons, pressed)
            await ctx.tick().repeat(3)  # they are asynchronous
            assert (await system.read(ctx, "BUTTONS"))["buttons"] == pressed

    system.run(testbench)


def test_constants_and_latency(system):
    """A register answers in 4 cycles, and reads the same through the whole bus."""

    async def testbench(ctx):
        identity = REGISTER_MAP.register("ID")
        assert await system.bus.transfer(ctx, identity.offset // 4) == (0x4448_414D, False, 3)
        _, _, cycles = await system.bus.transfer(ctx, FLASH_BASE // 4)
        assert cycles == 131
        for nothing in (0x40_0000, 0x100, 0x1F_FFFC):
            data, error, _ = await system.bus.transfer(ctx, nothing // 4)
            assert (data, error) == (0xFFFF_FFFF, True)

    system.run(testbench)


def test_bytes_to_the_host(system):
    data = [system.rng.randrange(256) for _ in range(12)]
    got = []

    async def testbench(ctx):
        for byte in data:
            await system.wait(ctx, "UART", ready=1)
            await system.write(ctx, "UART", data=byte, send=1)
        assert not (await system.read(ctx, "UART"))["ready"], "one is sent, and one waits"
        await system.wait(ctx, "UART", ready=1)

    async def host(ctx):
        got.extend(await uart_receive(ctx, system.dut.uart_tx, len(data), divisor=DIVISOR))

    system.run(testbench, host)
    assert got == data


def test_a_frame_byte_by_byte(system):
    """Its CRC is the residue; then one that is cut, and one with a wrong bit."""
    good = with_crc(b"\0\1\2\0\xff" + system.rng.randbytes(10))
    bad = bytearray(good)
    bad[3] ^= 0x10
    line = b"\0\0" + framed(good) + b"\0" + framed(good)[:9] + b"\0" + framed(bytes(bad))

    async def testbench(ctx):
        for expected, cut in ((good, 0), (None, 1), (bytes(bad), 0)):
            await system.write(ctx, "CRC_FEED", clear=1)
            data = bytearray()
            while True:
                byte, end, was_cut = await system.take(ctx)
                if end:
                    break
                data.append(byte)
            assert was_cut == cut
            crc = (await system.read(ctx, "CRC"))["crc"]
            assert crc == zlib.crc32(data)
            assert (crc == CRC_RESIDUE) == (expected is good)
            assert expected is None or data == expected
        assert not (await system.read(ctx, "STREAM"))["valid"]
        assert not (await system.read(ctx, "UART"))["overrun"]

    system.run(testbench, system.host(line))


def test_crc_of_what_is_fed(system):
    data = system.rng.randbytes(20)

    async def testbench(ctx):
        await system.write(ctx, "CRC_FEED", clear=1)
        for byte in data:
            await system.write(ctx, "CRC_FEED", data=byte, feed=1)
            await ctx.tick().repeat(8)
        assert (await system.read(ctx, "CRC"))["crc"] == zlib.crc32(data)

    system.run(testbench)


def test_the_next_image_comes_while_a_frame_runs(monkeypatch):
    """The DMA writes; the processor's next access waits until the frame is over."""
    monkeypatch.setattr(FakeEngine, "FRAME", 3000)
    system = System(monkeypatch, seed=3)
    head, image = b"\7\1\0\0", system.rng.randbytes(40)
    packet = with_crc(head + image)
    ends = []

    async def testbench(ctx):
        await system.write(ctx, "CRC_FEED", clear=1)
        assert [(await system.take(ctx))[0] for _ in head] == list(head)
        await system.move(ctx, "IMAGE", 2, len(image) // 4)
        await system.write(ctx, "CONTROL", start=1)
        status = await system.read(ctx, "STATUS")  # asked during the frame, answered behind it
        assert status == {"busy": 0, "done": 1, "layer": 7}
        assert ends == ["image", "frame"]
        assert await system.read(ctx, "DMA_STATUS") == {"busy": 0, "end": 0}
        for byte in packet[-4:]:
            assert await system.take(ctx) == (byte, 0, 0)
        assert await system.take(ctx) == (0, 1, 0)
        assert (await system.read(ctx, "CRC"))["crc"] == CRC_RESIDUE

    async def watch(ctx):
        words = [int.from_bytes(image[i : i + 4], "little") for i in range(0, len(image), 4)]
        while not ctx.get(system.engine.host.busy):
            await ctx.tick()
        while system.memory(ctx, "IMAGE", 2, len(words)) != words:
            await ctx.tick()
        assert ctx.get(system.engine.host.busy)
        ends.append("image")
        while ctx.get(system.engine.host.busy):
            await ctx.tick()
        ends.append("frame")

    system.run(testbench, system.host(framed(packet)), watch)


@pytest.mark.parametrize("frame", [900, 5000])
@pytest.mark.parametrize("before", [None, 700, 5000])
def test_the_dma_waits(monkeypatch, before, frame):
    """All bytes are there before the frame begins, and come to memory from its 1024th cycle on;
    or, where it is shorter, when it is over. What the frame before was does not matter."""
    monkeypatch.setattr(soc, "AHEAD_CYCLES", 1024)
    monkeypatch.setattr(FakeEngine, "FRAME", frame)
    system = System(monkeypatch, seed=4)
    image = bytes(range(1, 41))
    words = [int.from_bytes(image[i : i + 4], "little") for i in range(0, len(image), 4)]
    seen = []

    async def testbench(ctx):
        if before is not None:
            await system.write(ctx, "CONTROL", start=1)
            await ctx.tick().repeat(before)
            await system.write(ctx, "CONTROL", reset=1)
            await system.wait(ctx, "STATUS", busy=0)
        await system.move(ctx, "IMAGE", 0, len(words), wait=1)
        for _ in range(4):
            await ctx.tick().repeat(500)
            assert await system.read(ctx, "DMA_STATUS") == {"busy": 1, "end": 0}
        assert system.memory(ctx, "IMAGE", 0, len(words)) == [0] * len(words)
        seen.append("armed")
        await system.write(ctx, "CONTROL", start=1)
        await system.wait(ctx, "DMA_STATUS", busy=0)
        assert system.memory(ctx, "IMAGE", 0, len(words)) == words
        # The first word is 4 bytes, 9 cycles each; then the bus.
        assert 36 < seen[-1] - min(frame, 1024) < 60
        assert await system.take(ctx) == (0, 1, 0)

    async def watch(ctx):
        while not (seen and ctx.get(system.engine.host.busy)):
            await ctx.tick()
        cycles = 0
        while system.memory(ctx, "IMAGE", 0, 1) == [0]:
            await ctx.tick()
            cycles += 1
        seen.append(cycles)

    system.run(testbench, system.host(framed(image)), watch)


def test_dma_at_the_end_of_a_frame(system):
    """The frame is shorter than what was asked for: END says so, and STOP ends it."""

    async def testbench(ctx):
        await system.move(ctx, "IMAGE", 0, 5)
        await system.wait(ctx, "DMA_STATUS", busy=1, end=1)
        assert not (await system.read(ctx, "STREAM"))["valid"]
        await system.write(ctx, "DMA", stop=1)
        assert await system.take(ctx) == (0, 1, 0)
        assert await system.read(ctx, "DMA_STATUS") == {"busy": 0, "end": 0}
        assert system.memory(ctx, "IMAGE", 0, 3) == [0x0403_0201, 0x0807_0605, 0]

    system.run(testbench, system.host(framed(bytes(range(1, 11)))))


def test_flash_to_memory(system):
    """What comes on the UART meanwhile waits behind it."""
    address, words = 0x03_4560, 9

    async def testbench(ctx):
        await system.write(ctx, "CRC_FEED", clear=1)
        await system.begin(ctx, address)
        await system.move(ctx, "WEIGHTS", 7, words)
        await system.wait(ctx, "DMA_STATUS", busy=0)
        # And some for the processor.
        assert [await system.take(ctx) for _ in range(3)] == [
            (content(address + 4 * words + i), 0, 0) for i in range(3)
        ]
        await system.write(ctx, "FLASH", stop=1)
        await system.wait(ctx, "FLASH", busy=0)
        data = bytes(content(address + i) for i in range(4 * words + 3))
        assert (await system.read(ctx, "CRC"))["crc"] == zlib.crc32(data)
        found = system.memory(ctx, "WEIGHTS", 6, words + 2)
        assert found == [0, *(content_word(address + 4 * i) for i in range(words)), 0]
        assert await system.bus.read(ctx, (FLASH_BASE + 0x44) // 4) == content_word(0x44)
        assert [await system.take(ctx) for _ in range(3)] == [(104, 0, 0), (105, 0, 0), (0, 1, 0)]

    system.run(testbench, system.host(framed(b"hi")))


def test_dma_never_writes_a_register(system):
    """A processor astray may aim it anywhere; what it writes then lies in a window."""
    address, target = 0x01_2340, REGISTER_MAP.register("LEDS").offset // 4

    async def testbench(ctx):
        await system.write(ctx, "LEDS", leds=0b101)
        await system.begin(ctx, address)
        await system.write(ctx, "DMA_TARGET", word=target, load=1)
        await system.write(ctx, "DMA", words=3, start=1)
        await system.wait(ctx, "DMA_STATUS", busy=0)
        await system.write(ctx, "FLASH", stop=1)
        assert (await system.read(ctx, "LEDS"))["leds"] == 0b101
        found = system.memory(ctx, "WEIGHTS", target, 3)
        assert found == [content_word(address + 4 * i) for i in range(3)]

    system.run(testbench)


def test_flash_by_hand(system):
    async def testbench(ctx):
        await system.write(ctx, "FLASH", select=1)
        got = []
        for byte in (IDENTIFY, 0, 0, 0):
            await system.write(ctx, "FLASH", data=byte, send=1)
            await system.wait(ctx, "FLASH", busy=0)
            got.append((await system.read(ctx, "STREAM"))["data"])
        assert got[1:] == [0xEF, 0x40, 0x18]
        await system.write(ctx, "FLASH", stop=1)
        assert await system.bus.read(ctx, FLASH_BASE // 4) == content_word(0)
        assert [one[0] for one in system.chip.commands] == [0x03, IDENTIFY, 0x03]

    system.run(testbench)


def test_overrun(monkeypatch):
    """Nobody reads: the first bytes are kept, the loss is told, and the next frame is whole."""
    monkeypatch.setattr(soc, "FIFO_BYTES", 16)
    system = System(monkeypatch, seed=5)
    assert FIFO_BYTES == 512, "one block RAM"
    long = bytes(range(1, 41))

    async def testbench(ctx):
        await ctx.tick().repeat(10 * DIVISOR * 50)
        assert (await system.read(ctx, "UART"))["overrun"]
        await system.write(ctx, "UART", overrun_clear=1)
        assert (await system.read(ctx, "UART"))["overrun"], "a byte still waits for room"
        got = []
        while (await system.read(ctx, "STREAM"))["valid"]:
            got.append(await system.take(ctx))
            await ctx.tick().repeat(10)  # the next one shows when this has gone through the CRC
        # One in the decoder, 16 in the FIFO, one in the receiver; the code byte gives none.
        assert got[:17] == [(byte, 0, 0) for byte in long[:17]]
        assert len(got) <= 20
        await system.write(ctx, "UART", overrun_clear=1)
        assert not (await system.read(ctx, "UART"))["overrun"]
        ctx.set(system.dut.uart_rx, 1)
        await uart_send(ctx, system.dut.uart_rx, b"\0" + framed(b"ok"), divisor=DIVISOR)
        while not (token := await system.take(ctx))[1]:
            assert token[0] != 0
        assert [await system.take(ctx) for _ in range(3)] == [(111, 0, 0), (107, 0, 0), (0, 1, 0)]

    system.run(testbench, system.host(framed(long)))


@pytest.mark.parametrize(
    "changes, text",
    [
        (
            {"capability": Capability()},
            "The processor's memory must have at least 16384 bytes, not 0",
        ),
        ({"clock_hz": 0}, "Clock must be positive, not 0"),
        (
            {"baud": 3_000_000},
            "Baud rate 3000000 must be at most a 4th of the clock: 1000000 at 4 MHz",
        ),
    ],
)
def test_wrong_parameters(changes, text):
    values = {"capability": CAPABILITY, "clock_hz": 4_000_000, "baud": 1_000_000, **changes}
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Soc(engine=FakeEngine(), **values)
