"""Record issuer: a short queue of words, out of which the non-zero records come one a cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.capability import OPERAND_BITS, address_bits
from hw.engine.fetch import data_bits
from hw.engine.layout import layer_layout
from hw.engine.walker import word_layout
from hw.pipeline import QUEUED_WORDS

__all__ = ["RecordIssuer", "issue_layout"]


def issue_layout(capability):
    """One multiplication slot of the array.

    ``value`` and ``winner`` are the record's; ``weights`` is the weight word of its winner 0;
    ``exponent`` shifts its value. If a window ends, ``last_tile`` says whether the pixel does,
    ``last_window`` whether the layer does.
    """
    return data.StructLayout(
        {
            "value": OPERAND_BITS,
            "winner": capability.winner_bits,
            "weights": capability.weight_address_bits,
            "exponent": address_bits(OPERAND_BITS),
            "last_tile": 1,
            "last_window": 1,
        }
    )


class RecordIssuer(wiring.Component):
    """Skips zeros: issues the non-zero records of each word, one a cycle, lowest first.

    Words without any are dropped as they come, unless they end a window: such a word takes a cycle
    in which nothing is multiplied. Bytes of the image are issued whether 0 or not. While the
    records of one word are issued, the next words gather, so that dropped words cost nothing.

    The only place where the datapath waits: the last record of a window is held until the drain
    of the window before has begun its last lane. Everything behind has a fixed latency.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer : In(layer_layout)
    clear : In(1)
        Forget everything.
    i_words, i_data : In(stream of word_layout), In(data_bits)
        A word, and beside it the word's records; of the image, the byte.
    valid : Out(1)
        `issue` holds a record to multiply.
    last : Out(1)
        A window ends in this cycle, with a record or without one.
    issue : Out(issue_layout)
    """

    def __init__(self, capability):
        self._capability = capability
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "clear": In(1),
                "i_words": In(stream.Signature(word_layout(capability))),
                "i_data": In(data_bits(capability)),
                "valid": Out(1),
                "last": Out(1),
                "issue": Out(issue_layout(capability)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        layer = self.layer
        records = capability.records_per_word
        entry = data.StructLayout(
            {
                "records": len(self.i_data),
                "some": records,  # those that are still to be issued
                "weights": capability.weight_address_bits,
                "projection": 1,
                "last": 1,
                "last_tile": 1,
                "last_window": 1,
            }
        )

        # A word comes from memory.
        arrived = Signal(entry)
        kept = Signal()  # it has something to do
        word = self.i_words.payload
        m.d.comb += [
            arrived.records.eq(self.i_data),
            arrived.weights.eq(word.weights),
            arrived.projection.eq(word.projection),
            arrived.last.eq(word.last),
            arrived.last_tile.eq(word.last_tile),
            arrived.last_window.eq(word.last_window),
            kept.eq(self.i_words.valid & self.i_words.ready & (word.last | arrived.some.any())),
        ]
        for number in range(records):
            record = self.i_data.word_select(number, capability.record_bits)
            some = record[: capability.activation_bits].any()
            m.d.comb += arrived.some[number].eq(Mux(word.image, int(number == 0), some))

        # The queue: entry 0 is the one at work, the others move up behind it.
        entries = [Signal(entry, name=f"entry{number}") for number in range(QUEUED_WORDS)]
        full = Signal(QUEUED_WORDS)
        leaves = Signal()
        head = entries[0]
        m.d.comb += self.i_words.ready.eq(~full[-1])
        for number, here in enumerate(entries):
            behind = full[number + 1] if number + 1 < QUEUED_WORDS else 0
            following = entries[number + 1] if number + 1 < QUEUED_WORDS else arrived
            with m.If(leaves | ~full[number]):
                m.d.sync += here.eq(Mux(behind, following, arrived))
            before = full[number - 1] if number else 1
            m.d.sync += full[number].eq(
                Mux(
                    leaves,
                    behind | (full[number] & kept),
                    full[number] | (before & kept),
                )
            )

        # The record at work: the lowest one that is left.
        draining = Signal(len(layer.drain_cycles))  # cycles until the next window may end
        drained = Signal(init=1)  # none
        following = Signal.like(draining)
        after = Signal(records)  # what is left behind this record
        only = Signal()  # nothing
        held = Signal()
        index = Signal(max(1, capability.sub_bits))
        record = Signal(capability.record_bits)
        group = Signal.like(layer.group)
        m.d.comb += [
            only.eq(~after.any()),
            held.eq(head.last & only & ~drained),
            leaves.eq(full[0] & only & ~held),
            self.valid.eq(full[0] & head.some.any() & ~held),
            self.last.eq(leaves & head.last),
            group.eq(Mux(head.projection, layer.projection_group, layer.group)),
            self.issue.weights.eq(head.weights + _times(index, group)),
            self.issue.value.eq(record[: capability.activation_bits]),
            self.issue.winner.eq(record[capability.activation_bits :]),
            self.issue.exponent.eq(Mux(head.projection, layer.exponent, 0)),
            self.issue.last_tile.eq(head.last_tile),
            self.issue.last_window.eq(head.last_window),
        ]
        for number in range(1, records):
            m.d.comb += after[number].eq(head.some[number] & head.some[:number].any())
        for number in reversed(range(records)):
            with m.If(head.some[number]):
                m.d.comb += [
                    index.eq(number),
                    record.eq(head.records.word_select(number, capability.record_bits)),
                ]
        with m.If(Mux(head.projection, layer.projection_image, layer.image)):
            m.d.comb += [
                self.issue.value.eq(head.records[:OPERAND_BITS]),
                self.issue.winner.eq(0),
            ]
        with m.If(full[0] & ~only):
            m.d.sync += head.some.eq(after)

        m.d.comb += following.eq(Mux(drained, 0, draining - 1))
        m.d.sync += [draining.eq(following), drained.eq(following == 0)]
        with m.If(self.last):
            m.d.sync += [
                draining.eq(Mux(head.last_tile, layer.last_drain_cycles, layer.drain_cycles)),
                drained.eq(0),
            ]
        with m.If(self.clear):
            m.d.sync += [full.eq(0), drained.eq(1)]
        return m


def _times(index, value):
    """Their product as a sum of shifted values: `index` has a bit or two."""
    parts = [Mux(bit, value << number, 0) for number, bit in enumerate(index)]
    return sum(parts[1:], parts[0])
