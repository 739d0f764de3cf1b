"""Wishbone classic: the bus signature and the address decoder."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["UNMAPPED", "Decoder", "Signature"]

UNMAPPED = 0xFFFF_FFFF
"""What a read returns that ends in a bus error: all ones."""


def _positive(name, value):
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value}")


class Signature(wiring.Signature):
    """Wishbone B4 classic cycle, 32-bit data, word addresses, as the initiator sees it.

    One transfer at a time: the initiator holds `cyc`, `stb` and the request until `ack` or `err`,
    then drops `stb` for at least one cycle. The granularity is the word: a write with `sel` other
    than `0b1111` ends in `err`, but where a subordinate says that it takes bytes.

    Parameters
    ----------
    addr_width : int
        Bits of the word address.

    Members
    -------
    cyc, stb, we : Out(1)
        A bus cycle; a transfer in it; the transfer is a write.
    sel : Out(4)
        Byte lanes.
    adr : Out(addr_width)
        Word address (byte address / 4).
    dat_w : Out(32)
        Data written.
    dat_r : In(32)
        Data read, valid with `ack`; `UNMAPPED` with `err` at the initiator. Zero while the
        subordinate is not asked, so that a decoder merely ORs.
    ack, err : In(1)
        The transfer ends well; it ends in an error. Never both.

    Raises
    ------
    TypeError, ValueError
        `addr_width` is not a positive integer.

    Source: Wishbone B4, OpenCores, 2010, chapter 3.
    """

    def __init__(self, *, addr_width):
        _positive("Address width", addr_width)
        self._addr_width = addr_width
        super().__init__({
            "cyc": Out(1),
            "stb": Out(1),
            "we": Out(1),
            "sel": Out(4),
            "adr": Out(addr_width),
            "dat_w": Out(32),
            "dat_r": In(32),
            "ack": In(1),
            "err": In(1),
        })  # fmt: skip

    @property
    def addr_width(self):
        return self._addr_width

    def __repr__(self):
        return f"wishbone.Signature(addr_width={self._addr_width})"


class Decoder(wiring.Component):
    """Route one initiator to a few subordinates, each in a power-of-two region of the addresses.

    An address of no region ends in `err`, with `dat_r` at `UNMAPPED`; so does a transfer to which
    the subordinate answers `err`. The answer is registered, one cycle behind the subordinate's.

    Parameters
    ----------
    addr_width : int
        Bits of the initiator's word address.
    regions : dict of str to (int, int)
        Name to (first word address, words). The words are a power of two, and the first address a
        multiple of them. Regions must not overlap.

    Members
    -------
    bus : In(Signature(addr_width))
        From the initiator.
    <name> : Out(Signature(log2(words)))
        To each subordinate, addressed from 0.

    Raises
    ------
    TypeError, ValueError
        A size that is no power of two, a misaligned or overlapping region, or one that does not
        fit the address.
    """

    def __init__(self, *, addr_width, regions):
        _positive("Address width", addr_width)
        if not regions:
            raise ValueError("Decoder must have at least one region")
        taken = []
        members = {"bus": In(Signature(addr_width=addr_width))}
        for name, (base, words) in regions.items():
            _positive(f"Size of region {name}", words)
            if words < 2 or words & (words - 1):
                raise ValueError(
                    f"Size of region {name} must be a power of two of at least 2 words, not {words}"
                )
            if base % words:
                raise ValueError(
                    f"Base of region {name} must be a multiple of its {words} words, not {base:#x}"
                )
            if not 0 <= base or base + words > 1 << addr_width:
                raise ValueError(
                    f"Region {name} at {base:#x} must fit {addr_width} bits of word address"
                )
            for other, start, end in taken:
                if base < end and start < base + words:
                    raise ValueError(f"Region {name} at {base:#x} must not overlap region {other}")
            taken.append((name, base, base + words))
            members[name] = Out(Signature(addr_width=exact_log2(words)))
        self._regions = dict(regions)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        answered = Signal()  # the answer stands at the initiator: subordinates see no request
        m.d.comb += answered.eq(self.bus.ack | self.bus.err)
        hits, data = [], Const(0, 32)
        acks, errs = Const(0), Const(0)
        for name, (base, words) in self._regions.items():
            sub = getattr(self, name)
            low = exact_log2(words)
            hit = (self.bus.adr >> low) == (base >> low)
            hits.append(hit)
            m.d.comb += [
                sub.cyc.eq(self.bus.cyc & hit & ~answered),
                sub.stb.eq(self.bus.stb & hit & ~answered),
                sub.we.eq(self.bus.we),
                sub.sel.eq(self.bus.sel),
                sub.adr.eq(self.bus.adr),
                sub.dat_w.eq(self.bus.dat_w),
            ]
            data = data | sub.dat_r
            acks = acks | (sub.ack & hit)
            errs = errs | (sub.err & hit)
        request = self.bus.cyc & self.bus.stb & ~answered
        error = request & (errs | ~Cat(hits).any())
        m.d.sync += [
            self.bus.ack.eq(request & acks),
            self.bus.err.eq(error),
            self.bus.dat_r.eq(data | error.replicate(32)),
        ]
        return m
