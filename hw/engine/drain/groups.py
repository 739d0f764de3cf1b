"""A group's winner: by S before the requantiser, or by Q behind it."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import Capability
from hw.engine.drain.layouts import flags_layout
from hw.engine.drain.requantise import Requantiser
from hw.engine.drain.winner import WinnerTakesAll
from hw.engine.layout import layer_layout

__all__ = ["GroupWinner"]


class GroupWinner(wiring.Component):
    """Stages 6 to 8: (6) the winner by S, (7) the requantiser, (8) the winner by Q.

    In order `before` stage 7 sees one sum a group, and stage 8 passes it on. In order `after`
    stage 6 passes on each channel's sum. `lane_cycles` keeps the sums of stage 7
    REQUANTISE_INTERVAL cycles apart.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer : In(layer_layout)
    flags, total, multiplier : In
        Of stage 5: `ChannelSum`'s.
    o_valid, o_value, o_index : Out
        A group's winner: its value and its index in the group.
    ends_pixel, ends_layer : Out(1)
        The pixel, the layer ends with the group of this cycle.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        flags = flags_layout()
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "flags": In(flags),
                "total": In(signed(capability.accumulator_bits)),
                "multiplier": In(capability.multiplier_bits),
                "o_valid": Out(1),
                "o_value": Out(capability.activation_bits),
                "o_index": Out(flags["index"].width),
                "ends_pixel": Out(1),
                "ends_layer": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        layer, flags = self.layer, self.flags
        index_bits = len(flags.index)

        # Stage 6: the group's winner by S, where the order is `before`; else each channel's own S.
        # Compared as offset binary (sign bit inverted): an unsigned comparison is a plain carry.
        m.submodules.by_sum = by_sum = WinnerTakesAll(
            lanes=1, key_shape=unsigned(capability.accumulator_bits), index_bits=index_bits
        )
        offset = 1 << capability.accumulator_bits - 1
        flags6 = Signal(flags_layout())
        m.d.comb += [
            by_sum.i_valid.eq(flags.valid),
            by_sum.i_first.eq(flags.starts),
            by_sum.i_last.eq(flags.ends),
            by_sum.i_keys[0].eq(self.total.as_unsigned() ^ offset),
            by_sum.i_index.eq(flags.index),
        ]
        m.d.sync += flags6.eq(flags)

        # Stage 7: the requantiser. What belongs to its sum waits beside it.
        m.submodules.requantiser = requantiser = Requantiser(capability)
        m.d.comb += [
            requantiser.i_valid.eq(by_sum.o_valid),
            requantiser.i_sum.eq((by_sum.o_key ^ offset).as_signed()),
            requantiser.i_multiplier.eq(self.multiplier),
            requantiser.maximum.eq(layer.maximum),
        ]
        waiting, flags7 = Signal(flags_layout()), Signal(flags_layout())
        with m.If(by_sum.o_valid):
            m.d.sync += [
                waiting.eq(flags6),
                waiting.first.eq(flags6.first | layer.before),
                waiting.index.eq(by_sum.o_index),
            ]
        with m.If(requantiser.o_soon):
            m.d.sync += flags7.eq(waiting)

        # Stage 8: the group's winner by Q, where the order is `after`.
        m.submodules.by_value = by_value = WinnerTakesAll(
            lanes=1, key_shape=capability.activation_bits, index_bits=index_bits
        )
        m.d.comb += [
            by_value.i_valid.eq(requantiser.o_valid),
            by_value.i_first.eq(flags7.first),
            by_value.i_last.eq(flags7.last),
            by_value.i_keys[0].eq(requantiser.o_value),
            by_value.i_index.eq(flags7.index),
            self.o_valid.eq(by_value.o_valid),
            self.o_value.eq(by_value.o_key),
            self.o_index.eq(by_value.o_index),
        ]
        m.d.sync += [
            self.ends_pixel.eq(requantiser.o_valid & flags7.pixel),
            self.ends_layer.eq(requantiser.o_valid & flags7.layer),
        ]
        return m
