"""Activation memory: the records of all tensors, in two banks."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.capability import Capability
from hw.engine.memory.word_array import WordArray
from hw.regions import Region

__all__ = ["ActivationMemory"]


class ActivationMemory(wiring.Component):
    """Two banks of record words, each with one read and one write port.

    The bank is the top bit of an address. Port `a` always reads its bank; port `b` reads the
    other one, so both read at once as long as they are in different banks (the plan sees to it).

    Parameters
    ----------
    capability : Capability

    Members
    -------
    a_addr, a_data : In(bank and word), Out(word)
        Main read port; one cycle of latency.
    b_addr, b_data : In(bank and word), Out(word)
        Second read port; valid if its bank is not the one that `a_addr` reads.
    write, write_addr, write_data : In
        Write port.
    """

    region = Region.ACTIVATIONS

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        address, bits = 1 + capability.bank_bits, capability.word_bits
        super().__init__(
            {
                "a_addr": In(address),
                "a_data": Out(bits),
                "b_addr": In(address),
                "b_data": Out(bits),
                "write": In(1),
                "write_addr": In(address),
                "write_data": In(bits),
            }
        )

    @property
    def arrays(self) -> tuple[WordArray, ...]:
        """One for each bank."""
        capability = self._capability
        return tuple(
            WordArray(
                path=(f"bank{bank}",),
                bits=capability.word_bits,
                depth=capability.bank_words,
                first=bank << capability.bank_bits,
            )
            for bank in range(2)
        )

    def elaborate(self, platform):
        m = Module()
        a_bank, b_bank = Signal(), Signal()
        m.d.sync += [a_bank.eq(self.a_addr[-1]), b_bank.eq(self.b_addr[-1])]
        words = []
        for bank, array in enumerate(self.arrays):
            memory = Memory(shape=array.bits, depth=array.depth, init=[])
            m.submodules[array.name] = memory
            read = memory.read_port()
            write = memory.write_port()
            m.d.comb += [
                read.addr.eq(Mux(self.a_addr[-1] == bank, self.a_addr[:-1], self.b_addr[:-1])),
                write.addr.eq(self.write_addr[:-1]),
                write.data.eq(self.write_data),
                write.en.eq(self.write & (self.write_addr[-1] == bank)),
            ]
            words.append(read.data)
        m.d.comb += [
            self.a_data.eq(Mux(a_bank, words[1], words[0])),
            self.b_data.eq(Mux(b_bank, words[1], words[0])),
        ]
        return m
