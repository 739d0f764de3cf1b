"""Parameter memory: what each channel has beside its weights."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.capability import PARAMETER_BITS, Capability, address_bits
from hw.engine.delay import delayed
from hw.engine.memory.word_array import WordArray
from hw.pipeline import pipeline_of
from hw.regions import Region

__all__ = ["ParameterMemory"]


class ParameterMemory(wiring.Component):
    """Bias, multiplier and residual factor of each channel: words of 48 bits.

    The host writes a word as its low 32 bits and its high 16 bits.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    addr, data : In(word), Out(48)
        Read port; `Pipeline.drain_read_cycles` of latency.
    write, write_addr, write_high, write_data : In
        Write port; ``write_high`` picks the half.
    """

    region = Region.PARAMETERS

    def __init__(self, capability: Capability) -> None:
        self._depth = capability.parameter_words
        self._read_cycles = pipeline_of(capability).drain_read_cycles
        address = address_bits(self._depth)
        super().__init__(
            {
                "addr": In(address),
                "data": Out(PARAMETER_BITS),
                "write": In(1),
                "write_addr": In(address),
                "write_high": In(1),
                "write_data": In(32),
            }
        )

    @property
    def arrays(self) -> tuple[WordArray, ...]:
        """One for each half."""
        halves = (("low", 32), ("high", PARAMETER_BITS - 32))
        return tuple(
            WordArray(path=(name,), bits=bits, depth=self._depth, part=half, parts=len(halves))
            for half, (name, bits) in enumerate(halves)
        )

    def elaborate(self, platform):
        m = Module()
        halves = []
        for array in self.arrays:
            memory = Memory(shape=array.bits, depth=array.depth, init=[])
            m.submodules[array.name] = memory
            read = memory.read_port()
            write = memory.write_port()
            m.d.comb += [
                read.addr.eq(self.addr),
                write.addr.eq(self.write_addr),
                write.data.eq(self.write_data),
                write.en.eq(self.write & (self.write_high == array.part)),
            ]
            halves.append(read.data)
        further = self._read_cycles - 1
        m.d.comb += self.data.eq(delayed(m, Cat(halves), further, name="register"))
        return m
