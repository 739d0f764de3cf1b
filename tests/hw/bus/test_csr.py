# amaranth: UnusedElaboratable=no

import re

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from hw.bus.csr import CSRBank, port_name
from hw.bus.registers import Field, Register, RegisterMap
from hw.bus.wishbone import Decoder
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
            "MIXED", 0x20, field("GO", 0, 1, "wo"), field("HALT", 1, 1, "wo"),
            field("MODE", 4, 4, "rw", reset=5), field("DATA", 8, 8, "wo"),
            field("STATE", 16, 8, "ro"),
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
        await bus.write(ctx, 8, 0b01)
        await ctx.tick().repeat(4)
        await bus.write(ctx, 8, 0b10)
        await bus.write(ctx, 9, 0b11)
        await bus.write(ctx, 8, 0b11)
        await bus.transfer(ctx, 8, 0b11, sel=0b0111)  # refused
        await bus.read(ctx, 8)
        await ctx.tick().repeat(4)
        assert [one for one in seen if any(one)] == [(1, 0), (0, 1), (1, 1)]

    simulate(dut, testbenches=[host], background=[monitor])


class Behind(Elaboratable):
    """A bank behind a decoder, as in the system: the answer is registered once more."""

    def __init__(self):
        self.bank = bank()
        self.decoder = Decoder(addr_width=8, regions={"bank": (0x40, 16)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.bank, m.submodules.decoder = self.bank, self.decoder
        wiring.connect(m, self.decoder.bank, self.bank.bus)
        return m


@pytest.mark.parametrize("behind", [False, True])
def test_data_goes_with_a_pulse(behind):
    """A `wo` field of several bits holds what was written in the cycle of the pulse."""
    rng = seeded(6)
    dut = Behind() if behind else bank()
    csr = dut.bank if behind else dut
    bus = Bus(dut.decoder.bus if behind else dut.bus)
    base = 0x40 if behind else 0
    pulses = []

    async def monitor(ctx):
        while True:
            await ctx.tick()
            if ctx.get(csr.mixed_go):
                pulses.append(ctx.get(csr.mixed_data))

    async def host(ctx):
        sent = []
        for _ in range(100):
            word = rng.randrange(1 << 32)
            await bus.write(ctx, base + 8, word)
            if word & 1:
                sent.append(word >> 8 & 0xFF)
            # It reads 0, and other registers' data are no pulses of it.
            assert await bus.read(ctx, base + 8) & 0xFF0F == 0
            await bus.write(ctx, base + 9, rng.randrange(1 << 32) | 1)
        assert pulses == sent and len(sent) > 20

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
