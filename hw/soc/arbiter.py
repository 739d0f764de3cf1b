"""Who has the bus: the DMA before the processor, and the processor only between frames."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.bus.wishbone import Signature
from hw.soc.addresses import COPY_DISTANCE, FIRMWARE_COPIES, FLASH_BASE

__all__ = ["Arbiter"]


class Arbiter(wiring.Component):
    """Two initiators to one bus, a transfer at a time; a transfer is granted the cycle after its
    request, and the DMA's first.

    Parameters
    ----------
    addr_width : int
        Bits of the bus's word address; of the processor's, the lowest so many count.

    Members
    -------
    processor : In(wishbone.Signature(30))
    dma : In(wishbone.Signature(addr_width))
    bus : Out(wishbone.Signature(addr_width))
    hold : In(1)
        The processor gets nothing granted.
    load, copy : In(1), In(1)
        Pulse, while neither asks for anything: write to the flash address of the first or the
        second copy of the firmware, which begins to read it. The answer is nobody's.
    """

    def __init__(self, *, addr_width):
        super().__init__({
            "processor": In(Signature(addr_width=30)),
            "dma": In(Signature(addr_width=addr_width)),
            "bus": Out(Signature(addr_width=addr_width)),
            "hold": In(1),
            "load": In(1),
            "copy": In(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        processor, dma, bus = self.processor, self.dma, self.bus
        of_dma = Signal()
        first = (FLASH_BASE + FIRMWARE_COPIES[0]) // 4
        firmware = first | self.copy << exact_log2(COPY_DISTANCE // 4)
        m.d.comb += [
            bus.stb.eq(bus.cyc),
            dma.ack.eq(bus.ack & of_dma),
            dma.err.eq(bus.err & of_dma),
            processor.ack.eq(bus.ack & ~of_dma),
            processor.err.eq(bus.err & ~of_dma),
            processor.dat_r.eq(bus.dat_r),
            dma.dat_r.eq(bus.dat_r),
        ]
        with m.If(bus.cyc):
            with m.If(bus.ack | bus.err):
                m.d.sync += bus.cyc.eq(0)
        with m.Else():
            # The request is held in registers: the way from here through the bus is long enough.
            m.d.sync += [
                of_dma.eq(dma.cyc),
                bus.cyc.eq(dma.cyc | self.load | (processor.cyc & processor.stb & ~self.hold)),
                bus.we.eq(dma.cyc | self.load | processor.we),
                bus.sel.eq(processor.sel | dma.cyc.replicate(4)),
                bus.adr.eq(Mux(dma.cyc, dma.adr, Mux(self.load, firmware, processor.adr))),
                bus.dat_w.eq(Mux(dma.cyc, dma.dat_w, processor.dat_w)),
            ]
        return m
