"""Fetch: the address of a word, to the memories; what they show, to the issuer."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import OPERAND_BITS, Capability
from hw.engine.walker import word_layout

__all__ = ["Fetch", "data_bits"]

_IMAGE_BITS = 2  # of an image byte's address: the byte in its word


def data_bits(capability: Capability) -> int:
    """Bits of what is read at once: a word of records, or a byte of the image."""
    return max(capability.word_bits, OPERAND_BITS)


class Fetch(wiring.Component):
    """Reads a word of records, or a byte of the image. Everything here is combinational.

    In a long pipeline a `hw.engine.stages.WordStages` lies between the memories and `word_data`,
    `image_data`.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    address : In
        Of the word that the memories must show in the next cycle: the walker's.
    word : In(word_layout)
        The word whose data comes in this cycle.
    word_addr, word_data : Out, In
        Activation memory's main port.
    image_addr, image_data : Out, In(32)
        Image memory.
    data : Out(data_bits)
        The records of `word`, or its byte.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        super().__init__(
            {
                "address": In(capability.record_address_bits),
                "word": In(word_layout(capability)),
                "word_addr": Out(1 + capability.bank_bits),
                "word_data": In(capability.word_bits),
                "image_addr": Out(capability.record_address_bits - _IMAGE_BITS),
                "image_data": In(32),
                "data": Out(data_bits(capability)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        byte = self.image_data.word_select(self.word.address[:_IMAGE_BITS], OPERAND_BITS)
        m.d.comb += [
            self.word_addr.eq(self.address[self._capability.sub_bits :]),
            self.image_addr.eq(self.address[_IMAGE_BITS:]),
            self.data.eq(Mux(self.word.image, byte, self.word_data)),
        ]
        return m
