"""Weight memory: a word of weights for all lanes in each cycle."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import SLICE_BITS, Capability, address_bits
from hw.engine.memory.word_array import BUS_BITS, WordArray
from hw.families import find_family
from hw.regions import Region

__all__ = ["WeightMemory"]


class WeightMemory(wiring.Component):
    """One word is the slices of all lanes: what the array needs in one cycle.

    On iCE40 a word is spread over SB_SPRAM256KA blocks (16 bits each, Lattice TN1314, table 1);
    elsewhere it is inferred. One port: the host writes 32 bits at a time, and only while the
    engine does not read.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    addr, data : In(word), Out(lanes * SLICE_BITS)
        Read port; one cycle of latency.
    write, write_half, write_mask, write_data : In
        Write those bytes that ``write_mask`` has of 32 bits, number ``write_half`` of the word at
        ``addr``.
    """

    region = Region.WEIGHTS

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        self._bits = capability.lanes * SLICE_BITS
        halves = capability.bus_words_per_weight_word
        super().__init__(
            {
                "addr": In(capability.weight_address_bits),
                "data": Out(self._bits),
                "write": In(1),
                "write_half": In(address_bits(halves)),
                "write_mask": In(4),
                "write_data": In(32),
            }
        )

    @property
    def arrays(self) -> tuple[WordArray, ...]:
        """One for each of the family's blocks, or for each 32 bits of a word."""
        capability = self._capability
        block = find_family(capability.family).weight_block
        if block is not None:
            parts = self._bits // block.bits
            return tuple(
                WordArray(
                    path=(f"{block.name}{part}", block.array),
                    bits=block.bits,
                    depth=block.depth,
                    piece_bits=block.bits,
                    part=part,
                    parts=parts,
                )
                for part in range(parts)
            )
        halves = capability.bus_words_per_weight_word
        return tuple(
            WordArray(
                path=(f"half{half}",),
                bits=BUS_BITS,
                depth=capability.weight_depth,
                part=half,
                parts=halves,
            )
            for half in range(halves)
        )

    def elaborate(self, platform):
        m = Module()
        halves = self._capability.bus_words_per_weight_word
        write = [
            self.write & (self.write_half == half) if halves > 1 else self.write
            for half in range(halves)
        ]
        blocks = find_family(self._capability.family).blocks()
        blocks.weight_store(m, self, write, depth=self._capability.weight_depth)
        return m
