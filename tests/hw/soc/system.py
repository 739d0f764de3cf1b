# amaranth: UnusedElaboratable=no
"""The system on chip with a testbench in the processor's place, a flash, and a host on the UART."""

import zlib
from types import SimpleNamespace

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.bus.wishbone import Signature
from hw.capability import Capability
from hw.engine.interface import HostPort
from hw.engine.sequencer import Sequencer
from hw.regions import Region
from hw.register_map import REGISTER_MAP
from hw.soc import boot, soc
from hw.soc.addresses import FIRMWARE_COPIES, FLASH_BASE, processor_memory
from hw.soc.soc import Soc
from tests.hw.bus.helpers import Bus, FakeEngine, seeded, simulate, uart_send
from tests.hw.soc.helpers import SpiFlash, content

DIVISOR = 4
CAPABILITY = Capability(weight_words=14336, processor_words=2048)
CLEAR = 1 << boot.CLEAR_BIT
LATE = 1 << 11
START = processor_memory(CAPABILITY).start
WORDS = 4
"""Of the firmware, that the hardware loads and checks; in the fake engine's memory they are the
first words of the weights."""


class Processor(wiring.Component):
    """In place of SERV: a bus that a testbench drives."""

    def __init__(self, *, reset_address):
        self.reset_address = reset_address
        super().__init__({"hold": In(1), "bus": Out(Signature(addr_width=30))})
        type(self).last = self

    def elaborate(self, platform):
        return Module()


class Endless(wiring.Component):
    """An engine whose frames never end: the real sequencer, and nothing behind it."""

    def __init__(self):
        super().__init__({"host": Out(HostPort())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(CAPABILITY)
        host = self.host
        m.d.comb += [
            sequencer.start.eq(host.start),
            sequencer.abort.eq(host.abort),
            host.busy.eq(sequencer.busy),
            host.done.eq(sequencer.done),
            host.cycles.eq(sequencer.cycles),
        ]
        return m


def firmware(copy):
    """What the flash holds of it: another one in each copy, with its CRC-32."""
    code = bytes(content(FIRMWARE_COPIES[copy] + i) for i in range(4 * WORDS - 4))
    return code + zlib.crc32(code).to_bytes(4, "little")


def with_firmware(damage=None):
    """A flash's content, a byte for each address: `content`, with both copies.

    `damage` is a dict of copy to a bit of it that is changed.
    """
    copies = {}
    for copy, start in enumerate(FIRMWARE_COPIES):
        data = bytearray(firmware(copy))
        if copy in (damage or {}):
            data[damage[copy] // 8] ^= 1 << damage[copy] % 8
        copies |= {start + i: byte for i, byte in enumerate(data)}
    return lambda address: copies.get(address, content(address))


class System:
    """The system with a testbench as its processor, a flash, and a host on the UART.

    `flash` gives its content, a byte for each address; by default both copies of the firmware are
    sound.
    """

    def __init__(self, monkeypatch, *, engine=None, seed=0, flash=None):
        monkeypatch.setattr(soc, "Processor", Processor)
        monkeypatch.setattr(soc, "FIRMWARE_BYTES", 4 * WORDS)
        monkeypatch.setattr(boot, "FIRST_ALIVE_BIT", LATE.bit_length() - 1)
        self.engine = engine or FakeEngine()
        self.dut = dut = Soc(
            engine=self.engine, capability=CAPABILITY, clock_hz=4_000_000, baud=1_000_000
        )
        pins = SimpleNamespace(
            cs_n=dut.flash_cs_n, sck=dut.flash_sck, copi=dut.flash_copi, cipo=dut.flash_cipo
        )
        self.rng = seeded(seed)
        self.chip = SpiFlash(pins, flash or with_firmware(), rng=seeded(seed + 1))
        self.processor = self.bus = None

    def run(self, testbench, *others, alive=True, held=False):
        """`testbench(ctx)` once the processor is out of reset, or, if it is to be `held`, from the
        beginning, as `others`. `alive`: it says so before."""

        async def first(ctx):
            self.processor = Processor.last
            self.bus = Bus(self.processor.bus, deadline=6000)
            if not held:
                while ctx.get(self.processor.hold):
                    await ctx.tick()
            if alive:
                await self.write(ctx, "BOOT", alive=1)
            await testbench(ctx)

        simulate(self.dut, testbenches=[first, *others], background=[self.chip.run])

    async def read(self, ctx, name):
        """Fields of a register."""
        register = REGISTER_MAP.register(name)
        return register.unpack(await self.bus.read(ctx, register.offset // 4))

    async def write(self, ctx, name, **values):
        register = REGISTER_MAP.register(name)
        await self.bus.write(ctx, register.offset // 4, register.pack(**values))

    async def wait(self, ctx, name, **values):
        """Until fields have these values."""
        for _ in range(2000):
            fields = await self.read(ctx, name)
            if values.items() <= fields.items():
                return fields
        raise AssertionError(f"{name} stays at {fields}")

    async def take(self, ctx):
        """A token of the stream, as the firmware takes it."""
        fields = await self.wait(ctx, "STREAM", valid=1)
        await self.write(ctx, "STREAM", next=1)
        return (0, 1, fields["cut"]) if fields["end"] else (fields["data"], 0, 0)

    async def move(self, ctx, region, index, words, **how):
        window = REGISTER_MAP.window(region)
        await self.write(ctx, "DMA_TARGET", word=window.base // 4 + index, load=1)
        await self.write(ctx, "DMA", words=words, start=1, **how)

    async def begin(self, ctx, address):
        """Begin a sequential read of the flash."""
        await self.bus.write(ctx, (FLASH_BASE + address) // 4, self.rng.randrange(1 << 32))

    def memory(self, ctx, region, first, count):
        where = Region[region] * FakeEngine.DEPTH + first
        return [ctx.get(self.engine.memory.data[where + i]) for i in range(count)]

    def host(self, data):
        async def run(ctx):
            await uart_send(ctx, self.dut.uart_rx, data, divisor=DIVISOR)

        return run
