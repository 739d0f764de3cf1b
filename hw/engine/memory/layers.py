"""Layer memory: the layer table."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.capability import Capability, address_bits
from hw.engine.delay import delayed
from hw.engine.memory.word_array import WordArray
from hw.layer_entry import ENTRY_WORDS, WORD_BITS
from hw.pipeline import pipeline_of
from hw.regions import Region

__all__ = ["LayerMemory"]


class LayerMemory(wiring.Component):
    """The layer table: words of 16 bits, `ENTRY_WORDS` for each layer.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    addr, data : In(word), Out(16)
        Read port; `Pipeline.table_cycles` of latency.
    write, write_addr, write_data : In
        Write port.
    """

    region = Region.LAYERS

    def __init__(self, capability: Capability) -> None:
        self._read_cycles = pipeline_of(capability).table_cycles
        self._depth = capability.layer_entries * ENTRY_WORDS
        address = address_bits(self._depth)
        super().__init__(
            {
                "addr": In(address),
                "data": Out(WORD_BITS),
                "write": In(1),
                "write_addr": In(address),
                "write_data": In(WORD_BITS),
            }
        )

    @property
    def arrays(self) -> tuple[WordArray, ...]:
        """One."""
        return (WordArray(path=("words",), bits=WORD_BITS, depth=self._depth),)

    def elaborate(self, platform):
        m = Module()
        (array,) = self.arrays
        memory = Memory(shape=array.bits, depth=array.depth, init=[])
        m.submodules[array.name] = memory
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            read.addr.eq(self.addr),
            self.data.eq(delayed(m, read.data, self._read_cycles - 1, name="register")),
            write.addr.eq(self.write_addr),
            write.data.eq(self.write_data),
            write.en.eq(self.write),
        ]
        return m
