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

    The bank is the top bit of an address. While port `b` is in use, its bank is its own, and port
    `a` must read the other one (the plan sees to it); else port `a` reads both.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    a_addr, a_data : In(bank and word), Out(word)
        Main read port; one cycle of latency.
    b_used, b_addr, b_data : In(1), In(bank and word), Out(word)
        Second read port, and whether it is in use; one cycle of latency.
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
                "b_used": In(1),
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
            of_b = Signal(name=f"of_b{bank}")
            m.d.comb += [
                # Which port has the bank is known long before port a's address is.
                of_b.eq(self.b_used & (self.b_addr[-1] == bank)),
                read.addr.eq(Mux(of_b, self.b_addr[:-1], self.a_addr[:-1])),
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
