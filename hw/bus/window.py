"""Memory windows: Wishbone transfers become accesses of the engine's memory port."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.bus.wishbone import Signature

__all__ = ["ADDRESS_BITS", "REGION_BITS", "MemoryWindows"]

REGION_BITS = 3
ADDRESS_BITS = 16


class MemoryWindows(wiring.Component):
    """Wishbone subordinate for the memories, each in 2 ** 16 words of address.

    A write pulses `mem_write` in the cycle after `stb`, and ends in that cycle. A read ends
    `read_latency` cycles after `stb`. Region, address and data stand still from `stb` to the end.
    A write to a region not in `writable`, or a read of a region not in `readable`, pulses nothing
    and ends in `err` in the cycle after `stb`; so does a write with `sel` other than `0b1111`, but
    for the regions in `by_byte`.

    An initiator that gives up in mid-read may ask anew in the next cycle: the pending read is
    forgotten.

    Parameters
    ----------
    readable, writable, by_byte : collection of int
        Region numbers.
    read_latency : int
        Cycles from a new region or address to its `mem_read_data`.

    Members
    -------
    bus : In(wishbone.Signature(19))
        The region is the top 3 bits of the word address.
    mem_region, mem_addr, mem_write_data : Out(3), Out(16), Out(32)
        Region, 32-bit-word index in it, and data.
    mem_write, mem_write_mask : Out(1), Out(4)
        Pulse of one cycle; the bytes to write.
    mem_read_data : In(32)
        Data read.

    Raises
    ------
    TypeError, ValueError
        A wrong latency or region number.
    """

    def __init__(self, *, readable, writable, read_latency, by_byte=()):
        if not isinstance(read_latency, int) or isinstance(read_latency, bool):
            raise TypeError(f"Read latency must be an integer, not {read_latency!r}")
        if read_latency < 1:
            raise ValueError(f"Read latency must be at least 1 cycle, not {read_latency}")
        for region in (*readable, *writable, *by_byte):
            if not 0 <= region < 1 << REGION_BITS:
                raise ValueError(f"Region must be from 0 to {(1 << REGION_BITS) - 1}, not {region}")
        self._readable = sorted(set(readable))
        self._writable = sorted(set(writable))
        self._by_byte = sorted(set(by_byte))
        self._latency = read_latency
        super().__init__({
            "bus": In(Signature(addr_width=REGION_BITS + ADDRESS_BITS)),
            "mem_region": Out(REGION_BITS),
            "mem_addr": Out(ADDRESS_BITS),
            "mem_write_data": Out(32),
            "mem_write": Out(1),
            "mem_write_mask": Out(4),
            "mem_read_data": In(32),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        m.d.comb += [
            self.mem_region.eq(bus.adr[ADDRESS_BITS:]),
            self.mem_addr.eq(bus.adr),
            self.mem_write_data.eq(bus.dat_w),
            self.mem_write_mask.eq(bus.sel),
        ]
        readable = Signal()
        writable = Signal()
        by_byte = Signal()
        mapped = Signal()
        for flag, regions in (
            (readable, self._readable), (writable, self._writable), (by_byte, self._by_byte)
        ):  # fmt: skip
            with m.Switch(self.mem_region), m.Case(*regions):
                m.d.comb += flag.eq(1)
        m.d.comb += mapped.eq(Mux(bus.we, writable & (by_byte | bus.sel.all()), readable))

        # `step[i]` is the cycle i + 1 after the request. A write ends with the first.
        request = Signal()
        step = Signal(self._latency)
        refused = Signal()
        m.d.comb += [
            request.eq(bus.cyc & bus.stb),
            self.mem_write.eq(request & step[0] & bus.we),
            bus.ack.eq(self.mem_write | (request & step[-1])),
            bus.err.eq(request & refused),
            # Zero unless asked, so that the decoder need not select.
            bus.dat_r.eq(self.mem_read_data & request.replicate(32)),
        ]
        start = request & ~step.any() & ~refused
        m.d.sync += [
            step.eq((start & mapped) | (step << 1)),
            refused.eq(start & ~mapped),
        ]
        with m.If(self.mem_write | ~request):
            m.d.sync += step.eq(0)
        return m
