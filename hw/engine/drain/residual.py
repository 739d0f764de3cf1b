"""The identity residual: its record for each group, and its value for the channel that won."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import Capability
from hw.engine.delay import delayed
from hw.engine.drain.layouts import ends_layout
from hw.engine.layout import layer_layout, loads_layout
from hw.pipeline import pipeline_of

__all__ = ["Residual"]


class Residual(wiring.Component):
    """Reads the residual's records in the order of the output's channels.

    A record says which channel of the residual's group has its value; the others have 0. Stages:
    (0) the address, (1) the word, (2, 3) the value. In a long pipeline the word comes a stage
    later, and the record that is picked from it has a register in place of the value's first.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer, loads, start : In
        As in `Drain`.
    ends : In(ends_layout)
        Of stage 0: `LaneCounter`'s.
    addr, data : Out, In
        Activation memory's second port, `Pipeline.drain_read_cycles` of latency.
    addend : Out
        Of stage 3, beside the window's sum: R of the channel that `ends` told of; 0 in a layer
        without a residual.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "loads": In(loads_layout()),
                "start": In(1),
                "ends": In(ends_layout()),
                "addr": Out(1 + capability.bank_bits),
                "data": In(capability.word_bits),
                "addend": Out(capability.activation_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        layer = self.layer
        sub_bits = capability.sub_bits

        # Stage 0: the record's address. Records of a pixel begin with a word.
        index = Signal(capability.winner_bits)  # of the channel in the residual's group
        record = Signal(len(self.addr) + sub_bits)
        m.d.comb += self.addr.eq(record[sub_bits:])
        with m.If(self.ends.valid):
            m.d.sync += index.eq(index + 1)
            with m.If(index == layer.identity_group):
                m.d.sync += [index.eq(0), record.eq(record + 1)]
            with m.If(self.ends.pixel):
                m.d.sync += record.eq((record[sub_bits:] + 1) << sub_bits)
        with m.If(self.start):
            m.d.sync += index.eq(0)
        with m.If(self.loads.identity_source):
            m.d.sync += record.eq(layer.identity_source)

        # Stage 1: the word.
        sub1, index1 = Signal(sub_bits), Signal.like(index)
        m.d.sync += [sub1.eq(record[:sub_bits]), index1.eq(index)]
        further = pipeline_of(capability).drain_read_cycles - 1
        sub1 = delayed(m, sub1, further, name="sub")
        index1 = delayed(m, index1, 2 * further, name="index")
        word = self.data.word_select(sub1, capability.record_bits)
        word = delayed(m, word, further, name="record_read")
        value, winner = word[: capability.activation_bits], word[capability.activation_bits :]

        # Stages 2 and 3: the value.
        addend = Mux(layer.identity & (winner == index1), value, 0)
        m.d.sync += self.addend.eq(delayed(m, addend, 1 - further, name="addend2"))
        return m
