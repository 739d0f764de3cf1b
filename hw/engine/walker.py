"""Word walker: has one word of records read a cycle, and hands it on beside its weights."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.layout import layer_layout
from hw.engine.taps import tap_layout

__all__ = ["WordWalker", "word_layout"]


def word_layout(capability):
    """One word of records, on its way from memory to the array.

    ``address`` is that of its first record; ``weights`` the weight word of that record's winner 0;
    ``image``: it is one byte of the image, at ``address``; ``projection``: the shortcut's;
    ``last`` ends a window; ``last_tile`` and ``last_window`` are the tap's.
    """
    return data.StructLayout(
        {
            "address": capability.record_address_bits,
            "weights": capability.weight_address_bits,
            "image": 1,
            "projection": 1,
            "last": 1,
            "last_tile": 1,
            "last_window": 1,
        }
    )


class WordWalker(wiring.Component):
    """Walks the words of each tap, one a cycle as they are taken, without a gap between taps.

    A word holds `Capability.records_per_word` records of one pixel. Of the image each byte is
    read alone, since a pixel's bytes need not lie in one word.

    The memories are addressed a cycle ahead: what they show belongs to the word at the output.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer : In(layer_layout)
    clear : In(1)
        Forget everything.
    i_taps : In(stream of tap_layout)
    idle, host_address : In(1), In
        No frame runs; the record address that the host wants then, `address` a cycle later.
    address : Out
        Record address, or image byte's, of the word at the output in the next cycle.
    o_words : Out(stream of word_layout)
        The memories show the word's contents in the same cycle.
    """

    def __init__(self, capability):
        self._capability = capability
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "clear": In(1),
                "i_taps": In(stream.Signature(tap_layout(capability))),
                "idle": In(1),
                "host_address": In(capability.record_address_bits),
                "address": Out(capability.record_address_bits),
                "o_words": Out(stream.Signature(word_layout(capability))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        taps, words = self.i_taps, self.o_words
        records = self._capability.records_per_word
        tap = Signal(tap_layout(self._capability))
        image = Signal()  # the word is a byte of the image
        group = Signal.like(layer.group)
        left = Signal(len(layer.groups))  # words of this tap after this one
        final = Signal()  # none
        m.d.comb += [
            group.eq(Mux(tap.projection, layer.projection_group, layer.group)),
            taps.ready.eq(~words.valid | (final & words.ready)),
            words.payload.address.eq(tap.address),
            words.payload.weights.eq(tap.weights),
            words.payload.image.eq(image),
            words.payload.projection.eq(tap.projection),
            words.payload.last.eq(tap.last & final),
            words.payload.last_tile.eq(tap.last_tile),
            words.payload.last_window.eq(tap.last_window),
            self.address.eq(tap.address),
        ]
        with m.If(words.valid & words.ready & ~final):
            m.d.comb += self.address.eq(tap.address + Mux(image, 1, records))
            m.d.sync += [
                tap.address.eq(self.address),
                tap.weights.eq(tap.weights + Mux(image, group, group * records)),
                left.eq(left - 1),
                final.eq(left == 1),
            ]
        with m.If(taps.ready):
            m.d.sync += words.valid.eq(taps.valid)

        following = taps.payload
        from_image, groups, further = Signal(), Signal.like(layer.groups), Signal.like(left)
        m.d.comb += [
            from_image.eq(Mux(following.projection, layer.projection_image, layer.image)),
            groups.eq(Mux(following.projection, layer.projection_groups, layer.groups)),
            further.eq(Mux(from_image, groups, groups >> self._capability.sub_bits)),
        ]
        with m.If(taps.ready & taps.valid):
            m.d.comb += self.address.eq(following.address)
            m.d.sync += [
                tap.eq(following),
                image.eq(from_image),
                left.eq(further),
                final.eq(further == 0),
            ]
        with m.If(self.idle):  # without taps the address stands
            m.d.sync += tap.address.eq(self.host_address)
        with m.If(self.clear):
            m.d.sync += words.valid.eq(0)
        return m
