"""A channel's sum S: both slices of a wide weight, bias and residual joined."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.capability import PARAMETER_BITS, SLICE_BITS, Capability, address_bits
from hw.engine.drain.layouts import ends_layout, flags_layout, parameter_layout
from hw.engine.layout import layer_layout
from hw.pipeline import CHANNEL_SUM_STAGES

__all__ = ["ChannelSum"]


class ChannelSum(wiring.Component):
    """Stages 4 and 5: (4) the window's sum and the bias, and r * R beside it, (5) S.

    The channel's parameters are asked for at stage 2 and are there beside the window's sum.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer, start, parameter_addr, parameter_data
        As in `Drain`.
    ahead, active, odd, ends, window : In
        Of stages 2 and 3: `WindowSum`'s.
    addend : In
        Of stage 3: `Residual`'s.
    o_flags, o_total : Out(flags_layout), Out(signed accumulator)
        Of stage 5: S and what belongs to it.
    multiplier : Out
        Of the last channel with ``ends``, from stage 4 on until the next one.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        shape = signed(capability.accumulator_bits)
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "start": In(1),
                "parameter_addr": Out(address_bits(capability.parameter_words)),
                "parameter_data": In(PARAMETER_BITS),
                "ahead": In(ends_layout()),
                "active": In(1),
                "odd": In(1),
                "ends": In(ends_layout()),
                "window": In(shape),
                "addend": In(capability.activation_bits),
                "o_flags": Out(flags_layout()),
                "o_total": Out(shape),
                "multiplier": Out(capability.multiplier_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        layer = self.layer

        # Stage 2: address of the parameters. Each pixel begins with those of channel 0.
        address = self.parameter_addr
        with m.If(self.ahead.valid):
            m.d.sync += address.eq(Mux(self.ahead.pixel, layer.parameters, address + 1))

        # Stage 3: the channel's parameters, and its index in its group.
        flags3 = Signal(flags_layout())
        index = Signal.like(flags3.index)
        alone = Signal()  # each channel is requantised, not only its group's winner
        m.d.comb += [
            alone.eq(~layer.before),
            flags3.valid.eq(self.ends.valid),
            flags3.first.eq(index == 0),
            flags3.last.eq(index == layer.output_group),
            flags3.starts.eq(flags3.first | alone),
            flags3.ends.eq(flags3.last | alone),
            flags3.pixel.eq(self.ends.pixel),
            flags3.layer.eq(self.ends.layer),
            flags3.index.eq(index),
        ]
        layout = parameter_layout(capability)
        parameters = data.View(layout, self.parameter_data[: layout.size])
        with m.If(self.ends.valid):
            m.d.sync += index.eq(Mux(flags3.last, 0, index + 1))

        # Stage 4: sum and bias (a wide channel's slices are added in two steps); r * R. The
        # multiplier stays until the requantiser takes it: the next one is far enough behind.
        flags4 = Signal(flags_layout())
        biased = Signal.like(self.o_total)
        product = Signal(signed(capability.factor_bits + capability.activation_bits))
        with m.If(self.active):
            m.d.sync += biased.eq(
                Mux(self.odd, self.window << SLICE_BITS, self.window)
                + Mux(self.odd, biased, parameters.bias)
            )
        with m.If(self.ends.valid & flags3.ends):
            m.d.sync += self.multiplier.eq(parameters.multiplier)
        m.d.sync += [flags4.eq(flags3), product.eq(parameters.factor * self.addend)]

        # Stage 5: S.
        m.d.sync += [self.o_flags.eq(flags4), self.o_total.eq(biased + product)]
        assert len((flags4, self.o_flags)) == CHANNEL_SUM_STAGES

        with m.If(self.start):
            m.d.sync += [index.eq(0), address.eq(layer.parameters)]
        return m
