# amaranth: UnusedElaboratable=no
"""The system on chip with a testbench in the processor's place, a flash, and a host on the UART."""

from types import SimpleNamespace

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.bus.wishbone import Signature
from hw.capability import Capability
from hw.engine.interface import HostPort, Region
from hw.engine.sequencer import Sequencer
from hw.regmap import REGISTER_MAP
from hw.soc import boot, soc
from hw.soc.memory import FIRMWARE_COPIES, FLASH_BASE
from hw.soc.soc import Soc
from tests.hw.bus.helpers import Bus, FakeEngine, seeded, simulate, uart_send
from tests.hw.soc.helpers import SpiFlash, content

DIVISOR = 4
CAPABILITY = Capability(weight_words=14336, processor_words=2048)
LATE = 1 << 11
START = FLASH_BASE + FIRMWARE_COPIES[0]


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


class System:
    """The system with a testbench as its processor, a flash, and a host on the UART."""

    def __init__(self, monkeypatch, *, engine=None, seed=0):
        monkeypatch.setattr(soc, "Processor", Processor)
        monkeypatch.setattr(boot, "WATCHDOG_BIT", LATE.bit_length() - 1)
        self.engine = engine or FakeEngine()
        self.dut = dut = Soc(
            engine=self.engine, capability=CAPABILITY, clock_hz=4_000_000, baud=1_000_000
        )
        pins = SimpleNamespace(
            cs_n=dut.flash_cs_n, sck=dut.flash_sck, copi=dut.flash_copi, cipo=dut.flash_cipo
        )
        self.rng = seeded(seed)
        self.chip = SpiFlash(pins, content, rng=seeded(seed + 1))
        self.processor = self.bus = None

    def run(self, testbench, *others, alive=True):
        """`testbench(ctx)` once the processor is out of reset; `others` from the beginning."""

        async def first(ctx):
            self.processor = Processor.last
            self.bus = Bus(self.processor.bus, deadline=6000)
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
