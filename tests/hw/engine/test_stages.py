# amaranth: UnusedElaboratable=no
"""The stages behind the walker: their worked timeline, and that a word keeps its data."""

import pytest

from hw.engine.stages import WordStages
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import CAPABILITY
from tests.hw.timelines import drawn, in_docs

ROWS = ("walker", "read", "memory", "register", "taken")
TOP = 1 << 31  # what the image's words have, and words of records have not


def records_of(address):
    """What the memory of records has at an address, and below `TOP` the image."""
    return address * 7 & (1 << CAPABILITY.word_bits) - 1


class Bench:
    """The stages between walker and issuer, with memories that show what they are asked for."""

    def __init__(self, words):
        self.dut = WordStages(CAPABILITY)
        self.waiting = list(words)
        self.shown = None  # what the memories show
        self.found = []

    async def cycle(self, ctx, *, offered, ready):
        """One clock cycle; returns a cell of each of `ROWS`."""
        dut = self.dut
        word = self.waiting[0] if self.waiting else None
        ctx.set(dut.i_words.valid, offered and word is not None)
        ctx.set(dut.i_words.payload.address, word or 0)
        ctx.set(dut.o_words.ready, ready)
        shown = records_of(self.shown or 0)
        ctx.set(dut.i_records, shown)
        ctx.set(dut.i_bytes, shown | TOP)
        held = None
        if ctx.get(dut.o_words.valid):
            held = ctx.get(dut.o_words.payload).address
            assert ctx.get(dut.o_records) == records_of(held)
            assert ctx.get(dut.o_bytes) == records_of(held) | TOP
            if ready:
                self.found.append(held)
        advance = ctx.get(dut.advance)
        read = bool(offered and word is not None and ctx.get(dut.i_words.ready))
        assert not read or advance
        memory = self.shown
        if advance:
            self.shown = word
        if read:
            self.waiting.pop(0)
        taken = held is not None and ready
        await ctx.tick()
        return word, "x" if read else None, memory, held, "x" if taken else None


def trace(cycles, *, busy=(), clear=(), words=(40, 44, 48, 52)):
    """Rows of what goes in and comes out; the issuer is not ready in the cycles `busy`."""
    bench = Bench(words)
    table = []

    async def run(ctx):
        for cycle in range(cycles):
            ctx.set(bench.dut.clear, cycle in clear)
            table.append(await bench.cycle(ctx, offered=True, ready=cycle not in busy))

    simulate(bench.dut, testbenches=[run], deadline=cycles + 10)
    return dict(zip(ROWS, map(list, zip(*table, strict=True)), strict=True))


def test_the_timeline_in_the_docs():
    assert drawn(trace(9, busy=(3, 4))) == in_docs("Stages")


def test_clear_forgets_the_words():
    rows = trace(6, busy=range(6), clear=[3])
    assert rows["register"] == [None, None, 40, 40, None, None]


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("busy", [0.0, 0.5])
def test_words(stall, busy):
    """None is lost or doubled, whatever the pauses on both sides."""
    rng = seeded(5)
    words = list(range(0, 800, 4))
    bench = Bench(words)

    async def run(ctx):
        for _ in range(4 * len(words)):
            await bench.cycle(ctx, offered=rng.random() >= stall, ready=rng.random() >= busy)

    simulate(bench.dut, testbenches=[run])
    assert bench.found == words


def test_without_words_the_register_follows_the_memory():
    """So a host reads through it."""
    dut = WordStages(CAPABILITY)

    async def bench(ctx):
        for word in range(20):
            ctx.set(dut.i_records, word)
            assert ctx.get(dut.advance)
            await ctx.tick()
            assert ctx.get(dut.o_records) == word and not ctx.get(dut.o_words.valid)

    simulate(dut, testbenches=[bench])
