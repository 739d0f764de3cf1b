"""A FIFO of bytes in one block RAM."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["ByteFIFO"]


class ByteFIFO(wiring.Component):
    """First in, first out.

    `amaranth.lib.fifo.SyncFIFOBuffered` does the same with 70 logic cells more on an iCE40: it
    counts its level, and lets a byte pass in the cycle in which it is written.

    Latency: 2 cycles. Throughput: a byte in 2 cycles.

    Parameters
    ----------
    depth : int
        Bytes; a power of two.

    Members
    -------
    i, o : In, Out(stream.Signature(8))
    """

    def __init__(self, *, depth):
        self._depth = depth
        self._bits = exact_log2(depth)
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self._depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        # One bit more than an address, so that full differs from empty.
        first, last = Signal(self._bits + 1), Signal(self._bits + 1)
        full, taken = Signal(), Signal()
        m.d.comb += [
            full.eq((first ^ last) == 1 << self._bits),
            self.i.ready.eq(~full),
            write.en.eq(self.i.valid & ~full),
            write.addr.eq(last),
            write.data.eq(self.i.payload),
            read.addr.eq(first),
            self.o.payload.eq(read.data),
            taken.eq(self.o.valid & self.o.ready),
        ]
        # What `first` points to was read in the cycle before.
        m.d.sync += self.o.valid.eq((first != last) & ~taken)
        with m.If(write.en):
            m.d.sync += last.eq(last + 1)
        with m.If(taken):
            m.d.sync += first.eq(first + 1)
        return m
