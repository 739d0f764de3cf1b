# amaranth: UnusedElaboratable=no
"""`hw.soc.soc`: watchdog, restarts, and the copies of the firmware."""

import pytest

from hw.regmap import REGISTER_MAP
from hw.soc import boot, soc
from hw.soc.memory import COPY_DISTANCE, FIRMWARE_COPIES
from hw.soc.soc import FAILURE
from tests.hw.bus.helpers import FakeEngine, uart_receive
from tests.hw.soc.helpers import content, content_word
from tests.hw.soc.system import DIVISOR, LATE, START, Endless, System


@pytest.fixture
def system(monkeypatch):
    return System(monkeypatch)


def test_without_life(system):
    """The copies in turn, "!" each time, red light on, and the flash's copies swapped."""
    dut = system.dut
    first, second = FIRMWARE_COPIES
    failures = []

    async def testbench(ctx):
        assert system.processor.reset_address == START
        for copy in (0, 1, 0, 1):
            assert ctx.get(dut.leds) == 0b10
            assert (await system.read(ctx, "BOOT"))["copy"] == copy
            word = await system.bus.read(ctx, START // 4)
            assert word == content_word(second if copy else first)
            if copy:
                assert await system.bus.read(ctx, (START + COPY_DISTANCE) // 4) == content_word(
                    first
                )
            while not ctx.get(system.processor.hold):
                await ctx.tick()
            while ctx.get(system.processor.hold):
                await ctx.tick()
        await system.write(ctx, "BOOT", alive=1)
        assert await system.read(ctx, "BOOT") == {"alive": 0, "copy": 0, "restart": 0}
        assert await system.bus.read(ctx, START // 4) == content_word(first)
        await ctx.tick()
        assert ctx.get(dut.leds) == 0

    async def host(ctx):
        for _ in range(4):
            failures.extend(await uart_receive(ctx, dut.uart_tx, 1, divisor=DIVISOR))

    system.run(testbench, host, alive=False)
    assert failures == [FAILURE] * 4 == [0x21] * 4


def test_alive_in_the_second_copy(system):
    """From then on addresses are the flash's own."""
    first, second = FIRMWARE_COPIES

    async def testbench(ctx):
        while not ctx.get(system.processor.hold):
            await ctx.tick()
        while ctx.get(system.processor.hold):
            await ctx.tick()
        assert await system.bus.read(ctx, START // 4) == content_word(second)
        await system.begin(ctx, first + 0x200)  # as the boot program does
        assert await system.take(ctx) == (content(second + 0x200), 0, 0)
        await system.write(ctx, "FLASH", stop=1)
        await system.write(ctx, "BOOT", alive=1)
        assert (await system.read(ctx, "BOOT"))["copy"] == 1
        assert await system.bus.read(ctx, START // 4) == content_word(first)

    system.run(testbench, alive=False)


@pytest.mark.parametrize("before", [1, 20, 60, 100, 125, 131])
def test_a_fetch_under_way_when_the_watchdog_strikes(system, before):
    """It is not taken for the first instruction after the reset."""

    async def testbench(ctx):
        pins = system.processor.bus
        timer = REGISTER_MAP.register("TIMER").offset // 4
        now = await system.bus.read(ctx, timer)
        await ctx.tick().repeat(LATE - now - before)
        ctx.set(pins.adr, (START + 0x40) // 4)
        ctx.set(pins.cyc, 1)
        ctx.set(pins.stb, 1)
        while not ctx.get(system.processor.hold):
            if ctx.get(pins.ack):
                ctx.set(pins.cyc, 0)
                ctx.set(pins.stb, 0)
            await ctx.tick()
        # In reset SERV asks for nothing, and its address is any.
        ctx.set(pins.cyc, 0)
        ctx.set(pins.stb, 0)
        ctx.set(pins.adr, 0)
        while ctx.get(system.processor.hold):
            await ctx.tick()
        assert not ctx.get(pins.ack) and not ctx.get(system.dut.flash_sck)
        assert await system.bus.read(ctx, START // 4) == content_word(FIRMWARE_COPIES[1])

    system.run(testbench, alive=False)


@pytest.mark.parametrize("late_bit", [0, 1])
def test_restart(monkeypatch, late_bit):
    """DMA, sequential read and frame end, the first copy is taken, and no failure is told."""
    monkeypatch.setattr(FakeEngine, "FRAME", 3000)
    system = System(monkeypatch, seed=7)
    dut = system.dut
    sent = []

    async def testbench(ctx):
        await system.begin(ctx, 0x1000)
        await system.move(ctx, "IMAGE", 0, 60)
        while (await system.read(ctx, "TIMER"))["timer"] & LATE != LATE * late_bit:
            pass
        await system.write(ctx, "BOOT", restart=1)
        while not ctx.get(system.processor.hold):
            await ctx.tick()
        while ctx.get(system.processor.hold):
            await ctx.tick()
        assert await system.read(ctx, "BOOT") == {"alive": 0, "copy": 0, "restart": 0}
        assert (await system.read(ctx, "TIMER"))["timer"] < 300
        assert not (await system.read(ctx, "DMA_STATUS"))["busy"]
        assert not (await system.read(ctx, "FLASH"))["busy"]
        assert ctx.get(dut.leds) == 0b10
        await system.write(ctx, "BOOT", alive=1)
        assert sent == []

    async def line(ctx):
        for _ in range(3 * LATE):
            if not ctx.get(dut.uart_tx):
                sent.append(1)
            await ctx.tick()

    system.run(testbench, line)


def test_a_restart_ends_a_frame(monkeypatch):
    """Only the watchdog can strike then: the processor, not alive, stands still."""
    system = System(monkeypatch, engine=Endless(), seed=9)

    async def testbench(ctx):
        host = system.engine.host
        while ctx.get(host.busy):  # it begins by emptying its pipeline
            await ctx.tick()
        await system.write(ctx, "CONTROL", start=1)
        while not ctx.get(system.processor.hold):
            assert ctx.get(host.busy)
            await ctx.tick()
        while ctx.get(system.processor.hold):
            await ctx.tick()
        assert (await system.read(ctx, "BOOT"))["copy"] == 1
        assert not ctx.get(host.busy)

    system.run(testbench, alive=False)


def test_a_frame_that_never_ends(monkeypatch):
    """It is aborted, once: the processor goes on, and the next frame starts as ever."""
    monkeypatch.setattr(soc, "_WATCHDOG_BIT", 9)
    system = System(monkeypatch, engine=Endless(), seed=8)

    async def testbench(ctx):
        host = system.engine.host
        for _ in range(2):
            await system.write(ctx, "CONTROL", start=1)
            status = await system.read(ctx, "STATUS")  # answered when it is over
            assert (status["busy"], status["done"]) == (0, 0)
            assert (await system.read(ctx, "CYCLES"))["cycles"] >= 512
            for _ in range(500):
                assert not ctx.get(host.busy)
                await ctx.tick()

    system.run(testbench)


def test_silence(monkeypatch):
    """A processor that hangs, in the middle of a flash command, is started anew from the other
    copy, and the flash understands it."""
    monkeypatch.setattr(boot, "SILENCE_BIT", 12)
    system = System(monkeypatch, seed=10)
    dut = system.dut

    async def testbench(ctx):
        await system.write(ctx, "FLASH", select=1)
        await system.write(ctx, "FLASH", data=0x05, send=1)
        await system.wait(ctx, "FLASH", busy=0)
        assert not ctx.get(dut.flash_cs_n)
        for _ in range(3):
            await ctx.tick().repeat(3000)
            await system.write(ctx, "BOOT", alive=1)
        while not ctx.get(system.processor.hold):
            assert ctx.get(dut.leds) == 0
            await ctx.tick()
        while ctx.get(system.processor.hold):
            await ctx.tick()
        assert (await system.read(ctx, "BOOT"))["copy"] == 1 and ctx.get(dut.leds) == 0b10
        assert await system.bus.read(ctx, START // 4) == content_word(FIRMWARE_COPIES[1])
        assert [one[0] for one in system.chip.commands] == [0x05, 0x03]

    system.run(testbench)


def test_a_long_frame_is_no_silence(monkeypatch):
    monkeypatch.setattr(boot, "SILENCE_BIT", 12)
    monkeypatch.setattr(FakeEngine, "FRAME", 5 << 12)
    system = System(monkeypatch, seed=11)

    async def testbench(ctx):
        await system.write(ctx, "CONTROL", start=1)
        for _ in range(4 << 12):
            assert not ctx.get(system.processor.hold)
            await ctx.tick()

    system.run(testbench)


def test_frames_without_an_end(monkeypatch):
    """REPEAT, which only damaged code asks for: the processor stands still until the watchdog."""
    monkeypatch.setattr(boot, "SILENCE_BIT", 12)
    system = System(monkeypatch, seed=12)

    async def testbench(ctx):
        await system.write(ctx, "CONTROL", start=1, repeat=1)
        while not ctx.get(system.processor.hold):
            await ctx.tick()
        while ctx.get(system.processor.hold):
            await ctx.tick()
        assert not ctx.get(system.engine.host.busy)
        assert (await system.read(ctx, "BOOT"))["copy"] == 1
        await system.write(ctx, "CONTROL", start=1)
        assert (await system.read(ctx, "STATUS"))["done"] == 1

    system.run(testbench)


@pytest.mark.parametrize("write", [0, 1])
def test_a_flash_access_that_waits_for_ever(system, write):
    """One during a sequential read that nobody ends. After the watchdog's restart it is still at
    the controller, and if it is a write, it begins another one: that ends before the processor
    starts."""
    dut = system.dut

    async def testbench(ctx):
        pins = system.processor.bus
        await system.begin(ctx, 0x1000)
        await ctx.tick().repeat(LATE // 4)
        ctx.set(pins.adr, (START + 0x200) // 4)
        ctx.set(pins.we, write)
        ctx.set(pins.cyc, 1)
        ctx.set(pins.stb, 1)
        while not ctx.get(system.processor.hold):
            assert not ctx.get(pins.ack)
            await ctx.tick()
        ctx.set(pins.cyc, 0)
        ctx.set(pins.stb, 0)
        ctx.set(pins.we, 0)
        while ctx.get(system.processor.hold):
            await ctx.tick()
        assert ctx.get(dut.flash_cs_n) and not (await system.read(ctx, "FLASH"))["busy"]
        assert await system.bus.read(ctx, START // 4) == content_word(FIRMWARE_COPIES[1])

    system.run(testbench, alive=False)
