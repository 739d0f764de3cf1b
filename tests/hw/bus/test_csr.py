# amaranth: UnusedElaboratable=no

import re

import pytest

from hw.bus.csr import CSRBank, port_name
from hw.bus.registers import Field, Register, RegisterMap
from tests.hw.bus.helpers import Bus, seeded, simulate


def field(name, low, width, access, **others):
    return Field(name=name, low=low, width=width, access=access, doc="A field.", **others)


def register(name, offset, *fields):
    return Register(name=name, offset=offset, doc="A register.", fields=fields)


MAP = RegisterMap(
    name="TEST",
    doc="Test",
    version=0x0001_0002,
    registers=(
        register("FIXED", 0x00, field("FIXED", 0, 32, "ro", constant=True)),
        register(
            "PAIR", 0x08, field("A", 0, 4, "ro", constant=True),
            field("B", 8, 4, "ro", constant=True),
        ),
        register(
            "MIXED", 0x20, field("GO", 0, 1, "wo"), field("HALT", 1, 2, "wo"),
            field("MODE", 4, 4, "rw", reset=5), field("STATE", 16, 8, "ro"),
        ),
        register("SCRATCH", 0x24, field("SCRATCH", 0, 32, "rw", reset=0xDEAD_BEEF)),
        register("VALUE", 0x2C, field("VALUE", 0, 32, "ro")),
    ),
    windows=(),
)  # fmt: skip
CONSTANTS = {"FIXED": 0x8123_4567, "PAIR": 0xA03}


def bank():
    return CSRBank(registers=MAP, constants=CONSTANTS)


def test_port_names():
    mixed = MAP.register("MIXED")
    assert port_name(mixed, mixed.field("GO")) == "mixed_go"
    assert port_name(MAP.register("VALUE"), MAP.register("VALUE").fields[0]) == "value"


def test_every_word_reads_what_it_should():
    dut = bank()
    bus = Bus(dut.bus)

    async def host(ctx):
        ctx.set(dut.value, 0x1357_9BDF)
        ctx.set(dut.mixed_state, 0xC3)
        expected = {0: 0x8123_4567, 2: 0xA03, 8: 0x00C3_0050, 9: 0xDEAD_BEEF, 11: 0x1357_9BDF}
        for index in range(16):
            assert await bus.transfer(ctx, index) == (expected.get(index, 0), False, 1)
            assert ctx.get(dut.bus.dat_r) == 0, "data must be 0 while nothing is asked"

    simulate(dut, testbenches=[host])


def test_random_writes():
    rng = seeded(5)
    dut = bank()
    bus = Bus(dut.bus)

    async def host(ctx):
        mode, scratch = 5, 0xDEAD_BEEF
        for _ in range(300):
            assert ctx.get(dut.mixed_mode) == mode and ctx.get(dut.scratch) == scratch
            index, word = rng.randrange(16), rng.randrange(1 << 32)
            sel = rng.choice([0b1111, 0b1111, rng.randrange(15)])
            _, error, cycles = await bus.transfer(ctx, index, word, sel=sel)
            assert error == (sel != 0b1111) and cycles == 1
            if not error and index == 8:
                mode = word >> 4 & 15
            if not error and index == 9:
                scratch = word
            assert await bus.read(ctx, 8) == mode << 4
            assert await bus.read(ctx, 9) == scratch

    simulate(dut, testbenches=[host])


def test_pulses_last_one_cycle():
    dut = bank()
    bus = Bus(dut.bus)
    seen = []

    async def monitor(ctx):
        while True:
            await ctx.tick()
            seen.append((ctx.get(dut.mixed_go), ctx.get(dut.mixed_halt)))

    async def host(ctx):
        await bus.write(ctx, 8, 0b101)
        await ctx.tick().repeat(4)
        await bus.write(ctx, 8, 0b010)
        await bus.write(ctx, 9, 0b111)
        await ctx.tick().repeat(4)
        assert [one for one in seen if any(one)] == [(1, 2), (0, 1)]

    simulate(dut, testbenches=[host], background=[monitor])


@pytest.mark.parametrize(
    "constants, text",
    [
        ({"FIXED": 1}, "Constants must be given for exactly the constant registers: PAIR"),
        (
            {**CONSTANTS, "VALUE": 1},
            "Constants must be given for exactly the constant registers: VALUE",
        ),
        ({"FIXED": 1, "PAIR": 0x10}, "Constant PAIR must fit its fields, not 0x10"),
    ],
)
def test_wrong_constants(constants, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        CSRBank(registers=MAP, constants=constants)


def test_wrong_map():
    with pytest.raises(TypeError, match=r"^Registers must be a RegisterMap, not None$"):
        CSRBank(registers=None, constants={})
