"""Activation memory: the records of all tensors, in two banks."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.capability import Capability
from hw.engine.delay import delayed
from hw.engine.memory.word_array import WordArray
from hw.pipeline import pipeline_of
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
    a_advance : In(1)
        In a long pipeline alone: unless it is set, `a_data` stays.
    b_used, b_addr, b_data : In(1), In(bank and word), Out(word)
        Second read port, and whether it is in use; `Pipeline.drain_read_cycles` of latency.
    write, write_addr, write_data : In
        Write port.
    """

    region = Region.ACTIVATIONS

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        address, bits = 1 + capability.bank_bits, capability.word_bits
        self._stays = pipeline_of(capability).word_stages > 0
        advance = {"a_advance": In(1)} if self._stays else {}
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
            | advance
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
        following = self.a_addr[-1]
        if self._stays:
            following = Mux(self.a_advance, following, a_bank)
        m.d.sync += [a_bank.eq(following), b_bank.eq(self.b_addr[-1])]
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
            if self._stays:
                m.d.comb += read.en.eq(self.a_advance | of_b)
            words.append(read.data)
        m.d.comb += self.a_data.eq(Mux(a_bank, words[1], words[0]))
        further = pipeline_of(self._capability).drain_read_cycles - 1
        b_data = Mux(b_bank, words[1], words[0])
        m.d.comb += self.b_data.eq(delayed(m, b_data, further, name="b_register"))
        return m
