# amaranth: UnusedElaboratable=no
"""`hw.soc.soc`: the firmware that is loaded and checked, watchdog, restarts, the two copies."""

import random

import pytest

from hw.register_map import REGISTER_MAP
from hw.soc import boot, soc
from hw.soc.addresses import FIRMWARE_BYTES, FIRMWARE_COPIES, FLASH_BASE
from hw.soc.soc import FAILURE
from tests.hw.bus.helpers import FakeEngine, uart_receive
from tests.hw.soc.helpers import content_word, framed
from tests.hw.soc.system import (
    CLEAR,
    DIVISOR,
    LATE,
    START,
    WORDS,
    Endless,
    System,
    firmware,
    with_firmware,
)

FIRST_BYTE, BYTE = 82, 18  # of a sequential read, cycles: tests/hw/soc/test_flash.py

LOADED = CLEAR + 1 + FIRST_BYTE + BYTE * (4 * WORDS - 1) + 9 + 4 + 2
"""Cycles from a start to the first one of the processor: the request of the read, its bytes, the
last one's way through the CRC, the last word's over the bus, and the comparison."""


@pytest.fixture
def system(monkeypatch):
    return System(monkeypatch)


def words_of(copy):
    data = firmware(copy)
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


def read_of(copy):
    return [0x03, *FIRMWARE_COPIES[copy].to_bytes(3, "big")]


async def until(ctx, signal, value=1, limit=3 * LATE):
    """Cycles until a signal has a value."""
    for cycles in range(limit):
        if ctx.get(signal) == value:
            return cycles
        await ctx.tick()
    raise AssertionError("it does not come")


def test_the_firmware_is_loaded_before_the_first_instruction(system):
    """One sequential read; the words are in memory, nothing else is; and the flash rests."""

    async def testbench(ctx):
        assert system.processor.reset_address == START
        assert not any(system.memory(ctx, "WEIGHTS", 0, 64))
        assert await until(ctx, system.processor.hold, 0) == LOADED
        assert ctx.get(system.dut.leds) == 0b10
        assert system.memory(ctx, "WEIGHTS", 0, WORDS + 2) == [*words_of(0), 0, 0]
        await ctx.tick().repeat(20)
        assert ctx.get(system.dut.flash_cs_n)
        [command] = system.chip.commands
        assert command[:4] == read_of(0)
        assert 4 + 4 * WORDS <= len(command) <= 4 + 4 * WORDS + 2
        assert not (await system.read(ctx, "DMA_STATUS"))["busy"]
        assert (await system.read(ctx, "TIMER"))["timer"] < LOADED + 60
        await system.write(ctx, "BOOT", alive=1)
        assert await system.read(ctx, "BOOT") == {"alive": 0, "copy": 0, "restart": 0}
        await ctx.tick()
        assert ctx.get(system.dut.leds) == 0

    system.run(testbench, alive=False, held=True)
    assert LOADED + BYTE * (FIRMWARE_BYTES - 4 * WORDS) == 147_792, "what docs/soc.md says"


@pytest.mark.parametrize("bit", [0, 37, 8 * 4 * WORDS - 32, 8 * 4 * WORDS - 1])
def test_a_bit_of_the_first_copy(monkeypatch, bit):
    """Of the code or of its CRC: nothing of it is run, "!" is sent once, the second one runs."""
    system = System(monkeypatch, flash=with_firmware({0: bit}))
    told = []

    async def testbench(ctx):
        for _ in range(LATE + 1):
            assert ctx.get(system.processor.hold)
            await ctx.tick()
        assert await until(ctx, system.processor.hold, 0) == LOADED
        assert system.memory(ctx, "WEIGHTS", 0, WORDS + 1) == [*words_of(1), 0]
        assert [one[:4] for one in system.chip.commands] == [read_of(0), read_of(1)]
        await system.write(ctx, "BOOT", alive=1)
        assert (await system.read(ctx, "BOOT"))["copy"] == 1
        await ctx.tick()
        assert ctx.get(system.dut.leds) == 0
        await ctx.tick().repeat(3 * LATE)

    async def host(ctx):
        told.extend(await uart_receive(ctx, system.dut.uart_tx, 1, divisor=DIVISOR))
        for _ in range(3 * LATE):
            assert ctx.get(system.dut.uart_tx)
            await ctx.tick()

    system.run(testbench, host, alive=False, held=True)
    assert told == [FAILURE] == [0x21]


def test_a_bit_of_the_second_copy(monkeypatch):
    """Nobody reads it."""
    system = System(monkeypatch, flash=with_firmware({1: 5}))

    async def testbench(ctx):
        assert await until(ctx, system.processor.hold, 0) == LOADED
        await system.write(ctx, "BOOT", alive=1)
        await ctx.tick().repeat(3 * LATE)
        assert not ctx.get(system.processor.hold) and len(system.chip.commands) == 1

    system.run(testbench, alive=False, held=True)


def noise(address):
    return random.randrange(256)


@pytest.mark.parametrize(
    "flash",
    [
        with_firmware({0: 5, 1: 5}),
        with_firmware({0: 0, 1: 8 * 4 * WORDS - 1}),
        lambda address: 0xFF,
        lambda address: 0,
        noise,
    ],
    ids=["damaged", "differently", "erased or asleep", "zeros", "noise"],
)
def test_no_sound_copy(monkeypatch, flash):
    """No processor, a steady red light, and a regular "!", which always has gone out."""
    system = System(monkeypatch, flash=flash)
    dut = system.dut
    strikes, told = [], []

    async def testbench(ctx):
        for _ in range(4):
            strikes.append(0)
            for _ in range(LATE + 1):
                assert ctx.get(system.processor.hold)
                assert ctx.get(dut.leds) == 0b10 or strikes == [0]  # a cycle late, from a register
                strikes[-1] += 1
                await ctx.tick()
        assert [one[:4] for one in system.chip.commands] == 2 * [read_of(0), read_of(1)]

    async def host(ctx):
        told.extend(await uart_receive(ctx, dut.uart_tx, 3, divisor=DIVISOR))

    system.run(testbench, host, alive=False, held=True)
    assert told == 3 * [FAILURE]


