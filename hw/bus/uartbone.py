"""UARTBone bridge: commands on a byte stream become Wishbone transfers."""

import enum

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.bus.wishbone import Signature

__all__ = ["MAX_BURST", "Command", "UARTBone"]

MAX_BURST = 255
"""Most words in one command: its length is one byte."""


class Command(enum.IntEnum):
    """First byte of a command."""

    WRITE_INCREMENT = 1
    READ_INCREMENT = 2
    WRITE_FIXED = 3
    READ_FIXED = 4


class UARTBone(wiring.Component):
    """Wishbone initiator that obeys LiteX's UARTBone wire protocol.

    A command is: 1 byte `Command`; 1 byte length, in words; 4 bytes word address; for a write, 4
    bytes a word. A read is answered by 4 bytes a word, a write by nothing. Addresses and data go
    highest byte first. `…_INCREMENT` adds 1 to the address after each word, `…_FIXED` does not.

    What goes wrong never hangs it:

    - a first byte that is no `Command` is ignored, a command of length 0 does nothing;
    - a bus error, or an address beyond the bus, answers a read with `wishbone.UNMAPPED`, all
      ones, and drops a written word; the burst goes on;
    - a command that stops before its end, or a bus that does not answer, ends after the time-out,
      2 ** ceil(log2(`timeout`)) cycles after the last byte. An unfinished command is forgotten
      and the next byte is a `Command`; a read that the bus did not answer returns all ones. So a
      host resynchronises by being silent for the time-out.

    Words written so far by an unfinished write stay written.

    Back-pressure: a byte is taken in each cycle in which one is expected; during a bus transfer
    and an answer `i_stream.ready` is low. Bytes sent to a bridge that is still answering may be
    lost in the UART, so a host awaits each answer before the next command.
    Throughput: bound by the UART; a word takes 2 cycles more than its transfer.

    Parameters
    ----------
    addr_width : int
        Bits of the bus's word address, 8 to 31.
    timeout : int
        Cycles of silence, rounded up to a power of two. LiteX uses 100 ms.

    Members
    -------
    i_stream, o_stream : In, Out(stream.Signature(8))
        Bytes from and to the UART.
    bus : Out(wishbone.Signature(addr_width))
        To the subordinates.
    heartbeat : Out(1)
        Toggles once a time-out while nothing is received.

    Raises
    ------
    TypeError, ValueError
        A wrong parameter.

    Source: LiteX, `litex/soc/cores/uart.py` and `litex/tools/remote/comm_uart.py` (the protocol's
    facts; time-out, bus errors and length 0 are decided here).
    """

    def __init__(self, *, addr_width, timeout):
        for name, value in (("Address width", addr_width), ("Time-out", timeout)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
        if not 8 <= addr_width <= 31:
            raise ValueError(f"Address width must be from 8 to 31 bits, not {addr_width}")
        if timeout < 2:
            raise ValueError(f"Time-out must be at least 2 cycles, not {timeout}")
        self._addr_width = addr_width
        self._timeout_bits = ceil_log2(timeout)
        super().__init__({
            "i_stream": In(stream.Signature(8)),
            "o_stream": Out(stream.Signature(8)),
            "bus": Out(Signature(addr_width=addr_width)),
            "heartbeat": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        width = self._addr_width
        byte, received = self.i_stream.payload, self.i_stream.valid & self.i_stream.ready

        write = Signal(reset_less=True)
        fixed = Signal(reset_less=True)
        length = Signal(8, reset_less=True)  # words still to do
        address = Signal(width, reset_less=True)
        beyond = Signal(reset_less=True)  # the address does not fit the bus
        data = Signal(32, reset_less=True)
        count = Signal(2, reset_less=True)  # bytes of the current word or address so far

        # One counter serves every kind of silence; its top bit is the time-out.
        silence = Signal(self._timeout_bits + 1)
        expired = silence[-1]
        m.d.sync += silence.eq(silence + 1)
        m.d.comb += self.heartbeat.eq(expired)

        # Bytes enter the data word at its low end and leave it at its high end, so that receiving
        # and sending are the same shift.
        shift = Signal()
        load = Signal()
        answer = self.bus.dat_r | (self.bus.err | beyond | expired).replicate(32)
        with m.If(shift | load):
            m.d.sync += data.eq(Mux(load, answer, Cat(byte, data[:24])))

        m.d.comb += [
            self.bus.we.eq(write),
            self.bus.sel.eq(0b1111),
            self.bus.adr.eq(address),
            self.bus.dat_w.eq(data),
            self.o_stream.payload.eq(data[24:]),
        ]

        with m.FSM():
            with m.State("COMMAND"):
                m.d.comb += self.i_stream.ready.eq(1)
                m.d.sync += [
                    write.eq(byte[0]),  # 1 and 3
                    fixed.eq(byte[2] | (byte[0] & byte[1])),  # 3 and 4
                    address.eq(0),
                    beyond.eq(0),
                    count.eq(0),
                ]
                known = (byte >= Command.WRITE_INCREMENT) & (byte <= Command.READ_FIXED)
                with m.If(received & known):
                    m.next = "LENGTH"
            with m.State("LENGTH"):
                m.d.comb += self.i_stream.ready.eq(1)
                m.d.sync += length.eq(byte)
                with m.If(received):
                    m.next = "ADDRESS"
                    with m.If(byte == 0):
                        m.next = "COMMAND"
                with m.Elif(expired):
                    m.next = "COMMAND"
            with m.State("ADDRESS"):
                m.d.comb += self.i_stream.ready.eq(1)
                with m.If(received):
                    m.d.sync += [
                        address.eq(Cat(byte, address[:-8])),
                        beyond.eq(beyond | address[-8:].any()),
                        count.eq(count + 1),
                    ]
                    with m.If(count == 3):
                        m.next = "DATA"
                        with m.If(~write):
                            m.next = "BUS"
                with m.Elif(expired):
                    m.next = "COMMAND"
            with m.State("DATA"):
                m.d.comb += self.i_stream.ready.eq(1)
                with m.If(received):
                    m.d.comb += shift.eq(1)
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == 3):
                        m.next = "BUS"
                with m.Elif(expired):
                    m.next = "COMMAND"
            with m.State("BUS"):
                # Loading in every cycle of a read keeps `ack` off the clock enables: the last load
                # is the one that counts.
                m.d.comb += [
                    self.bus.cyc.eq(~beyond),
                    self.bus.stb.eq(~beyond),
                    load.eq(~write),
                ]
                with m.If(self.bus.ack | self.bus.err | beyond | expired):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [length.eq(length - 1), silence.eq(0)]
                following = address + 1
                with m.If(~fixed):
                    m.d.sync += [address.eq(following), beyond.eq(beyond | following[-1])]
                m.next = "SEND"
                with m.If(write):
                    m.next = "DATA"
                    with m.If(length == 1):
                        m.next = "COMMAND"
            with m.State("SEND"):
                m.d.comb += self.o_stream.valid.eq(1)
                m.d.sync += silence.eq(0)
                with m.If(self.o_stream.ready):
                    m.d.comb += shift.eq(1)
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == 3):
                        m.next = "BUS"
                        with m.If(length == 0):
                            m.next = "COMMAND"

        with m.If(received):
            m.d.sync += silence.eq(0)
        return m
