# amaranth: UnusedElaboratable=no

import re

import pytest

from hw.boards import find_board
from hw.boards.top import BoardTop
from hw.bus.wishbone import UNMAPPED
from hw.capability import Capability
from hw.families.ice40.pll import solve_pll
from hw.regions import Region
from hw.register_map import ENGINE_MAP, REGISTER_MAP, constant_words
from hw.soc.accelerator import ADDRESS_WIDTH, Accelerator
from tests.hw.bus.helpers import Bus, FakeEngine, memory_subordinate, seeded, simulate

CLOCK_HZ = 36_000_000
BOARD = find_board("icebreaker")


def build(clock_hz=CLOCK_HZ, **others):
    return Accelerator(engine=FakeEngine(), capability=Capability(), clock_hz=clock_hz, **others)


def build_top(mhz):
    return BoardTop(
        engine=FakeEngine(),
        capability=BOARD.capability,
        clock_hz=round(mhz * 1e6),
        baud=1_000_000,
        input_hz=round(BOARD.input_clock_mhz * 1e6),
        clock_resource=BOARD.clock_resource,
        leds=BOARD.leds,
        buttons=BOARD.buttons,
    )


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
                words[window.index, index] = 0 if error else word
        for (region, index), word in rng.sample(sorted(words.items()), len(words)):
            window = REGISTER_MAP.windows[region]
            data, error, _ = await bus.transfer(ctx, window.base // 4 + index)
            assert error == (window.access == "wo")
            assert data == (UNMAPPED if error else word), window.name
            # What cannot be read is in its own memory all the same.
            assert ctx.get(dut._engine.memory.data[region * FakeEngine.DEPTH + index]) == word

    simulate(dut, testbenches=[host])


def test_bytes_of_weights_alone():
    dut = build()
    bus = Bus(dut.bus)

    async def host(ctx):
        for window in REGISTER_MAP.windows:
            _, error, _ = await bus.transfer(ctx, window.base // 4, 0xAABB_CCDD, sel=0b0110)
            assert error == (window.name != "WEIGHTS")
        assert await bus.read(ctx, window_address("WEIGHTS")) == 0x00BB_CC00
        for region in range(1, len(REGISTER_MAP.windows)):
            assert ctx.get(dut._engine.memory.data[region * FakeEngine.DEPTH]) == 0

    simulate(dut, testbenches=[host])


def test_abort():
    dut = build()
    bus = Bus(dut.bus)
    host_port = dut._engine.host

    async def host(ctx):
        await bus.write(ctx, word_address("CONTROL"), 1)
        assert ctx.get(host_port.busy)
        ctx.set(dut.abort, 1)
        await ctx.tick()
        ctx.set(dut.abort, 0)
        assert not ctx.get(host_port.busy) and not ctx.get(host_port.done)

    simulate(dut, testbenches=[host])


def test_what_lies_beside():
    """Other regions of the bus get their transfers, addressed from 0, and nobody else's."""
    rng = seeded(7)
    regions = {"near": (0x20, 16), "far": (1 << 22, 1 << 22)}
    dut = build(beside=regions)
    bus = Bus(dut.bus)
    stores = {name: {} for name in regions}

    async def host(ctx):
        for name, (base, words) in regions.items():
            for offset in (0, 1, words - 1, rng.randrange(words)):
                word = rng.randrange(1 << 32)
                await bus.write(ctx, base + offset, word)
                assert await bus.read(ctx, base + offset) == word
                assert stores[name][offset] == word
        await bus.write(ctx, word_address("STOP_AFTER"), 9)
        assert await bus.read(ctx, word_address("STOP_AFTER")) == 9
        assert [len(store) for store in stores.values()] == [4, 4]

    simulate(
        dut,
        testbenches=[host],
        background=[
            memory_subordinate(getattr(dut, name), stores[name], rng=rng) for name in regions
        ],
    )


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
        assert await bus.read(ctx, word_address("CYCLES")) == FakeEngine.FRAME
        assert await bus.read(ctx, word_address("CLASS")) == (5 + 0xFF) & 0xFF
        assert await bus.read(ctx, window_address("LOGITS") + 3) == 0xFFFF_FFFE

        await bus.write(ctx, word_address("STOP_AFTER"), 2)
        await bus.write(ctx, word_address("CONTROL"), control.pack(start=1))
        await bus.write(ctx, word_address("CONTROL"), control.pack(reset=1))
        assert await status(ctx) == {"busy": 0, "done": 0, "layer": 7}

        await bus.write(ctx, word_address("CONTROL"), control.pack(start=1, repeat=1))
        assert await bus.read(ctx, word_address("CONTROL")) == control.pack(repeat=1)
        await ctx.tick().repeat(10 * FakeEngine.FRAME)
        await bus.write(ctx, word_address("CONTROL"), 0)
        await ctx.tick().repeat(2 * FakeEngine.FRAME)
        assert await status(ctx) == {"busy": 0, "done": 1, "layer": 7}
        assert ctx.get(engine.host.frames) in (10, 11)
        assert await bus.read(ctx, word_address("CLASS")) == 7

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
                ENGINE_MAP.bytes // 4 + rng.randrange(8),
                windows[-1][1] + rng.randrange(8),
            ])  # fmt: skip
            inside = any(low <= address < high for low, high in windows)
            data, error, _ = await bus.transfer(ctx, address)
            assert error == (
                REGISTER_MAP.windows[(address - windows[0][0]) // (1 << 16)].access == "wo"
                if inside
                else address >= ENGINE_MAP.bytes // 4
            )
            assert not error or data == UNMAPPED

    simulate(dut, testbenches=[host])


@pytest.mark.parametrize("mhz", [12, 30, 36])
def test_board_top_elaborates(mhz):
    top = build_top(mhz)
    plan = BOARD.platform().prepare(top, "top")
    files = {name: str(content) for name, content in plan.files.items()}
    assert ("SB_PLL40_PAD" in files["top.il"]) == (mhz != 12)
    if mhz != 12:
        settings = solve_pll(input_hz=12_000_000, output_hz=mhz * 1_000_000)
        assert f"\\DIVF {settings.divf}\n" in files["top.il"].replace("parameter ", "")
    # What nextpnr derives the PLL's constraint from.
    assert "set_frequency clk12_0__io 12.0\n" in files["top.pcf"]
    assert "serv_rf_top" in files["top.il"]
    pins = dict(re.findall(r"^set_io (\S+) (\d+)$", files["top.pcf"], re.M))
    # Clock, UART, flash, then LEDs and buttons: the schematic of the board, revision 1.1a.
    assert sorted(map(int, pins.values())) == sorted([
        35, 6, 9, 16, 15, 14, 17, 12, 13, 37, 11, 26, 27, 25, 23, 21, 10, 20, 19, 18
    ])  # fmt: skip


@pytest.mark.parametrize(
    "build_it, error, text",
    [
        (lambda: build(clock_hz=0), ValueError, "Clock must be positive, not 0 Hz"),
        (lambda: build(clock_hz=36.0), TypeError, "Clock must be an integer of Hz, not 36.0"),
        (
            lambda: build_top(36.1),
            ValueError,
            "Clock of 36.1 MHz is not reachable from 12 MHz; the nearest is 36 MHz",
        ),
    ],
)
def test_wrong_parameters(build_it, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        build_it()
