"""UART receiver and transmitter, 8N1, on streams."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["MIN_DIVISOR", "Receiver", "Transmitter", "divisor_for"]

MIN_DIVISOR = 4
"""Fewest clock cycles a bit: below it, mid-bit sampling has no margin left."""


def divisor_for(*, clock_hz, baud, tolerance=0.02):
    """Clock cycles a bit, for a baud rate.

    Parameters
    ----------
    clock_hz : int
        Clock frequency, Hz.
    baud : int
        Bits a second.
    tolerance : float
        Largest relative error of the baud rate. 8N1 with mid-bit sampling fails at about 5 % of
        both ends together; 2 % at this end leaves the other end its share.

    Raises
    ------
    ValueError
        The rate is not reachable from this clock.
    """
    for name, value in (("Clock", clock_hz), ("Baud rate", baud)):
        if value <= 0:
            raise ValueError(f"{name} must be positive, not {value}")
    divisor = max(1, round(clock_hz / baud))
    if divisor < MIN_DIVISOR:
        raise ValueError(
            f"Baud rate {baud} must be at most a {MIN_DIVISOR}th of the clock: "
            f"{clock_hz / MIN_DIVISOR:.0f} at {clock_hz / 1e6:g} MHz"
        )
    error = clock_hz / divisor / baud - 1
    if abs(error) > tolerance:
        raise ValueError(
            f"Baud rate {baud} must be within {tolerance:.0%} of what a {clock_hz / 1e6:g} MHz "
            f"clock can make; the nearest is {clock_hz / divisor:.0f} ({error:+.1%})"
        )
    return divisor


def _check_divisor(divisor):
    if not isinstance(divisor, int) or isinstance(divisor, bool):
        raise TypeError(f"Divisor must be an integer, not {divisor!r}")
    if divisor < MIN_DIVISOR:
        raise ValueError(f"Divisor must be at least {MIN_DIVISOR} cycles a bit, not {divisor}")


class Receiver(wiring.Component):
    """Receive bytes: 1 start bit, 8 data bits from the lowest, 1 stop bit.

    A falling edge starts a frame; the start bit is checked in its middle, so that a shorter pulse
    starts nothing; every bit is sampled in its middle, behind a two-flop synchroniser. A frame
    whose stop bit is low (a break, or a wrong baud rate) is dropped.

    Back-pressure: the byte is held until it is taken; a frame that starts while a byte waits is
    dropped whole (overrun), and the waiting byte is not disturbed.
    Latency: `o_stream.valid` 3 cycles after the middle of the stop bit at `rx`.
    Throughput: a byte in 10 · `divisor` cycles.

    Parameters
    ----------
    divisor : int
        Clock cycles a bit, at least `MIN_DIVISOR`.

    Members
    -------
    rx : In(1)
        The line, asynchronous, idle high.
    o_stream : Out(stream.Signature(8))
        Bytes.

    Raises
    ------
    TypeError, ValueError
        Wrong `divisor`.
    """

    def __init__(self, *, divisor):
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o_stream": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        rx = Signal(init=1)
        previous = Signal(init=1)
        m.submodules.sync = FFSynchronizer(self.rx, rx, init=1)
        m.d.sync += previous.eq(rx)

        timer = Signal(range(self._divisor))
        bits = Signal(range(11))  # bits still to sample; 10 is the start bit, 1 the stop bit
        keep = Signal()  # the frame is not an overrun
        payload, valid = self.o_stream.payload, self.o_stream.valid

        with m.If(self.o_stream.ready):
            m.d.sync += valid.eq(0)
        with m.If(bits == 0):
            m.d.sync += timer.eq(self._divisor // 2 - 1)
            with m.If(previous & ~rx):
                m.d.sync += [bits.eq(10), keep.eq(~valid | self.o_stream.ready)]
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._divisor - 1), bits.eq(bits - 1)]
            with m.If(bits == 10):
                with m.If(rx):
                    m.d.sync += bits.eq(0)
            with m.Elif(bits != 1):
                with m.If(keep):
                    m.d.sync += payload.eq(Cat(payload[1:], rx))
            with m.Elif(keep & rx):
                m.d.sync += valid.eq(1)
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m


class Transmitter(wiring.Component):
    """Send bytes: 1 start bit, 8 data bits from the lowest, 1 stop bit.

    Latency: the start bit appears the cycle after the byte is taken.
    Throughput: a byte in 10 · `divisor` + 1 cycles; `i_stream.ready` is low meanwhile.

    Parameters
    ----------
    divisor : int
        Clock cycles a bit, at least `MIN_DIVISOR`.

    Members
    -------
    i_stream : In(stream.Signature(8))
        Bytes.
    tx : Out(1)
        The line, idle high, straight from a flop.

    Raises
    ------
    TypeError, ValueError
        Wrong `divisor`.
    """

    def __init__(self, *, divisor):
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__({"i_stream": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(range(11))  # bits still to end; the stop bit is among them
        shift = Signal(9, init=0x1FF)  # bit 0 is the line
        m.d.comb += [self.tx.eq(shift[0]), self.i_stream.ready.eq(bits == 0)]
        with m.If(bits == 0):
            m.d.sync += timer.eq(self._divisor - 1)
            with m.If(self.i_stream.valid):
                m.d.sync += [shift.eq(Cat(0, self.i_stream.payload)), bits.eq(10)]
        with m.Elif(timer == 0):
            m.d.sync += [
                timer.eq(self._divisor - 1),
                bits.eq(bits - 1),
                shift.eq(Cat(shift[1:], 1)),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
