"""Drain: how its parts are wired."""

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import PARAMETER_BITS, Capability, address_bits
from hw.engine.drain.groups import GroupWinner
from hw.engine.drain.lanes import LaneCounter
from hw.engine.drain.layouts import flags_layout
from hw.engine.drain.pack import Packer
from hw.engine.drain.residual import Residual
from hw.engine.drain.sums import ChannelSum
from hw.engine.drain.window import WindowSum
from hw.engine.layout import layer_layout, loads_layout

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Bias, residual, requantiser, winner-takes-all, packing and write-back.

    A lane enters every `lane_cycles` cycles after `soon`; nothing behind it waits. Stages, named
    by what their registers hold:

    - (0) the residual's address (`LaneCounter`, `Residual`),
    - (1) the residual's word, (2) the lane's running sum, (3) the window's sum (`WindowSum`),
    - (4) sum and bias, (5) S (`ChannelSum`),
    - (6) the winner by S, (7) the requantiser, (8) the winner by Q (`GroupWinner`),

    and behind them the words (`Packer`).

    While `clear` holds, lanes update what each lane showed last, and nothing else happens.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer, loads : In(layer_layout), In(loads_layout)
    start : In(1)
        Pulse: a layer begins.
    clear : In(1)
        Lanes pass without effect but on that memory; held until the stages have run empty.
    soon, last_tile, last_window : In(1)
        In two cycles `i_lane` shows lane 0 of a window; which window it is.
    shift : Out(1)
        In the next cycle `i_lane` must show the next lane (or, if there is none, anything).
    i_lane : In(signed accumulator)
    parameter_addr, parameter_data : Out, In
        Parameter memory, `Pipeline.drain_read_cycles` of latency.
    identity_addr, identity_data : Out, In
        Activation memory's second port, `Pipeline.drain_read_cycles` of latency.
    write, write_addr, write_data : Out
        Activation memory's write port.
    done : Out(1)
        Pulse: the layer's last word has been written.
    decision : Out(8)
        The classifier's class, valid with `done`.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        word = 1 + capability.bank_bits
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "loads": In(loads_layout()),
                "start": In(1),
                "clear": In(1),
                "soon": In(1),
                "last_tile": In(1),
                "last_window": In(1),
                "shift": Out(1),
                "i_lane": In(signed(capability.accumulator_bits)),
                "parameter_addr": Out(address_bits(capability.parameter_words)),
                "parameter_data": In(PARAMETER_BITS),
                "identity_addr": Out(word),
                "identity_data": In(capability.word_bits),
                "write": Out(1),
                "write_addr": Out(word),
                "write_data": Out(capability.word_bits),
                "done": Out(1),
                "decision": Out(flags_layout()["index"].width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        m.submodules.lanes = lanes = LaneCounter(capability)
        m.submodules.residual = residual = Residual(capability)
        m.submodules.window = window = WindowSum(capability)
        m.submodules.sums = sums = ChannelSum(capability)
        m.submodules.groups = groups = GroupWinner(capability)
        m.submodules.packer = packer = Packer(capability)

        for part in (lanes, residual, sums, groups, packer):
            m.d.comb += part.layer.eq(self.layer)
        for part in (residual, packer):
            m.d.comb += part.loads.eq(self.loads)
        for part in (lanes, residual, sums, packer):
            m.d.comb += part.start.eq(self.start)

        # Stage 0, and what it gives to the next ones.
        m.d.comb += [
            lanes.clear.eq(self.clear),
            lanes.soon.eq(self.soon),
            lanes.last_tile.eq(self.last_tile),
            lanes.last_window.eq(self.last_window),
            residual.ends.eq(lanes.ends),
            self.identity_addr.eq(residual.addr),
            residual.data.eq(self.identity_data),
            window.active.eq(lanes.active),
            window.lane.eq(lanes.lane),
            window.odd.eq(lanes.odd),
            window.ends.eq(lanes.ends),
            window.i_lane.eq(self.i_lane),
            self.shift.eq(window.shift),
        ]

        # Stages 3 and 5.
        m.d.comb += [
            sums.ahead.eq(window.ahead),
            sums.active.eq(window.o_active),
            sums.odd.eq(window.o_odd),
            sums.ends.eq(window.o_ends),
            sums.window.eq(window.o_sum),
            sums.addend.eq(residual.addend),
            self.parameter_addr.eq(sums.parameter_addr),
            sums.parameter_data.eq(self.parameter_data),
            groups.flags.eq(sums.o_flags),
            groups.total.eq(sums.o_total),
            groups.multiplier.eq(sums.multiplier),
        ]

        # Stage 8, and the words.
        m.d.comb += [
            packer.valid.eq(groups.o_valid),
            packer.value.eq(groups.o_value),
            packer.index.eq(groups.o_index),
            packer.ends_pixel.eq(groups.ends_pixel),
            packer.total_valid.eq(sums.o_flags.valid),
            packer.total.eq(sums.o_total),
            self.write.eq(packer.write),
            self.write_addr.eq(packer.write_addr),
            self.write_data.eq(packer.write_data),
            self.done.eq(groups.ends_layer),
            self.decision.eq(groups.o_index),
        ]
        return m
