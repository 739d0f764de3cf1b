"""Weight memory: a word of weights for all lanes in each cycle."""

from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import SLICE_BITS, Capability, address_bits
from hw.engine.delay import delayed
from hw.engine.memory.word_array import BUS_BITS, WordArray
from hw.families import find_family
from hw.pipeline import pipeline_of
from hw.regions import Region

__all__ = ["WeightMemory"]


_BANK_WORDS = 2048  # rows of a block RAM whose rows are of a byte


class _StorePort(NamedTuple):
    """What a family's `weight_store` connects to: one cycle from `addr` to `data`."""

    addr: Signal
    data: Signal
    write_data: Signal
    write_mask: Signal


class WeightMemory(wiring.Component):
    """One word is the slices of all lanes: what the array needs in one cycle.

    On iCE40 a word is spread over SB_SPRAM256KA blocks (16 bits each, Lattice TN1314, table 1);
    elsewhere it is inferred. In a long pipeline it has banks, and registers before and behind each.
    One port: the host writes 32 bits at a time, and only while the engine does not read.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    addr, data : In(word), Out(lanes * SLICE_BITS)
        Read port; `Pipeline.weight_cycles` of latency.
    write, write_half, write_mask, write_data : In
        Write those bytes that ``write_mask`` has of 32 bits, number ``write_half`` of the word at
        ``addr``.
    """

    region = Region.WEIGHTS

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        self._bits = capability.lanes * SLICE_BITS
        # Before the memory, and as many behind.
        self._registers = (pipeline_of(capability).weight_cycles - 1) // 2
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
        """One for each of the family's blocks; or for each 32 bits of a word, in each bank."""
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
        banks = self._banks
        return tuple(
            WordArray(
                path=(f"bank{bank}", f"half{half}") if len(banks) > 1 else (f"half{half}",),
                bits=BUS_BITS,
                depth=depth,
                part=half,
                parts=halves,
                first=bank * banks[0],
            )
            for bank, depth in enumerate(banks)
            for half in range(halves)
        )

    @property
    def _banks(self) -> list[int]:
        """The depth of each bank. In a long pipeline each bank is as deep as one block RAM, so that
        the registers stand before the choice of a bank; else there is one bank."""
        depth = self._capability.weight_depth
        hard = find_family(self._capability.family).weight_block is not None
        if hard or self._registers == 0 or depth <= _BANK_WORDS:
            return [depth]
        return [_BANK_WORDS] * -(-depth // _BANK_WORDS)

    def _own(self, m: Module, signal: Signal, bank: int) -> Signal:
        """The bank's own registers of what all banks are told, to stand near its block RAMs.

        Each bank's begin with another value, or yosys would merge them. No strobe is set then.
        """
        for _ in range(self._registers):
            init = bank % (1 << len(signal))
            register = Signal.like(signal, name=f"{signal.name}{bank}", init=init)
            m.d.sync += register.eq(signal)
            signal = register
        return signal

    def elaborate(self, platform):
        m = Module()
        halves = self._capability.bus_words_per_weight_word
        write = [
            self.write & (self.write_half == half) if halves > 1 else self.write
            for half in range(halves)
        ]
        blocks = find_family(self._capability.family).blocks()
        banks = self._banks
        if self._registers == 0:
            blocks.weight_store(m, self, write, depth=banks[0])
            return m
        number = Signal(range(len(banks)))
        m.d.comb += number.eq(self.addr // _BANK_WORDS)
        words = []
        for bank, depth in enumerate(banks):
            store, shown = m, Signal(self._bits, name=f"shown{bank}")
            strobes = Cat(one & (number == bank) for one in write)
            if len(banks) > 1:
                m.submodules[f"bank{bank}"] = store = Module()
            addr, data, mask = (
                self._own(m, signal, bank)
                for signal in (self.addr, self.write_data, self.write_mask)
            )
            strobes = delayed(m, strobes, self._registers, name=f"strobes{bank}")
            port = _StorePort(addr, shown, data, mask)
            blocks.weight_store(store, port, list(strobes), depth=depth)
            word = delayed(m, shown, self._registers, name=f"register{bank}")
            chosen = delayed(m, number == bank, 1 + 2 * self._registers, name=f"chosen{bank}")
            words.append(word & chosen.replicate(self._bits))
        m.d.comb += self.data.eq(reduce(or_, words))
        return m
