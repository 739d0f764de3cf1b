"""Whose turn it is: the lanes of a window, one after the other at the layer's pace."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import Capability, address_bits
from hw.engine.drain.layouts import ends_layout
from hw.engine.layout import layer_layout

__all__ = ["LaneCounter"]


class LaneCounter(wiring.Component):
    """Stage 0: gives each lane of a window its turn, every `lane_cycles` cycles from `soon` on.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer, start, clear, soon, last_tile, last_window : In
        As in `Drain`.
    active : Out(1)
        A lane has its turn in this cycle.
    lane, odd : Out
        Its number; it is the second lane of a channel of two.
    ends : Out(ends_layout)
        The lane completes a channel, and with it the pixel, the layer.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "start": In(1),
                "clear": In(1),
                "soon": In(1),
                "last_tile": In(1),
                "last_window": In(1),
                "active": Out(1),
                "lane": Out(address_bits(capability.lanes)),
                "odd": Out(1),
                "ends": Out(ends_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        lane = Signal.like(self.lane)
        running = Signal()  # there are lanes from `lane` on
        pause = Signal(2)  # cycles until the next one
        tile_ends, layer_ends = Signal(), Signal()
        ends_tile, ends_layer = Signal(), Signal()
        channel = Signal()  # this lane completes a channel
        final = Signal()  # the window's last lane
        following_final = Signal()  # the next one is
        m.d.comb += [
            self.active.eq(self.soon | (running & (pause == 0))),
            ends_tile.eq(Mux(self.soon, self.last_tile, tile_ends)),
            ends_layer.eq(Mux(self.soon, self.last_window, layer_ends)),
            self.lane.eq(Mux(self.soon, 0, lane)),
            channel.eq(~layer.wide | self.odd),
            final.eq(Mux(self.soon, self.last_tile & (layer.tile_lanes == 0), following_final)),
            self.ends.valid.eq(self.active & channel & ~self.clear),
            self.ends.pixel.eq(final & ends_tile),
            self.ends.layer.eq(final & ends_layer),
        ]
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.If(self.active):
            following = self.lane + 1
            last = Mux(ends_tile, layer.tile_lanes, self._capability.lanes - 1)
            m.d.sync += [
                self.odd.eq(~channel & ~final),
                pause.eq(layer.lane_cycles),
                running.eq(~final),
                lane.eq(following),
                following_final.eq(following == last),
                tile_ends.eq(ends_tile),
                layer_ends.eq(ends_layer),
            ]
        with m.If(self.start):
            m.d.sync += self.odd.eq(0)
        return m
