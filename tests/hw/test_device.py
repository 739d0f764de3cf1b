# amaranth: UnusedElaboratable=no

import re

import pytest

from hw.bus.wishbone import UNMAPPED
from hw.capability import Capability
from hw.device import ADDRESS_WIDTH, Device
from hw.engine.interface import Region
from hw.pll import solve_pll
from hw.regmap import REGISTER_MAP, constant_words
from hw.top import BoardTop, Core
from tests.hw.bus.helpers import (
    Bus,
    FakeEngine,
    command,
    seeded,
    simulate,
    uart_receive,
    uart_send,
    words_of,
)

CLOCK_HZ = 36_000_000


def build(clock_hz=CLOCK_HZ):
    return Device(engine=FakeEngine(), capability=Capability(), clock_hz=clock_hz)


def word_address(name):
    return REGISTER_MAP.register(name).offset // 4


def window_address(name):
    return REGISTER_MAP.window(name).base // 4


def test_constant_registers():
    dut = build()
    bus = Bus(dut.bus)

    async def host(ctx):
        words = constant_words(capability=Capability(), clock_hz=CLOCK_HZ)
        assert words["ID"] == 0x4448414D
        for name, word in words.items():
            assert await bus.read(ctx, word_address(name)) == word, name

    simulate(dut, testbenches=[host])


def test_windows_reach_their_own_memory():
    rng = seeded(2)
    dut = build()
    bus = Bus(dut.bus)

    async def host(ctx):
        words = {}
        for window in REGISTER_MAP.windows:
            for index in range(FakeEngine.DEPTH):
                address = window.base // 4 + index
                word = rng.randrange(1 << 32)
                _, error, _ = await bus.transfer(ctx, address, word)
                assert error == (window.access == "ro")
                words[address] = 0 if error else word
        for address, word in rng.sample(sorted(words.items()), len(words)):
            assert await bus.read(ctx, address) == word, hex(address)

    simulate(dut, testbenches=[host])


def test_frame():
    dut = build()
    bus = Bus(dut.bus)
    engine = dut._engine

    async def status(ctx):
        return REGISTER_MAP.register("STATUS").unpack(await bus.read(ctx, word_address("STATUS")))

    async def host(ctx):
        control = REGISTER_MAP.register("CONTROL")
        ctx.set(engine.memory.data[Region.LOGITS * FakeEngine.DEPTH + 3], 0xFFFF_FFFE)
        await bus.write(ctx, window_address("IMAGE"), 5)
        assert await status(ctx) == {"busy": 0, "done": 0, "layer": 0}
        await bus.write(ctx, word_address("CONTROL"), control.pack(start=1))
        assert (await status(ctx))["busy"] == 1
        await ctx.tick().repeat(FakeEngine.FRAME)
        assert await status(ctx) == {"busy": 0, "done": 1, "layer": 7}
        assert await bus.read(ctx, word_address("FRAMES")) == 1
        assert await bus.read(ctx, word_address("CYCLES")) == FakeEngine.FRAME
        assert await bus.read(ctx, word_address("CLASS")) == (5 + 0xFF) & 0xFF
        assert await bus.read(ctx, window_address("LOGITS") + 3) == 0xFFFF_FFFE

        await bus.write(ctx, word_address("STOP_AFTER"), 2)
        await bus.write(ctx, word_address("CONTROL"), control.pack(start=1))
        await bus.write(ctx, word_address("CONTROL"), control.pack(reset=1))
        assert await status(ctx) == {"busy": 0, "done": 0, "layer": 7}
        assert await bus.read(ctx, word_address("FRAMES")) == 0

        await bus.write(ctx, word_address("CONTROL"), control.pack(start=1, repeat=1))
        assert await bus.read(ctx, word_address("CONTROL")) == control.pack(repeat=1)
        await ctx.tick().repeat(10 * FakeEngine.FRAME)
        await bus.write(ctx, word_address("CONTROL"), 0)
        await ctx.tick().repeat(2 * FakeEngine.FRAME)
        assert await status(ctx) == {"busy": 0, "done": 1, "layer": 7}
        assert await bus.read(ctx, word_address("FRAMES")) in (10, 11)
        assert await bus.read(ctx, word_address("CLASS")) == 7

        await bus.write(ctx, word_address("NETWORK"), 0x89ABCDEF)
        assert await bus.read(ctx, word_address("NETWORK")) == 0x89ABCDEF

    simulate(dut, testbenches=[host])


