"""The stages behind the walker: what the memories show of a word, and a register of it."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.capability import Capability
from hw.engine.queue import Queue
from hw.engine.walker import word_layout

__all__ = ["WordStages"]

_BYTES_BITS = 32  # of a word of the image


class WordStages(wiring.Component):
    """Holds a word while the memories show it, and then in a register beside what they showed.

    The walker's word addresses the memories in the cycle in which it is taken. A word passes in two
    cycles, one in each cycle, as long as the issuer takes them. While no word is under way, the
    register follows the memories.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    clear : In(1)
        Drop the word.
    i_words : In(stream of word_layout)
        The walker's.
    advance : Out(1)
        In the next cycle the memories show what they are asked for in this one; else they go on
        showing what they show.
    i_records, i_bytes : In, In(32)
        What the memories of records and of the image show.
    o_words, o_records, o_bytes : Out(stream of word_layout), Out, Out(32)
        To the issuer: a word, and what the memories showed of it.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        bits = capability.word_bits
        super().__init__(
            {
                "clear": In(1),
                "i_words": In(stream.Signature(word_layout(capability))),
                "advance": Out(1),
                "i_records": In(bits),
                "i_bytes": In(_BYTES_BITS),
                "o_words": Out(stream.Signature(word_layout(capability))),
                "o_records": Out(bits),
                "o_bytes": Out(_BYTES_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        item = data.StructLayout(
            {
                "word": word_layout(self._capability),
                "records": self._capability.word_bits,
                "bytes": _BYTES_BITS,
            }
        )
        m.submodules.shown = shown = Queue(word_layout(self._capability))
        m.submodules.queue = queue = Queue(item)
        wiring.connect(m, wiring.flipped(self.i_words), shown.i)
        m.d.comb += [
            self.advance.eq(shown.i.ready),
            shown.clear.eq(self.clear),
            queue.clear.eq(self.clear),
            queue.i.valid.eq(shown.o.valid),
            shown.o.ready.eq(queue.i.ready),
            queue.i.payload.word.eq(shown.o.payload),
            queue.i.payload.records.eq(self.i_records),
            queue.i.payload.bytes.eq(self.i_bytes),
            self.o_words.valid.eq(queue.o.valid),
            self.o_words.payload.eq(queue.o.payload.word),
            self.o_records.eq(queue.o.payload.records),
            self.o_bytes.eq(queue.o.payload.bytes),
            queue.o.ready.eq(self.o_words.ready),
        ]
        return m
