"""The system on chip: all of the design but its pins and its clock."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.bus.csr import CSRBank
from hw.bus.uart import Receiver, Transmitter, divisor_for
from hw.families import find_family
from hw.pipeline import AHEAD_CYCLES
from hw.register_map import REGISTER_MAP, SOC_MAP
from hw.soc.accelerator import ADDRESS_WIDTH, Accelerator
from hw.soc.addresses import FIRMWARE_BYTES, FLASH_BASE, FLASH_SIZE, processor_memory
from hw.soc.arbiter import Arbiter
from hw.soc.boot import Boot
from hw.soc.fifo import ByteFIFO
from hw.soc.flash import FlashController
from hw.soc.processor import Processor
from hw.soc.soc_registers import BUTTON_COUNT, LED_COUNT
from hw.soc.stream import CobsDecoder, StreamDMA

__all__ = ["FAILURE", "FIFO_BYTES", "Soc"]

FIFO_BYTES = 512
"""Bytes between the UART and the stream: one block RAM."""

FAILURE = ord("!")
"""What the hardware sends where the processor is not alive in time, before each new start."""

_ENDLESS_BIT = 27  # of the frame's cycles: a frame that takes as long never ends


class Soc(wiring.Component):
    """Engine, processor, flash controller, byte stream, UART, in the domain `sync`.

    This is what the simulated board runs, and what `hw.boards.top.BoardTop` puts on a board. The
    processor's memory is the end of the weight memory (`Capability.processor_words`), so it
    stands still while a frame runs; the DMA does not.

    Parameters
    ----------
    engine : Component
        With a member `host` of signature `hw.engine.interface.HostPort`.
    capability : hw.capability.Capability
        What the engine was built for.
    clock_hz : int
        Clock of `sync`.
    baud : int
        Rate of the UART.

    Members
    -------
    uart_rx, uart_tx : In(1), Out(1)
        To and from the host; `uart_rx` is asynchronous.
    flash_cs_n, flash_sck, flash_copi, flash_cipo : Out(1), Out(1), Out(1), In(1)
        The SPI flash.
    leds : Out(LED_COUNT)
        1: on. Bit 0 green, 1 red, the others as the board has them.
    buttons : In(BUTTON_COUNT)
        1: pressed; asynchronous.

    Raises
    ------
    TypeError, ValueError
        Wrong capability or clock; a baud rate that is off by more than 2 %.
    """

    def __init__(self, *, engine, capability, clock_hz, baud):
        self._divisor = divisor_for(clock_hz=clock_hz, baud=baud)
        self._engine = engine
        self._family = capability.family
        self._memory = processor_memory(capability)  # raises where there is none
        self._device = Accelerator(
            engine=engine,
            capability=capability,
            clock_hz=clock_hz,
            beside={
                "soc": (REGISTER_MAP.bytes // 8, SOC_MAP.bytes // 4),
                "flash": (FLASH_BASE // 4, FLASH_SIZE // 4),
            },
        )
        super().__init__({
            "uart_rx": In(1, init=1),
            "uart_tx": Out(1, init=1),
            "flash_cs_n": Out(1, init=1),
            "flash_sck": Out(1),
            "flash_copi": Out(1),
            "flash_cipo": In(1),
            "leds": Out(LED_COUNT),
            "buttons": In(BUTTON_COUNT),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        host = self._engine.host
        m.submodules.device = device = self._device
        m.submodules.csr = csr = CSRBank(registers=SOC_MAP, constants={})
        m.submodules.processor = processor = Processor(reset_address=self._memory.start)
        m.submodules.boot = boot = Boot()
        m.submodules.flash = flash = FlashController(offset=find_family(self._family).flash_offset)
        # A processor that goes astray may say any target: the DMA never writes a register.
        m.submodules.stream = dma = StreamDMA(
            addr_width=ADDRESS_WIDTH,
            base=REGISTER_MAP.windows[0].base // 4,
            load=(self._memory.start // 4, FIRMWARE_BYTES // 4),
        )
        m.submodules.arbiter = arbiter = Arbiter(addr_width=ADDRESS_WIDTH)
        wiring.connect(m, device.soc, csr.bus)
        wiring.connect(m, processor.bus, arbiter.processor)
        wiring.connect(m, dma.bus, arbiter.dma)
        wiring.connect(m, arbiter.bus, device.bus)
        wiring.connect(m, device.flash, flash.bus)
        # A frame begins; and did, a cycle before.
        early, was_early = Signal(), Signal()
        over, was_over, endless = Signal(), Signal(), Signal()
        m.d.comb += over.eq(host.busy & host.cycles[_ENDLESS_BIT])
        ahead = exact_log2(AHEAD_CYCLES)
        m.d.sync += [
            early.eq(host.busy & ~host.cycles[ahead]),
            was_early.eq(early),
            # From registers, since the ways through watchdog and sequencer are long enough. Frames
            # without an end are no life: the processor would stand still for ever.
            boot.pause.eq(host.busy & ~host.repeat),
            # A frame of 2 ** _ENDLESS_BIT cycles has a damaged layer table. One pulse:
            # the count stands until the next start, and an idle engine must not be aborted.
            was_over.eq(over),
            endless.eq(over & ~was_over),
        ]
        m.d.comb += [
            arbiter.hold.eq(host.busy),
            arbiter.load.eq(boot.load),
            arbiter.copy.eq(boot.copy),
            processor.hold.eq(boot.hold),
            boot.restart.eq(csr.boot_restart),
            boot.alive.eq(csr.boot_alive),
            boot.right.eq(dma.right),
            device.abort.eq(boot.clear | endless),
            dma.next.eq(csr.stream_next),
            dma.feed.eq(csr.crc_feed_feed),
            dma.feed_data.eq(csr.crc_feed_data),
            dma.crc_clear.eq(csr.crc_feed_clear),
            dma.target_load.eq(csr.dma_target_load),
            dma.target.eq(csr.dma_target_word),
            dma.start.eq(csr.dma_start),
            dma.words.eq(csr.dma_words),
            dma.wait.eq(csr.dma_wait),
            # The firmware is loaded as soon as the flash's bytes are the stream.
            dma.go.eq((was_early & ~early) | (boot.hold & flash.streaming)),
            dma.stop.eq(csr.dma_stop),
            dma.reset.eq(boot.clearing),
            # All through the clearing: what had been asked for may begin only then.
            flash.stop.eq(csr.flash_stop | boot.clearing | (boot.hold & dma.right)),
            flash.select.eq(csr.flash_select),
            flash.send.eq(csr.flash_send),
            flash.send_data.eq(csr.flash_data),
            self.flash_cs_n.eq(flash.cs_n),
            self.flash_sck.eq(flash.sck),
            self.flash_copi.eq(flash.copi),
            flash.cipo.eq(self.flash_cipo),
        ]
        self._uart(m, csr, boot, dma, flash)
        return m

    def _uart(self, m, csr, boot, dma, flash):
        """UART, FIFO, decoder, and the registers of the stream and of the board."""
        m.submodules.receiver = receiver = Receiver(divisor=self._divisor)
        m.submodules.transmitter = transmitter = Transmitter(divisor=self._divisor)
        m.submodules.fifo = buffer = ByteFIFO(depth=FIFO_BYTES)
        m.submodules.decoder = decoder = CobsDecoder()
        wiring.connect(m, receiver.o_stream, buffer.i)
        wiring.connect(m, buffer.o, decoder.i)
        m.d.comb += [receiver.rx.eq(self.uart_rx), self.uart_tx.eq(transmitter.tx)]

        # The stream is the flash's while it reads.
        token = decoder.o.payload
        with m.If(flash.streaming):
            m.d.comb += [
                dma.i.payload.data.eq(flash.o.payload),
                dma.i.valid.eq(flash.o.valid),
                flash.o.ready.eq(dma.i.ready),
            ]
        with m.Else():
            m.d.comb += [
                dma.i.payload.eq(token),
                dma.i.valid.eq(decoder.o.valid),
                decoder.o.ready.eq(dma.i.ready),
            ]

        overrun = Signal()
        with m.If(receiver.o_stream.valid & ~buffer.i.ready):
            m.d.sync += overrun.eq(1)
        with m.Elif(csr.uart_overrun_clear):
            m.d.sync += overrun.eq(0)

        # One byte waits for the transmitter. Where nothing runs, the hardware tells so itself.
        waiting = Signal()
        byte = Signal(8)
        m.d.comb += [transmitter.i_stream.valid.eq(waiting), transmitter.i_stream.payload.eq(byte)]
        with m.If(transmitter.i_stream.ready):
            m.d.sync += waiting.eq(0)
        with m.If(csr.uart_send):
            m.d.sync += [waiting.eq(1), byte.eq(csr.uart_data)]
        with m.If(boot.late):
            m.d.sync += [waiting.eq(1), byte.eq(FAILURE)]

        buttons = Signal.like(self.buttons)
        m.submodules.buttons = FFSynchronizer(self.buttons, buttons)
        m.d.comb += [
            csr.timer.eq(boot.timer),
            csr.buttons.eq(buttons),
            csr.boot_copy.eq(boot.copy),
            csr.uart_ready.eq(~waiting),
            csr.uart_overrun.eq(overrun),
            csr.stream_data.eq(Mux(flash.selected, flash.data, dma.head.data)),
            csr.stream_valid.eq(dma.head_valid),
            csr.stream_end.eq(dma.head.end),
            csr.stream_cut.eq(dma.head.cut),
            csr.crc.eq(dma.crc),
            csr.dma_status_busy.eq(dma.busy),
            csr.dma_status_end.eq(dma.i.valid & dma.head.end),
            csr.flash_busy.eq(flash.busy),
        ]
        m.d.sync += self.leds.eq(csr.leds | ~boot.living << 1)
