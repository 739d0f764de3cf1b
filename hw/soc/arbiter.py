"""Who has the bus: the DMA before the processor, and the processor only between frames."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.bus.wishbone import Signature
from hw.soc.memory import COPY_DISTANCE, FLASH_BASE

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
    flip : In(1)
        The two copies of the firmware are swapped in the flash's addresses.
    """

    def __init__(self, *, addr_width):
        super().__init__({
            "processor": In(Signature(addr_width=30)),
            "dma": In(Signature(addr_width=addr_width)),
            "bus": Out(Signature(addr_width=addr_width)),
            "hold": In(1),
            "flip": In(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        processor, dma, bus = self.processor, self.dma, self.bus
        of_dma = Signal()
        flash_bit, copy_bit = exact_log2(FLASH_BASE // 4), exact_log2(COPY_DISTANCE // 4)
        swap = (self.flip & processor.adr[flash_bit]) << copy_bit
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
                bus.cyc.eq(dma.cyc | (processor.cyc & processor.stb & ~self.hold)),
                bus.we.eq(dma.cyc | processor.we),
                bus.sel.eq(processor.sel | dma.cyc.replicate(4)),
                bus.adr.eq(Mux(dma.cyc, dma.adr, processor.adr ^ swap)),
                bus.dat_w.eq(Mux(dma.cyc, dma.dat_w, processor.dat_w)),
            ]
        return m
