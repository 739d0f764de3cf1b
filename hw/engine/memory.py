"""The engine's memories: records, image, weights, parameters. All reads are synchronous."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.capability import PARAMETER_BITS, SLICE_BITS, address_bits
from hw.families import find_family

__all__ = ["ActivationMemory", "ImageMemory", "ParameterMemory", "WeightMemory"]


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

    def __init__(self, capability):
        self._words = capability.bank_words
        address = 1 + capability.bank_bits
        self._bits = capability.word_bits
        super().__init__(
            {
                "a_addr": In(address),
                "a_data": Out(self._bits),
                "b_addr": In(address),
                "b_data": Out(self._bits),
                "write": In(1),
                "write_addr": In(address),
                "write_data": In(self._bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        a_bank, b_bank = Signal(), Signal()
        m.d.sync += [a_bank.eq(self.a_addr[-1]), b_bank.eq(self.b_addr[-1])]
        words = []
        for bank in range(2):
            memory = Memory(shape=self._bits, depth=self._words, init=[])
            m.submodules[f"bank{bank}"] = memory
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


class ImageMemory(wiring.Component):
    """The input image: bytes in words of 32 bits, written whole.

    Members
    -------
    addr, data : In(word), Out(32)
        Read port; one cycle of latency.
    write, write_addr, write_data : In
        Write port.
    """

    def __init__(self, capability):
        self._parts = capability.image_parts
        address = address_bits(sum(self._parts))
        super().__init__(
            {
                "addr": In(address),
                "data": Out(32),
                "write": In(1),
                "write_addr": In(address),
                "write_data": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        split, rest = self._parts
        parts = []
        for name, depth in (("low", split), ("high", rest)):
            if not depth:
                continue
            m.submodules[name] = memory = Memory(shape=32, depth=depth, init=[])
            read = memory.read_port()
            write = memory.write_port()
            beyond = (self.write_addr & split).any()
            m.d.comb += [
                read.addr.eq(self.addr),
                write.addr.eq(self.write_addr),
                write.data.eq(self.write_data),
                write.en.eq(self.write & (beyond if name == "high" else ~beyond)),
            ]
            parts.append(read.data)
        if len(parts) == 1:
            m.d.comb += self.data.eq(parts[0])
        else:
            beyond = Signal()
            m.d.sync += beyond.eq((self.addr & split).any())
            m.d.comb += self.data.eq(Mux(beyond, parts[1], parts[0]))
        return m


class ParameterMemory(wiring.Component):
    """Bias, multiplier and residual factor of each channel: words of 48 bits.

    The host writes a word as its low 32 bits and its high 16 bits.

    Members
    -------
    addr, data : In(word), Out(48)
        Read port; one cycle of latency.
    write, write_addr, write_high, write_data : In
        Write port; ``write_high`` picks the half.
    """

    def __init__(self, capability):
        self._depth = capability.parameter_words
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

    def elaborate(self, platform):
        m = Module()
        halves = []
        for name, bits, high in (("low", 32, 0), ("high", PARAMETER_BITS - 32, 1)):
            m.submodules[name] = memory = Memory(shape=bits, depth=self._depth, init=[])
            read = memory.read_port()
            write = memory.write_port()
            m.d.comb += [
                read.addr.eq(self.addr),
                write.addr.eq(self.write_addr),
                write.data.eq(self.write_data),
                write.en.eq(self.write & (self.write_high == high)),
            ]
            halves.append(read.data)
        m.d.comb += self.data.eq(Cat(halves))
        return m


class WeightMemory(wiring.Component):
    """One word is the slices of all lanes: what the array needs in one cycle.

    On iCE40 a word is spread over SB_SPRAM256KA blocks (16 bits each, Lattice TN1314, table 1);
    elsewhere it is inferred. One port: the host writes 32 bits at a time, and only while the
    engine does not read.

    Members
    -------
    addr, data : In(word), Out(lanes * SLICE_BITS)
        Read port; one cycle of latency.
    write, write_half, write_mask, write_data : In
        Write those bytes that ``write_mask`` has of 32 bits, number ``write_half`` of the word at
        ``addr``.
    """

    def __init__(self, capability):
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
