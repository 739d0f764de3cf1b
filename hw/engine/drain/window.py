"""A window's sum of each lane: what the lane shows, less what it showed at the window before."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.capability import Capability, address_bits
from hw.engine.delay import delayed
from hw.engine.drain.layouts import ends_layout
from hw.pipeline import pipeline_of

__all__ = ["WindowSum"]


class WindowSum(wiring.Component):
    """Stages 1 to 3: (1) what the lane showed last is read, (2) the lane's running sum is there,
    (3) the window's sum. In a long pipeline a register of both lies between 2 and 3.

    The array's accumulators run on from window to window: what each lane showed last is kept in a
    small memory. Every lane that has its turn updates the memory, whether its channel counts or
    not.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    active, lane, odd, ends : In
        Of stage 0: `LaneCounter`'s.
    shift, i_lane
        As in `Drain`.
    ahead : Out(ends_layout)
        Of stage 2: `o_ends` as it will be `Pipeline.drain_read_cycles` later.
    o_active, o_odd, o_ends, o_sum : Out
        Of stage 3: `active`, `odd` and `ends` of the lane, and its window's sum.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        shape = signed(capability.accumulator_bits)
        super().__init__(
            {
                "active": In(1),
                "lane": In(address_bits(capability.lanes)),
                "odd": In(1),
                "ends": In(ends_layout()),
                "shift": Out(1),
                "i_lane": In(shape),
                "ahead": Out(ends_layout()),
                "o_active": Out(1),
                "o_odd": Out(1),
                "o_ends": Out(ends_layout()),
                "o_sum": Out(shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        m.submodules.shown = shown = Memory(
            shape=signed(capability.accumulator_bits), depth=capability.lanes, init=[]
        )
        read, write = shown.read_port(), shown.write_port()

        active1, odd1 = Signal(), Signal()
        active2, odd2 = Signal(), Signal()
        lane1, lane2 = Signal.like(self.lane), Signal.like(self.lane)
        ends1 = Signal(ends_layout())
        # Of stage 2, behind the registers.
        further = pipeline_of(capability).drain_read_cycles - 1
        active = delayed(m, active2, further, name="active")
        odd = delayed(m, odd2, further, name="odd")
        ends = delayed(m, self.ahead, further, name="ends")
        total = delayed(m, self.i_lane, further, name="total")
        before = delayed(m, read.data, further, name="before")
        m.d.sync += [
            active1.eq(self.active), active2.eq(active1), self.o_active.eq(active),
            odd1.eq(self.odd), odd2.eq(odd1), self.o_odd.eq(odd),
            ends1.eq(self.ends), self.ahead.eq(ends1), self.o_ends.eq(ends),
            lane1.eq(self.lane), lane2.eq(lane1),
            self.o_sum.eq(total - before),
        ]  # fmt: skip
        m.d.comb += [
            self.shift.eq(active1),
            read.addr.eq(lane1),
            write.en.eq(active2),
            write.addr.eq(lane2),
            write.data.eq(self.i_lane),
        ]
        return m
