"""Operands: from an issue to what the array multiplies, in stages of fixed latency."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import OPERAND_BITS, Capability
from hw.engine.delay import delayed
from hw.engine.issuer import issue_layout
from hw.pipeline import SOON_CYCLES, pipeline_of

__all__ = ["Operands"]


class Operands(wiring.Component):
    """Reads the weights that each record's winner picks, and brings the value beside them.

    Stages, named by what their registers hold: (1) the issue, whose winner gives the weights'
    address, (2) the value beside the weights; between them whatever registers the weight memory
    has before it and behind it. The array's stages follow.

    While no frame runs, the host's address of weights goes through stage 1's register.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    valid, last, issue : In(1), In(1), In(issue_layout)
        The issuer's.
    drain : In(1)
        Pulse, between layers: the array copies its accumulators as they are.
    idle, host_weights : In(1), In
        No frame runs; the host's address of a weight word.
    weights_addr : Out
        Weight memory, `Pipeline.weight_cycles` of latency: its data and ``o_value`` come together.
    o_valid, o_last, o_value : Out
        The array's operand.
    last_tile, last_window : Out(1)
        Beside the array's `soon`: whether the window ends its pixel, and the layer.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        super().__init__(
            {
                "valid": In(1),
                "last": In(1),
                "issue": In(issue_layout(capability)),
                "drain": In(1),
                "idle": In(1),
                "host_weights": In(capability.weight_address_bits),
                "weights_addr": Out(capability.weight_address_bits),
                "o_valid": Out(1),
                "o_last": Out(1),
                "o_value": Out(OPERAND_BITS),
                "last_tile": Out(1),
                "last_window": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # (1) Value and winner: the weights' address.
        valid1, last1 = Signal(), Signal()
        issue1 = Signal(issue_layout(self._capability))
        m.d.sync += [valid1.eq(self.valid), last1.eq(self.last), issue1.eq(self.issue)]
        with m.If(self.idle):
            m.d.sync += [issue1.weights.eq(self.host_weights), issue1.winner.eq(0)]
        pipeline = pipeline_of(self._capability)
        before = pipeline.address_cycles - 1
        address = delayed(m, issue1.weights + issue1.winner, before, name="address")
        m.d.comb += self.weights_addr.eq(address)
        further = before + pipeline.weight_cycles - 1
        valid1 = delayed(m, valid1, further, name="valid")
        last1 = delayed(m, last1, further, name="last")
        issue1 = delayed(m, issue1, further, name="issue")

        # (2) The weights come; the value stands beside them.
        last2, last_tile2, last_window2 = Signal(), Signal(), Signal()
        m.d.sync += [
            self.o_valid.eq(valid1),
            last2.eq(last1),
            last_tile2.eq(issue1.last_tile),
            last_window2.eq(issue1.last_window),
            self.o_value.eq(issue1.value << issue1.exponent),
        ]
        m.d.comb += self.o_last.eq(last2 | self.drain)

        # What the window ends, as much later as the array says that the window is over.
        ends = Cat(last_tile2 & ~self.drain, last_window2)
        for _ in range(SOON_CYCLES):
            later = Signal(2)
            m.d.sync += later.eq(ends)
            ends = later
        m.d.comb += Cat(self.last_tile, self.last_window).eq(ends)
        return m
