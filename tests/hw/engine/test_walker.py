# amaranth: UnusedElaboratable=no
"""The word walker alone: its worked timeline, room and pauses, and what clears it."""

import pytest

from hw.engine.walker import WordWalker
from tests.hw.bus.helpers import seeded, send, simulate
from tests.hw.engine.helpers import CAPABILITY, TAP_FIELDS, plans, walk, words_of
from tests.hw.timelines import drawn, in_docs

WORD_FIELDS = ("address", "weights", "image", "projection", "last", "last_tile", "last_window")

#: Two words of four records a tap; a group is three feature maps.
GROUPS, GROUP = 8, 3
TAPS = {
    "A": {"address": 40, "weights": 100, "last": 0, "last_tile": 1},
    "B": {"address": 48, "weights": 124, "last": 1, "last_tile": 1},
    "C": {"address": 56, "weights": 148, "last": 1, "last_tile": 1},
}
ROWS = ("tap taken", "ready", "word", "weights", "ends", "read next")


def trace(cycles, *, taps="ABC", busy=(), clear=()):
    """Rows of what goes in and comes out, in so many cycles; not ready, cleared in those."""
    dut = WordWalker(CAPABILITY)
    rows = {name: [] for name in ROWS}

    async def bench(ctx):
        ctx.set(dut.layer, {"groups": GROUPS - 1, "group": GROUP})
        waiting = list(taps)
        ends = None  # the tap whose last word comes next
        for cycle in range(cycles):
            ctx.set(dut.clear, cycle in clear)
            ctx.set(dut.o_words.ready, cycle not in busy)
            ctx.set(dut.i_taps.valid, bool(waiting))
            if waiting:
                ctx.set(dut.i_taps.payload, TAPS[waiting[0]])
            valid, word = ctx.get(dut.o_words.valid), ctx.get(dut.o_words.payload)
            rows["ready"].append("x" if cycle not in busy else None)
            rows["word"].append(word.address if valid else None)
            rows["weights"].append(word.weights if valid else None)
            rows["ends"].append(ends if valid and word.last else None)
            rows["read next"].append(ctx.get(dut.address))
            taken = waiting[0] if waiting and ctx.get(dut.i_taps.ready) else None
            rows["tap taken"].append(taken)
            if taken:
                ends = waiting.pop(0)
            await ctx.tick()

    simulate(dut, testbenches=[bench], deadline=cycles + 10)
    return rows


def test_the_timeline_in_the_docs():
    assert drawn(trace(11, busy=(4, 5))) == in_docs("Walker")


def test_clear_forgets_the_tap():
    rows = trace(8, taps="AC", clear=[1])
    assert rows["word"] == [None, 40, None, 56, 60, None, None, None]
    assert rows["ends"][4] == "C"


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("busy", [0.0, 0.5])
def test_words(stall, busy):
    """Whatever the pauses on both sides, the words are the same, each read a cycle before."""
    rng = seeded(3)
    dut = WordWalker(CAPABILITY)
    for plan in plans(4, 300):
        for index, layer in enumerate(plan.layers):
            taps = walk(plan, index)
            expected = [tuple(getattr(one, name) for name in WORD_FIELDS) for one in words_of(taps)]
            found = []

            async def feed(ctx, taps=taps, layer=layer):
                ctx.set(dut.layer, layer.entry.stored())
                ctx.set(dut.clear, 1)
                await ctx.tick()
                ctx.set(dut.clear, 0)
                values = [{name: getattr(tap, name) for name in TAP_FIELDS} for tap in taps]
                await send(ctx, dut.i_taps, values, stall=stall, rng=rng)
                await ctx.tick().repeat(300)

            async def watch(ctx, found=found):
                read = None
                while True:
                    ready = rng.random() >= busy
                    ctx.set(dut.o_words.ready, ready)
                    if ctx.get(dut.o_words.valid):
                        word = ctx.get(dut.o_words.payload)
                        assert word.address == read, "what the memory shows is another word"
                        if ready:
                            found.append(tuple(int(word[name]) for name in WORD_FIELDS))
                    read = ctx.get(dut.address)
                    await ctx.tick()

            simulate(dut, testbenches=[feed], background=[watch], deadline=400_000)
            assert found == expected, f"{plan.network.name}, layer {index}"


def test_while_no_frame_runs_the_hosts_address_is_read():
    """A cycle after it is given."""
    rng = seeded(2)
    dut = WordWalker(CAPABILITY)

    async def bench(ctx):
        ctx.set(dut.idle, 1)
        for _ in range(50):
            address = rng.randrange(1 << CAPABILITY.record_address_bits)
            ctx.set(dut.host_address, address)
            await ctx.tick()
            assert ctx.get(dut.address) == address

    simulate(dut, testbenches=[bench])
