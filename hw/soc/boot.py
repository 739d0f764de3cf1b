"""Starts the processor with checked code; where it does not run, anew with the other copy of it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.soc.boot_registers import FIRST_ALIVE_BIT, SILENCE_BIT

__all__ = ["CLEAR_BIT", "Boot"]

CLEAR_BIT = 8
"""A start begins with 2 ** CLEAR_BIT cycles in which all that was under way ends: a word from
flash, which takes the longest, and whatever the bus or the DMA had been asked for."""


class Boot(wiring.Component):
    """Time since the start, the processor's reset, and the choice between two copies of its code.

    While the processor is held in reset, a copy of the firmware is read from flash into its memory
    and through the CRC; only where that is right is the processor released. The firmware then says
    that it is alive, and says so again and again. If it does not in time, because the copy is
    damaged, the flash does not answer or the firmware hangs, everything starts again with the
    other copy.

    The watchdog looks every 2 ** `SILENCE_BIT` cycles whether anything was heard since it looked
    last, so it strikes up to two such times after the last word.

    Members
    -------
    restart : In(1)
        Pulse: start anew, with the first copy; where the processor has not been alive, it is no
        deliberate one, and counts as if it were late.
    alive : In(1)
        Pulse: the processor runs checked code.
    pause : In(1)
        The processor, once alive, stands still and cannot say so; this counts as if it did.
    right : In(1)
        The copy has been read, and its CRC is right. Low two cycles after `clearing` rose, until
        the copy of this start has been read.
    timer : Out(32)
        Cycles since the start.
    clearing : Out(1)
        Whatever is under way must end; 2 ** `CLEAR_BIT` cycles and one, from the start on.
    load : Out(1)
        Pulse in the last of these: read `copy`.
    hold : Out(1)
        Keeps the processor in reset: from the start until `right`.
    clear : Out(1)
        Pulse of one cycle at every start but the one at power-on.
    late : Out(1)
        Pulse: such a start because the processor was not alive in time.
    living : Out(1)
        It has been alive since the start.
    copy : Out(1)
        The copy that was chosen: 1, the second.
    """

    def __init__(self):
        super().__init__({
            "restart": In(1),
            "alive": In(1),
            "pause": In(1),
            "right": In(1),
            "timer": Out(32),
            "clearing": Out(1, init=1),
            "load": Out(1),
            "hold": Out(1, init=1),
            "clear": Out(1),
            "late": Out(1),
            "living": Out(1),
            "copy": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        heard = Signal()
        before = Signal()
        look = Signal()
        silent = Signal()
        # A last word of a processor that was just stopped is not the first of the next one.
        alive, restart = Signal(), Signal()
        m.d.comb += [
            alive.eq(self.alive & ~self.hold),
            restart.eq(self.restart & ~self.hold),
            look.eq(self.timer[SILENCE_BIT] != before),
            silent.eq(Mux(self.living, look & ~heard & ~self.pause, self.timer[FIRST_ALIVE_BIT])),
            # Whatever the time is at a restart that a living processor wants, it is no failure.
            self.late.eq(Mux(restart, ~self.living, silent & ~alive)),
            self.load.eq(self.clearing & self.timer[CLEAR_BIT]),
        ]
        m.d.sync += [
            self.timer.eq(self.timer + 1),
            self.clear.eq(restart | self.late),
            before.eq(self.timer[SILENCE_BIT]),
        ]
        with m.If(self.load):
            m.d.sync += self.clearing.eq(0)
        with m.If(self.right & ~self.clearing):
            m.d.sync += self.hold.eq(0)
        with m.If(look):
            m.d.sync += heard.eq(0)
        with m.If(alive | self.pause):
            m.d.sync += heard.eq(1)
        with m.If(alive):
            m.d.sync += self.living.eq(1)
        with m.If(restart | self.late):
            m.d.sync += [
                self.timer.eq(0),
                self.clearing.eq(1),
                self.hold.eq(1),
                self.living.eq(0),
                self.copy.eq(self.late & ~self.copy),
            ]
        return m