def test_a_watchdog_that_strikes_while_it_loads(monkeypatch):
    """Another load, from its beginning, and nothing is run meanwhile."""
    system = System(monkeypatch)
    monkeypatch.setattr(boot, "FIRST_ALIVE_BIT", 9)
    assert CLEAR + FIRST_BYTE + BYTE < 1 << 9 < LOADED

    async def testbench(ctx):
        for copy in (0, 1, 0, 1):
            for _ in range((1 << 9) + 1):
                assert ctx.get(system.processor.hold)
                await ctx.tick()
            assert system.memory(ctx, "WEIGHTS", 0, 2) == words_of(copy)[:2]
            assert [one[:4] for one in system.chip.commands][-1] == read_of(copy)
        assert len(system.chip.commands) == 4

    system.run(testbench, alive=False, held=True)


def test_without_life(system):
    """Both copies are sound, but do not say that they live: loaded in turn, "!" each time."""
    dut = system.dut
    failures = []

    async def testbench(ctx):
        for copy in (0, 1, 0, 1):
            assert ctx.get(dut.leds) == 0b10
            assert (await system.read(ctx, "BOOT"))["copy"] == copy
            assert system.memory(ctx, "WEIGHTS", 0, WORDS) == words_of(copy)
            # The flash's addresses are its own, whatever the copy.
            word = await system.bus.read(ctx, (FLASH_BASE + FIRMWARE_COPIES[0]) // 4)
            assert word == words_of(0)[0]
            await until(ctx, system.processor.hold)
            await until(ctx, system.processor.hold, 0)
        await system.write(ctx, "BOOT", alive=1)
        assert (await system.read(ctx, "BOOT"))["copy"] == 0
        await ctx.tick()
        assert ctx.get(dut.leds) == 0

    async def host(ctx):
        failures.extend(await uart_receive(ctx, dut.uart_tx, 4, divisor=DIVISOR))

    system.run(testbench, host, alive=False)
    assert failures == [FAILURE] * 4


def test_bytes_of_the_host_while_it_loads(system):
    """They wait, and are nothing that is loaded."""
    data = b"\1\2\3hello"

    async def testbench(ctx):
        assert system.memory(ctx, "WEIGHTS", 0, WORDS + 2) == [*words_of(0), 0, 0]
        got = [await system.take(ctx) for _ in range(len(data) + 1)]
        assert got == [*((byte, 0, 0) for byte in data), (0, 1, 0)]

    system.run(testbench, system.host(framed(data)))


@pytest.mark.parametrize("before", [1, 20, 60, 100, 125, 131])
def test_a_fetch_under_way_when_the_watchdog_strikes(system, before):
    """It disturbs nothing, and is not taken for the first instruction after the reset."""

    async def testbench(ctx):
        pins = system.processor.bus
        timer = REGISTER_MAP.register("TIMER").offset // 4
        now = await system.bus.read(ctx, timer)
        await ctx.tick().repeat(LATE - now - before)
        ctx.set(pins.adr, (FLASH_BASE + 0x40) // 4)
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
        assert LOADED - 2 <= await until(ctx, system.processor.hold, 0) <= LOADED
        assert not ctx.get(pins.ack)
        assert system.memory(ctx, "WEIGHTS", 0, WORDS) == words_of(1)
        assert await system.bus.read(ctx, FLASH_BASE // 4) == content_word(0)

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
        await until(ctx, system.processor.hold)
        # The write that asked for it has been answered meanwhile.
        assert await until(ctx, system.processor.hold, 0) == LOADED - 2
        assert await system.read(ctx, "BOOT") == {"alive": 0, "copy": 0, "restart": 0}
        assert (await system.read(ctx, "TIMER"))["timer"] < LOADED + 50
        assert not (await system.read(ctx, "DMA_STATUS"))["busy"]
        assert system.memory(ctx, "WEIGHTS", 0, WORDS) == words_of(0)
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
    monkeypatch.setattr(soc, "_ENDLESS_BIT", 9)
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
        assert system.memory(ctx, "WEIGHTS", 0, WORDS) == words_of(1)
        assert [one[0] for one in system.chip.commands] == [0x03, 0x05, 0x03]

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
        await until(ctx, system.processor.hold, limit=1 << 15)
        await until(ctx, system.processor.hold, 0)
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
        ctx.set(pins.adr, (FLASH_BASE + 0x200) // 4)
        ctx.set(pins.we, write)
        ctx.set(pins.cyc, 1)
        ctx.set(pins.stb, 1)
        while not ctx.get(system.processor.hold):
            assert not ctx.get(pins.ack)
            await ctx.tick()
        ctx.set(pins.cyc, 0)
        ctx.set(pins.stb, 0)
        ctx.set(pins.we, 0)
        assert await until(ctx, system.processor.hold, 0) == LOADED
        assert system.memory(ctx, "WEIGHTS", 0, WORDS) == words_of(1)
        assert await system.bus.read(ctx, FLASH_BASE // 4) == content_word(0)
        assert ctx.get(dut.flash_cs_n) and not (await system.read(ctx, "FLASH"))["busy"]

    system.run(testbench, alive=False)
