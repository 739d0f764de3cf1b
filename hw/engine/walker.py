"""Record walker: hands out one record address and one weight address a cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.layout import layer_layout
from hw.engine.taps import tap_layout

__all__ = ["RecordWalker", "issue_layout"]


def issue_layout(capability):
    """One multiplication slot of the array.

    ``address`` is the record's; ``weights`` the weight word of its winner 0; ``image`` and
    ``exponent`` say how its value is read; ``last`` ends a window;
    ``last_tile`` and ``last_window`` are the tap's.
    """
    return data.StructLayout(
        {
            "address": capability.record_address_bits,
            "weights": capability.weight_address_bits,
            "image": 1,
            "exponent": 3,
            "last": 1,
            "last_tile": 1,
            "last_window": 1,
        }
    )


class RecordWalker(wiring.Component):
    """Walks the groups of each tap, one a cycle, without a gap between taps.

    The only place where the datapath waits: a window's last record is held until the drain of
    the window before has begun its last lane. Everything behind has a fixed latency.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer : In(layer_layout)
    clear : In(1)
        Forget everything.
    i_taps : In(stream of tap_layout)
    valid, issue : Out(1), Out(issue_layout)
        A record is issued in this cycle.
    """

    def __init__(self, capability):
        self._capability = capability
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "clear": In(1),
                "i_taps": In(stream.Signature(tap_layout(capability))),
                "valid": Out(1),
                "issue": Out(issue_layout(capability)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        taps = self.i_taps
        active = Signal()
        tap = Signal(tap_layout(self._capability))
        left = Signal(8)  # groups of this tap after this one
        final = Signal()  # this group is the tap's last one
        draining = Signal(
            len(layer.drain_cycles)
        )  # cycles that the drain of the window before still takes
        drained = Signal(init=1)  # none
        following = Signal.like(draining)

        held = Signal()  # should this be the last group: wait
        m.d.comb += [
            held.eq(tap.last & ~drained),
            self.valid.eq(active & ~(final & held)),
            taps.ready.eq(~active | (final & ~held)),
            self.issue.address.eq(tap.address),
            self.issue.weights.eq(tap.weights),
            self.issue.image.eq(Mux(tap.projection, layer.projection_image, layer.image)),
            self.issue.exponent.eq(Mux(tap.projection, layer.exponent, 0)),
            self.issue.last.eq(tap.last & final),
            self.issue.last_tile.eq(tap.last_tile),
            self.issue.last_window.eq(tap.last_window),
        ]

        m.d.comb += following.eq(Mux(drained, 0, draining - 1))
        m.d.sync += [draining.eq(following), drained.eq(following == 0)]
        # The address is that of a record even between taps: any other might be in the bank that
        # the drain is reading the identity residual from.
        with m.If(self.valid & ~final):
            m.d.sync += [
                tap.address.eq(tap.address + 1),
                tap.weights.eq(
                    tap.weights + Mux(tap.projection, layer.projection_group, layer.group)
                ),
                left.eq(left - 1),
                final.eq(left == 1),
            ]
        with m.If(self.valid):
            with m.If(self.issue.last):
                m.d.sync += [
                    draining.eq(Mux(tap.last_tile, layer.last_drain_cycles, layer.drain_cycles)),
                    drained.eq(0),
                ]
        with m.If(taps.ready):
            m.d.sync += active.eq(taps.valid)
        with m.If(taps.ready & taps.valid):
            groups = Mux(taps.payload.projection, layer.projection_groups, layer.groups)
            m.d.sync += [tap.eq(taps.payload), left.eq(groups), final.eq(groups == 0)]
        with m.If(self.clear):
            m.d.sync += [active.eq(0), drained.eq(1)]
        return m
