"""Image memory: the bytes of the input image."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.capability import Capability, address_bits
from hw.engine.memory.word_array import WordArray
from hw.pipeline import pipeline_of
from hw.regions import Region

__all__ = ["ImageMemory"]


class ImageMemory(wiring.Component):
    """The input image: bytes in words of 32 bits, written whole.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    addr, data : In(word), Out(32)
        Read port; one cycle of latency.
    advance : In(1)
        In a long pipeline alone: unless it is set, `data` stays.
    write, write_addr, write_data : In
        Write port.
    """

    region = Region.IMAGE

    def __init__(self, capability: Capability) -> None:
        self._parts = capability.image_parts
        address = address_bits(sum(self._parts))
        self._stays = pipeline_of(capability).word_stages > 0
        advance = {"advance": In(1)} if self._stays else {}
        super().__init__(
            {
                "addr": In(address),
                "data": Out(32),
                "write": In(1),
                "write_addr": In(address),
                "write_data": In(32),
            }
            | advance
        )

    @property
    def arrays(self) -> tuple[WordArray, ...]:
        """One, or two if the depth is no power of two."""
        split, rest = self._parts
        low = WordArray(path=("low",), bits=32, depth=split)
        high = WordArray(path=("high",), bits=32, depth=rest, first=split)
        return (low, high) if rest else (low,)

    def elaborate(self, platform):
        m = Module()
        split, _ = self._parts
        parts = []
        for array in self.arrays:
            memory = Memory(shape=array.bits, depth=array.depth, init=[])
            m.submodules[array.name] = memory
            read = memory.read_port()
            write = memory.write_port()
            beyond = (self.write_addr & split).any()
            m.d.comb += [
                read.addr.eq(self.addr),
                write.addr.eq(self.write_addr),
                write.data.eq(self.write_data),
                write.en.eq(self.write & (beyond if array.first else ~beyond)),
            ]
            if self._stays:
                m.d.comb += read.en.eq(self.advance)
            parts.append(read.data)
        if len(parts) == 1:
            m.d.comb += self.data.eq(parts[0])
        else:
            beyond = Signal()
            following = (self.addr & split).any()
            if self._stays:
                following = Mux(self.advance, following, beyond)
            m.d.sync += beyond.eq(following)
            m.d.comb += self.data.eq(Mux(beyond, parts[1], parts[0]))
        return m