@pytest.mark.parametrize("seed", range(2))
def test_unmapped_addresses_answer(seed):
    rng = seeded(seed)
    dut = build()
    bus = Bus(dut.bus)
    windows = [(one.base // 4, (one.base + one.size) // 4) for one in REGISTER_MAP.windows]

    async def host(ctx):
        for _ in range(200):
            address = rng.choice([
                rng.randrange(1 << ADDRESS_WIDTH),
                REGISTER_MAP.bytes // 4 + rng.randrange(8),
                windows[-1][1] + rng.randrange(8),
            ])  # fmt: skip
            inside = any(low <= address < high for low, high in windows)
            data, error, _ = await bus.transfer(ctx, address)
            assert error == (not inside and address >= REGISTER_MAP.bytes // 4)
            assert not error or data == UNMAPPED

    simulate(dut, testbenches=[host])


def test_core_over_its_uart():
    """The whole way: UART, bridge, decoder, registers, windows, engine."""
    divisor = 4
    engine = FakeEngine()
    dut = Core(engine=engine, capability=Capability(), clock_hz=4_000_000, baud=1_000_000)

    async def ask(ctx, address, count):
        await uart_send(ctx, dut.uart_rx, command(2, address, count), divisor=divisor)
        return words_of(await uart_receive(ctx, dut.uart_tx, 4 * count, divisor=divisor))

    async def tell(ctx, address, words):
        data = command(1, address, len(words), words)
        await uart_send(ctx, dut.uart_rx, data, divisor=divisor)

    async def host(ctx):
        await ctx.tick().repeat(10)
        assert await ask(ctx, 0, 3) == [0x4448414D, 0x1_0000, 4_000_000]
        # Back to back, without a pause between commands.
        await tell(ctx, window_address("WEIGHTS"), [0x11111111, 0x22222222, 0x33333333])
        await tell(ctx, window_address("IMAGE"), [0x44444444])
        assert await ask(ctx, window_address("WEIGHTS"), 3) == [0x11111111, 0x22222222, 0x33333333]
        assert await ask(ctx, window_address("IMAGE"), 1) == [0x44444444]
        assert not ctx.get(dut.led_busy) and not ctx.get(dut.led_done)
        await tell(ctx, word_address("CONTROL"), [1])
        await ctx.tick().repeat(20)
        assert ctx.get(dut.led_busy)
        await ctx.tick().repeat(FakeEngine.FRAME)
        assert not ctx.get(dut.led_busy) and ctx.get(dut.led_done)
        assert await ask(ctx, word_address("CLASS"), 1) == [0x43]
        assert await ask(ctx, 1 << 24, 2) == [UNMAPPED, UNMAPPED]

    simulate(dut, testbenches=[host])


@pytest.mark.parametrize("mhz", [12, 30, 36])
def test_board_top_elaborates(mhz):
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    top = BoardTop(engine=FakeEngine(), capability=Capability(), clock_hz=mhz * 1_000_000)
    platform = ICEBreakerPlatform()
    plan = platform.prepare(top, "top")
    files = {name: str(content) for name, content in plan.files.items()}
    assert ("SB_PLL40_PAD" in files["top.il"]) == (mhz != 12)
    if mhz != 12:
        settings = solve_pll(input_hz=12_000_000, output_hz=mhz * 1_000_000)
        assert f"\\DIVF {settings.divf}\n" in files["top.il"].replace("parameter ", "")
    # What nextpnr derives the PLL's constraint from.
    assert "set_frequency clk12_0__io 12.0\n" in files["top.pcf"]
    for pin in ("35", "6", "9", "11", "37"):
        assert re.search(rf"^set_io \S+ {pin}$", files["top.pcf"], re.M)


@pytest.mark.parametrize(
    "build_it, error, text",
    [
        (lambda: build(clock_hz=0), ValueError, "Clock must be positive, not 0 Hz"),
        (lambda: build(clock_hz=36.0), TypeError, "Clock must be an integer of Hz, not 36.0"),
        (
            lambda: Core(engine=FakeEngine(), capability=Capability(), clock_hz=3_000_000),
            ValueError,
            "Baud rate 1000000 must be at most a 4th of the clock: 750000 at 3 MHz",
        ),
        (
            lambda: BoardTop(engine=FakeEngine(), capability=Capability(), clock_hz=36_100_000),
            ValueError,
            "Clock of 36.1 MHz is not reachable from 12 MHz; the nearest is 36 MHz",
        ),
    ],
)
def test_wrong_parameters(build_it, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        build_it()
