"""Packing and write-back: records gather in a word; a classifier's sums are words themselves."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.capability import Capability
from hw.engine.drain.layouts import flags_layout
from hw.engine.layout import layer_layout, loads_layout

__all__ = ["Packer"]


class Packer(wiring.Component):
    """Writes the layer's words one after the other.

    A word of records is written when it is full or when its pixel ends. What the pixel leaves free
    of its last word is 0, so that nobody multiplies it.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer, loads, start : In
        As in `Drain`.
    valid, value, index : In
        A group's winner: `GroupWinner`'s.
    ends_pixel : In(1)
        The pixel ends with the group of this cycle.
    total_valid, total : In
        A channel's S, which is what a classifier writes.
    write, write_addr, write_data : Out
        Activation memory's write port.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "loads": In(loads_layout()),
                "start": In(1),
                "valid": In(1),
                "value": In(capability.activation_bits),
                "index": In(flags_layout()["index"].width),
                "ends_pixel": In(1),
                "total_valid": In(1),
                "total": In(signed(capability.accumulator_bits)),
                "write": Out(1),
                "write_addr": Out(1 + capability.bank_bits),
                "write_data": Out(capability.word_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        layer = self.layer

        some = self.value.any()
        record = Cat(
            Mux(layer.binary, some, self.value),
            Mux(some, self.index[: capability.winner_bits], 0),
        )
        slot = Signal(capability.sub_bits)
        gathered = Signal(data.ArrayLayout(capability.record_bits, capability.records_per_word))
        packed = Signal.like(gathered)
        full = Signal()
        m.d.comb += packed.eq(gathered)
        for number in range(capability.records_per_word):
            with m.If(slot == number):
                m.d.comb += packed[number].eq(record)
        of_records = Signal()
        m.d.comb += [
            full.eq(slot == capability.records_per_word - 1),
            of_records.eq(self.valid & (full | self.ends_pixel)),
        ]
        with m.If(self.valid):
            m.d.sync += [gathered.eq(packed), slot.eq(slot + 1)]
        with m.If(of_records | self.start):
            m.d.sync += [gathered.eq(0), slot.eq(0)]

        address = Signal.like(self.write_addr)
        m.d.comb += [
            self.write.eq(Mux(layer.classifier, self.total_valid, of_records)),
            self.write_addr.eq(address),
            self.write_data.eq(Mux(layer.classifier, self.total, packed)),
        ]
        with m.If(self.write):
            m.d.sync += address.eq(address + 1)
        with m.If(self.loads.output):
            m.d.sync += address.eq(layer.output[capability.sub_bits :])
        return m
