"""Fetch: from an issue to the array's operands, in three stages of fixed latency."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import OPERAND_BITS, Capability
from hw.engine.walker import issue_layout
from hw.pipeline import SOON_CYCLES

__all__ = ["Fetch"]

_IMAGE_BITS = 2  # of an image byte's address: the byte in its word


class Fetch(wiring.Component):
    """Reads the record or image byte of each issue, then the weights that its winner picks.

    Stages, named by what their registers hold: (0) the walker's issue, whose address the memories
    take, (1) the word, (2) value and winner, which give the weights' address, (3) the value beside
    the weights. The array's stages follow.

    While no frame runs, the host's addresses enter where the issue's would: at stage 0 that of a
    word, at stage 2 that of weights. Its weights come through stage 2's register.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    valid, issue : In(1), In(issue_layout)
        The walker's.
    drain : In(1)
        Pulse, between layers: the array copies its accumulators as they are.
    idle, host_word, host_weights : In
        No frame runs; the host's addresses of a record word and of a weight word.
    word_addr, word_data : Out, In
        Activation memory's main port, one cycle of latency.
    image_addr, image_data : Out, In(32)
        Image memory, one cycle of latency.
    weights_addr : Out
        Weight memory, one cycle of latency: its data and ``o_value`` come together.
    o_valid, o_last, o_value : Out
        The array's operand.
    last_tile, last_window : Out(1)
        Beside the array's `soon`: whether the window ends its pixel, and the layer.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        word, weights = 1 + capability.bank_bits, capability.weight_address_bits
        super().__init__(
            {
                "valid": In(1),
                "issue": In(issue_layout(capability)),
                "drain": In(1),
                "idle": In(1),
                "host_word": In(word),
                "host_weights": In(weights),
                "word_addr": Out(word),
                "word_data": In(capability.word_bits),
                "image_addr": Out(capability.record_address_bits - _IMAGE_BITS),
                "image_data": In(32),
                "weights_addr": Out(weights),
                "o_valid": Out(1),
                "o_last": Out(1),
                "o_value": Out(OPERAND_BITS),
                "last_tile": Out(1),
                "last_window": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        layout = issue_layout(capability)

        # (0) Addresses of records: the walker's own registers.
        record_word = self.issue.address[capability.sub_bits :]
        m.d.comb += [
            self.word_addr.eq(Mux(self.idle, self.host_word, record_word)),
            self.image_addr.eq(self.issue.address[_IMAGE_BITS:]),
        ]

        # (1) The word: pick the record.
        valid1, issue1 = Signal(), Signal(layout)
        m.d.sync += [valid1.eq(self.valid), issue1.eq(self.issue)]
        record = self.word_data.word_select(
            issue1.address[: capability.sub_bits], capability.record_bits
        )
        pixel = self.image_data.word_select(issue1.address[:_IMAGE_BITS], OPERAND_BITS)

        # (2) Value and winner: the weights' address.
        valid2, issue2 = Signal(), Signal(layout)
        value2, winner2 = Signal(OPERAND_BITS), Signal(capability.winner_bits)
        m.d.sync += [valid2.eq(valid1), issue2.eq(issue1)]
        with m.If(issue1.image):
            m.d.sync += [value2.eq(pixel), winner2.eq(0)]
        with m.Else():
            m.d.sync += [
                value2.eq(record[: capability.activation_bits]),
                winner2.eq(record[capability.activation_bits :]),
            ]
        with m.If(self.idle):
            m.d.sync += [issue2.weights.eq(self.host_weights), winner2.eq(0)]
        m.d.comb += self.weights_addr.eq(issue2.weights + winner2)

        # (3) The weights come; the value stands beside them.
        valid3, issue3 = Signal(), Signal(layout)
        m.d.sync += [
            valid3.eq(valid2),
            issue3.eq(issue2),
            self.o_value.eq(value2 << issue2.exponent),
        ]
        m.d.comb += [
            self.o_valid.eq(valid3),
            self.o_last.eq((issue3.last & valid3) | self.drain),
        ]

        # What the window ends, as much later as the array says that the window is over.
        ends = Cat(issue3.last_tile & ~self.drain, issue3.last_window)
        for _ in range(SOON_CYCLES):
            later = Signal(2)
            m.d.sync += later.eq(ends)
            ends = later
        m.d.comb += Cat(self.last_tile, self.last_window).eq(ends)
        return m
