"""Starts the processor; where it does not run, starts it anew from the other copy of its code."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["HOLD_BIT", "SILENCE_BIT", "WATCHDOG_BIT", "Boot"]

HOLD_BIT = 8
"""The processor is held in reset for 2 ** HOLD_BIT cycles: longer than a word from flash takes, so
that one that it asked for before does not come as its first instruction."""

WATCHDOG_BIT = 20
"""It must have said within 2 ** WATCHDOG_BIT cycles that it is alive: 29 ms at 36 MHz."""

SILENCE_BIT = 25
"""And then again within 2 ** SILENCE_BIT cycles, each time: 0.93 s at 36 MHz."""


class Boot(wiring.Component):
    """Time since the start, the processor's reset, and the choice between two copies of its code.

    The processor starts in flash, where a short program copies the firmware into memory, checks
    it, and starts it; the firmware then says that it is alive, and says so again and again. If it
    does not in time, because the program or the firmware is damaged or hangs, everything starts
    again with the other copy: until the processor is alive, `flip` swaps the two copies in the
    flash's addresses.

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
    timer : Out(32)
        Cycles since the start.
    hold : Out(1)
        Keeps the processor in reset.
    clear : Out(1)
        Pulse of one cycle at every start but the one at power-on.
    late : Out(1)
        Pulse: such a start because the processor was not alive in time.
    living : Out(1)
        It has been alive since the start.
    copy, flip : Out(1)
        The copy that was chosen; it is the second one, and its addresses are swapped.
    """

    def __init__(self):
        super().__init__({
            "restart": In(1),
            "alive": In(1),
            "pause": In(1),
            "timer": Out(32),
            "hold": Out(1, init=1),
            "clear": Out(1),
            "late": Out(1),
            "living": Out(1),
            "copy": Out(1),
            "flip": Out(1),
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
            silent.eq(Mux(self.living, look & ~heard & ~self.pause, self.timer[WATCHDOG_BIT])),
            # Whatever the time is at a restart that a living processor wants, it is no failure.
            self.late.eq(Mux(restart, ~self.living, silent & ~alive)),
            self.flip.eq(self.copy & ~self.living),
        ]
        m.d.sync += [
            self.timer.eq(self.timer + 1),
            self.clear.eq(restart | self.late),
            before.eq(self.timer[SILENCE_BIT]),
        ]
        with m.If(self.timer[HOLD_BIT]):
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
                self.hold.eq(1),
                self.living.eq(0),
                self.copy.eq(self.late & ~self.copy),
            ]
        return m
