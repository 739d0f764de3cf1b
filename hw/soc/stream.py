"""The byte stream: COBS decoder, CRC-32, and the DMA that writes its bytes over the bus."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.wishbone import Signature
from hw.pipeline import BYTE_CYCLES
from hw.soc.stream_registers import COUNT_BITS

__all__ = [
    "CRC_RESIDUE",
    "CobsDecoder",
    "StreamDMA",
    "Token",
]

CRC_RESIDUE = 0x2144_DF1C
"""CRC-32 over any bytes followed by their own CRC-32, lowest byte first."""

_POLYNOMIAL = 0xEDB8_8320  # CRC-32 (ISO-HDLC), reflected: bits enter from the lowest


class Token(data.StructLayout):
    """What comes out of the decoder: a byte, or the end of a frame.

    Members
    -------
    data : 8
        The byte.
    end : 1
        No byte: the frame is over.
    cut : 1
        With `end`: the frame ended within a COBS block, so bytes are missing.
    """

    def __init__(self):
        super().__init__({"data": 8, "end": 1, "cut": 1})


class CobsDecoder(wiring.Component):
    """Decode frames of consistent overhead byte stuffing, each ended by a zero byte.

    Zero bytes in a row, as between frames, give no token. Whatever comes, the next zero byte
    ends the frame: nothing else is remembered.

    A code byte gives no token, or the zero byte that ends the block before it.

    Latency: 1 cycle. Throughput: a token in 2 cycles.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes of the line.
    o : Out(stream.Signature(Token()))
        Bytes and ends of frames.

    Source: S. Cheshire and M. Baker, Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on
    Networking 7 (2), 1999.
    """

    def __init__(self):
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(Token()))})

    def elaborate(self, platform):
        m = Module()
        byte = self.i.payload
        left = Signal(8)  # bytes left of the block
        zero = Signal()  # a zero byte stands behind this block, unless it is the frame's last
        inside = Signal()
        end, code, emit = Signal(), Signal(), Signal()
        m.d.comb += [
            end.eq(byte == 0),
            code.eq(~end & (left == 0)),
            emit.eq(Mux(end, inside, ~code | zero)),
            self.i.ready.eq(~self.o.valid),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o.valid.eq(emit),
                self.o.payload.data.eq(byte & ~code.replicate(8)),
                self.o.payload.end.eq(end),
                self.o.payload.cut.eq(left != 0),
                inside.eq(~end),
                left.eq(left - 1),
            ]
            with m.If(end):
                m.d.sync += [left.eq(0), zero.eq(0)]
            with m.Elif(code):
                m.d.sync += [left.eq(byte - 1), zero.eq(byte != 0xFF)]
        return m


class StreamDMA(wiring.Component):
    """Consume a stream of tokens: byte by byte for the processor, or in words for the DMA.

    Every byte taken goes through the CRC, a bit a cycle, so the next one is taken BYTE_CYCLES
    later at the earliest. Those bits also shift through a register of 32; while the DMA is busy,
    each 4 bytes are written to the bus, the first in bits 7 to 0. An end of frame is never taken by
    the DMA: it waits in front of it, and the processor sees both.

    Parameters
    ----------
    addr_width : int
        Bits of the bus's word address.
    base : int
        Bits that are set in every address: whatever the target says, nothing else is written.
    load : (int, int)
        What `reset` prepares: word address of the first write, and words.

    Members
    -------
    i : In(stream.Signature(Token()))
        The tokens.
    head, head_valid : Out(Token()), Out(1)
        The token at the front, for the processor; not valid while the DMA is busy or a byte is
        under way.
    next : In(1)
        Pulse: take it. An end leaves the CRC as it is.
    feed, feed_data : In(1), In(8)
        Pulse: put a byte through the CRC alone. Not while the DMA is busy.
    crc_clear : In(1)
        Pulse: begin a CRC.
    crc : Out(32)
        CRC-32 of the bytes since then; valid 8 cycles after the last.
    target_load, target : In(1), In(address)
        Pulse with the word address of the next write.
    start, words, wait : In(1), In(COUNT_BITS), In(1)
        Pulse: move so many words, at least 1; with `wait`, from the next `go` on.
    go : In(1)
        Pulse: what waits begins.
    stop : In(1)
        Pulse: end at once. A write under way is finished.
    reset : In(1)
        As long as it is high: a CRC begins, and the words of `load` are to be moved from the next
        `go` on. A write that is under way must have ended before it falls.
    right : Out(1)
        Nothing is being moved, and the CRC is CRC_RESIDUE: a cycle later.
    busy, left : Out(1), Out(COUNT_BITS)
        Words are being moved; how many are not written yet.
    bus : Out(wishbone.Signature)
        To the subordinates; writes only.
    """

    def __init__(self, *, addr_width, base=0, load=(0, 1)):
        self._addr_width = addr_width
        self._base = base
        self._load = load
        super().__init__({
            "i": In(stream.Signature(Token())),
            "head": Out(Token()),
            "head_valid": Out(1),
            "next": In(1),
            "feed": In(1),
            "feed_data": In(8),
            "crc_clear": In(1),
            "crc": Out(32),
            "target_load": In(1),
            "target": In(addr_width),
            "start": In(1),
            "words": In(COUNT_BITS),
            "wait": In(1),
            "go": In(1),
            "stop": In(1),
            "reset": In(1),
            "right": Out(1),
            "busy": Out(1),
            "left": Out(COUNT_BITS),
            "bus": Out(Signature(addr_width=addr_width)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        byte = Signal(8)
        bits = Signal(range(BYTE_CYCLES))  # of `byte` that have not gone through yet
        shifting = Signal()
        state = Signal(32, init=0xFFFF_FFFF)
        word = Signal(32)
        quarter = Signal(2)  # bytes of `word` that have come
        waiting = Signal()  # where the DMA is busy
        # Of these the power-on reset need not know: `reset` comes before they count.
        address = Signal(self._addr_width, reset_less=True)
        left = Signal(COUNT_BITS, reset_less=True)
        token = self.i.payload

        m.d.comb += [
            shifting.eq(bits != 0),
            self.crc.eq(~state),
            self.left.eq(left),
            self.head.eq(token),
            self.head_valid.eq(self.i.valid & ~self.busy & ~shifting),
        ]
        take = Signal()
        m.d.comb += [
            take.eq(~token.end & ~shifting & ~self.bus.cyc & Mux(self.busy, ~waiting, self.next)),
            self.i.ready.eq(take | (token.end & ~self.busy & self.next)),
        ]
        bit = byte[0]
        with m.If(shifting):
            m.d.sync += [
                bits.eq(bits - 1),
                byte.eq(byte >> 1),
                word.eq(Cat(word[1:], bit)),
                state.eq((state >> 1) ^ (Const(_POLYNOMIAL, 32) & (state[0] ^ bit).replicate(32))),
            ]
        with m.If(self.feed):
            m.d.sync += [byte.eq(self.feed_data), bits.eq(8)]
        with m.Elif(self.i.valid & take):
            m.d.sync += [byte.eq(token.data), bits.eq(8)]
        with m.If(self.crc_clear):
            m.d.sync += state.eq(state.init)

        # The fourth byte's last bit is in place one cycle after `bits` was 1.
        with m.If(self.busy & (bits == 1)):
            m.d.sync += [quarter.eq(quarter + 1), self.bus.cyc.eq(quarter == 3)]
        with m.If(self.bus.cyc & (self.bus.ack | self.bus.err)):
            m.d.sync += [
                self.bus.cyc.eq(0),
                address.eq(address + 1),
                left.eq(left - 1),
            ]
            with m.If(left == 1):
                m.d.sync += self.busy.eq(0)
        with m.If(self.target_load):
            m.d.sync += address.eq(self.target)
        with m.If(self.go):
            m.d.sync += waiting.eq(0)
        with m.If(self.start):
            m.d.sync += [
                self.busy.eq(1),
                left.eq(self.words),
                quarter.eq(0),
                waiting.eq(self.wait),
            ]
        with m.If(self.stop):
            m.d.sync += self.busy.eq(0)
        first, words = self._load
        with m.If(self.reset):
            m.d.sync += [
                state.eq(state.init),
                address.eq(first),
                left.eq(words),
                quarter.eq(0),
                waiting.eq(1),
                self.busy.eq(1),
            ]
        m.d.sync += self.right.eq((self.crc == CRC_RESIDUE) & ~self.busy)
        m.d.comb += [
            self.bus.stb.eq(self.bus.cyc),
            self.bus.we.eq(1),
            self.bus.sel.eq(0b1111),
            self.bus.adr.eq(address | self._base),
            self.bus.dat_w.eq(word),
        ]
        return m
