"""The SPI flash controller: sequential reads as a stream, single words, and bytes by hand."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.wishbone import Signature

__all__ = ["READ", "FlashController"]

READ = 0x03
"""Read Data: 24 bits of address, then data, as long as it is clocked."""


class FlashController(wiring.Component):
    """SPI initiator, mode 0, single line, clock half of `sync`.

    Three uses, one at a time; the user sees to it that the others are idle:

    - a word by the bus: selects the flash, sends Read Data with the address, reads 4 bytes, the
      first into bits 7 to 0, and deselects.
    - a sequential read: a *write* to the bus, of whatever data, selects and sends alike; bytes then
      come out of `o` until `stop`. The SPI clock rests while nobody takes them.
    - a byte each way: `send`, with the flash selected from `select` to `stop`.

    Parameters
    ----------
    offset : int
        Added to the address of every read, bytes, a multiple of 4: what lies before is out of the
        bus's reach. Bytes by hand are sent as they are.

    Latency: a word 129 cycles after its request; of a sequential read the first byte 82 cycles
    after its request, the others 18 each.

    Members
    -------
    stop : In(1)
        Pulse: end a sequential read, within 20 cycles; in its command, behind the command. Ends
        `selected`, too.
    o : Out(stream.Signature(8))
        Its bytes.
    streaming : Out(1)
        A sequential read is under way.
    select, selected : In(1), Out(1)
        Pulse: keep the flash selected, for bytes by hand; it is.
    send, send_data : In(1), In(8)
        Pulse: exchange a byte.
    data : Out(8)
        The byte that came last: by hand, once `busy` is low, or of a sequential read.
    busy : Out(1)
        Anything is under way.
    bus : In(wishbone.Signature(22))
        Word address in the flash.
    cs_n, sck, copi : Out(1)
        To the flash, from flops. Output changes while the clock is low.
    cipo : In(1)
        From the flash, sampled at the end of the clock's high half.

    Source: Winbond W25Q128JV datasheet, revision I, tables 8.1.2 (instructions) and 9.6 (timing).
    """

    def __init__(self, *, offset=0):
        if offset % 4 or not 0 <= offset < 1 << 24:
            raise ValueError(f"Offset must be a multiple of 4 below 2**24, not {offset:#x}")
        self._offset = offset
        super().__init__({
            "stop": In(1),
            "o": Out(stream.Signature(8)),
            "streaming": Out(1),
            "select": In(1),
            "selected": Out(1),
            "send": In(1),
            "send_data": In(8),
            "data": Out(8),
            "busy": Out(1),
            "bus": In(Signature(addr_width=22)),
            "cs_n": Out(1, init=1),
            "sck": Out(1),
            "copi": Out(1),
            "cipo": In(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        address = self.bus.adr + self._offset // 4 if self._offset else self.bus.adr
        shift = Signal(32)  # highest bit first, both ways
        bits = Signal(range(33))
        moved = Signal()  # the last bit of this run has been sampled
        word = Signal()  # one word is read; else a sequence, which may be stopped in its command
        m.d.comb += [
            self.copi.eq(shift[-1]),
            self.data.eq(shift[:8]),
            self.o.payload.eq(shift[:8]),
            self.bus.dat_r.eq(
                Cat(shift[24:], shift[16:24], shift[8:16], shift[:8]) & self.bus.ack.replicate(32)
            ),
            moved.eq(self.sck & (bits == 1)),
        ]
        with m.If(bits != 0):
            m.d.sync += self.sck.eq(~self.sck)
            with m.If(self.sck):
                m.d.sync += [shift.eq(Cat(self.cipo, shift[:-1])), bits.eq(bits - 1)]

        request = Signal()
        m.d.comb += request.eq(self.bus.cyc & self.bus.stb & ~self.bus.ack)
        m.d.sync += self.bus.ack.eq(0)

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += self.cs_n.eq(~(self.selected | self.select) | self.stop)
                with m.If(self.send):
                    m.d.sync += [shift[24:].eq(self.send_data), bits.eq(8)]
                    m.next = "BYTE"
                with m.Elif(request):
                    m.d.sync += [
                        shift.eq(Cat(Const(0, 2), address[:22], Const(READ, 8))),
                        bits.eq(32),
                        self.cs_n.eq(0),
                        word.eq(~self.bus.we),
                        self.streaming.eq(self.bus.we),
                        self.bus.ack.eq(self.bus.we),
                    ]
                    m.next = "COMMAND"
            with m.State("COMMAND"):
                with m.If(moved):
                    with m.If(word):
                        m.d.sync += bits.eq(32)
                        m.next = "WORD"
                    with m.Else():
                        m.next = "RESTED"
            with m.State("WORD"):
                with m.If(moved):
                    m.d.sync += [self.bus.ack.eq(1), self.cs_n.eq(1)]
                    m.next = "IDLE"
            with m.State("RESTED"):
                m.d.sync += bits.eq(8)
                m.next = "STREAM"
                with m.If(~self.streaming):
                    m.d.sync += [bits.eq(0), self.cs_n.eq(1)]
                    m.next = "IDLE"
            with m.State("STREAM"):
                with m.If(moved):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(self.streaming)
                with m.If(self.o.ready | ~self.streaming):
                    m.next = "RESTED"
            with m.State("BYTE"):
                with m.If(moved):
                    m.next = "IDLE"
        with m.If(self.select):
            m.d.sync += self.selected.eq(1)
        with m.If(self.stop):
            m.d.sync += [self.streaming.eq(0), self.selected.eq(0)]
        return m
