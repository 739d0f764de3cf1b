# amaranth: UnusedElaboratable=no
"""The record issuer: its worked timeline, what it skips, and the cycles of the whole chain."""

from itertools import pairwise

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.compile.timing import NonZero, layer_timing
from hw.engine.issuer import RecordIssuer
from hw.engine.queue import Queue
from hw.engine.stages import WordStages
from hw.engine.taps import TapGenerator, tap_layout
from hw.engine.walker import WordWalker
from hw.pipeline import pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import (
    BY_PIPELINE,
    CAPABILITY,
    issues_of,
    load_entry,
    packed,
    plans,
    random_records,
    record_address,
    walk,
    words_of,
)
from tests.hw.timelines import drawn, in_docs

GROUP, DRAIN = 3, 7
#: Values of each word's records; which words end a window.
WORDS = {"A": (5, 0, 6, 0), "B": (0, 0, 0, 0), "C": (0, 7, 0, 0), "D": (0, 0, 0, 0),
         "E": (1, 2, 3, 4)}  # fmt: skip
ENDS = "CDE"
ROWS = ("ready", "word", "value", "weights", "ends")


def trace(cycles, *, words="ABCDE", drain=DRAIN, clear=()):
    """Rows of what goes in and comes out; the words wait at the input from cycle 0 on."""
    dut = RecordIssuer(CAPABILITY)
    rows = {name: [] for name in ROWS}

    async def bench(ctx):
        stored = {"group": GROUP, "drain_cycles": 1, "last_drain_cycles": drain - 1}
        ctx.set(dut.layer, stored)
        waiting = list(words)
        for cycle in range(cycles):
            ctx.set(dut.clear, cycle in clear)
            word = waiting[0] if waiting else None
            ctx.set(dut.i_words.valid, word is not None)
            if word:
                number = list(WORDS).index(word)
                last = word in ENDS
                payload = {"weights": 100 * number, "last": last, "last_tile": 1}
                ctx.set(dut.i_words.payload, payload)
                bits = CAPABILITY.record_bits
                ctx.set(dut.i_data, sum(v << bits * i for i, v in enumerate(WORDS[word])))
            valid, last, issue = ctx.get(dut.valid), ctx.get(dut.last), ctx.get(dut.issue)
            ready = ctx.get(dut.i_words.ready)
            rows["ready"].append("x" if ready else None)
            rows["word"].append(word)
            rows["value"].append(issue.value if valid else None)
            rows["weights"].append(issue.weights if valid else None)
            rows["ends"].append("x" if last else None)
            if ready and waiting:
                waiting.pop(0)
            await ctx.tick()

    simulate(dut, testbenches=[bench], deadline=cycles + 10)
    return rows


def test_the_timeline_in_the_docs():
    assert drawn(trace(20)) == in_docs("Issuer")


@pytest.mark.parametrize("drain", [2, 3, 4, 9])
def test_a_window_waits_for_the_drain_of_the_one_before(drain):
    ends = [cycle for cycle, one in enumerate(trace(40, drain=drain)["ends"]) if one]
    assert len(ends) == 3
    # D has no record: its end may follow at once. E has four.
    assert ends[1] - ends[0] == max(1, drain)
    assert ends[2] - ends[1] == max(4, drain)


def test_clear_forgets_words_and_drain():
    """The words that wait are dropped, and no window waits for a drain that was given up."""
    rows = trace(30, words="CCECA", drain=100)
    assert rows["value"][1:] == [7] + 28 * [None], "held: the drain takes 100 cycles"
    rows = trace(30, words="CCECA", drain=100, clear=[2])
    assert rows["value"][1:] == [7, None, None, 7, 5, 6] + 23 * [None]


class Chain(wiring.Component):
    """Generator, queue, walker, stages and issuer, as the engine connects them.

    ``words`` is the stream that the issuer takes from.
    """

    def __init__(self, capability):
        self.generator = TapGenerator(capability)
        self.queue = Queue(tap_layout(capability))
        self.walker = WordWalker(capability)
        self.stages = WordStages(capability) if pipeline_of(capability).word_stages else None
        self.issuer = RecordIssuer(capability)
        self.words = self.stages.o_words if self.stages else self.walker.o_words
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.generator = self.generator
        m.submodules.queue = self.queue
        m.submodules.walker = self.walker
        m.submodules.issuer = self.issuer
        wiring.connect(m, self.generator.o_taps, self.queue.i)
        wiring.connect(m, self.queue.o, self.walker.i_taps)
        if self.stages:
            m.submodules.stages = self.stages
            wiring.connect(m, self.walker.o_words, self.stages.i_words)
        wiring.connect(m, self.words, self.issuer.i_words)
        return m


def contents(plan, index, rng, zeros):
    """Records by (image, address) that a layer reads, and how many of a word are not zero."""
    layer, capability = plan.network.layers[index], CAPABILITY
    memory = {}
    for word in words_of(walk(plan, index)):
        key = word.image, word.address
        if key not in memory:
            memory[key] = random_records(word, rng, zeros)

    def counted(tensor, stride=1, rows=None, columns=None):
        if tensor == 0:
            return None
        shape = plan.network.tensors[tensor]
        per_word = capability.records_per_word
        found = np.zeros((shape.height, shape.width, -(-shape.groups // per_word), 1), np.uint8)
        for y, x, number in np.ndindex(found.shape[:3]):
            address = record_address(plan, tensor, y, x) + number * per_word
            # Words that no tap reads do not matter.
            found[y, x, number] = sum(value > 0 for value, _ in memory.get((0, address), ()))
        return found[::stride, ::stride]

    projection = layer.projection
    shortcut = counted(projection.source, projection.stride) if projection else None
    return memory, NonZero(counted(layer.source), shortcut)


@pytest.mark.parametrize("capability", BY_PIPELINE)
@pytest.mark.parametrize("zeros", [0.0, 0.4, 0.9, 1.0])
def test_issues_and_cycles_are_those_of_the_model(zeros, capability):
    """First word and last issue exactly, and every record between; windows wait for drains."""
    rng = seeded(int(10 * zeros))
    constants = set()
    for plan in plans(8, 400):
        for index, layer in enumerate(plan.layers):
            dut = Chain(capability)
            words = words_of(walk(plan, index))
            memory, counted = contents(plan, index, rng, zeros)
            expected = [
                issue
                for word in words
                for issue in issues_of(word, memory[word.image, word.address])
            ]
            found, begun, ends = [], [], []

            async def bench(ctx, dut=dut, layer=layer, memory=memory, expected=expected,
                            found=found, begun=begun, ends=ends):  # fmt: skip
                await load_entry(ctx, [dut.generator, dut.walker, dut.issuer], layer.entry)
                ctx.set(dut.generator.start, 1)
                cycle = 0
                while len(found) < len(expected):
                    if ctx.get(dut.walker.o_words.valid):
                        begun.append(cycle)
                    if ctx.get(dut.words.valid):
                        word = ctx.get(dut.words.payload)
                        records = memory[int(word.image), int(word.address)]
                        ctx.set(dut.issuer.i_data, packed(word, records))
                    valid, last = ctx.get(dut.issuer.valid), ctx.get(dut.issuer.last)
                    issue = ctx.get(dut.issuer.issue)
                    if valid:
                        found.append(
                            (issue.value, issue.winner, issue.weights, issue.exponent, last)
                        )
                    elif last:
                        found.append((None, None, None, None, 1))
                    if last:
                        ends.append((cycle, issue.last_tile))
                    await ctx.tick()
                    ctx.set(dut.generator.start, 0)
                    cycle += 1
                    assert cycle < 100_000

            simulate(dut, testbenches=[bench], deadline=200_000)
            where = f"{plan.network.name}, layer {index}"
            assert found == expected, where
            timing = layer_timing(layer.entry, capability, counted)
            bound = layer_timing(layer.entry, capability)
            assert begun[0] == timing.first_word == bound.first_word, where
            lanes = (layer.entry.tile_lanes - 1) * layer.entry.lane_cycles
            end = int(np.ravel(timing.end)[0])  # a number where only the image is read
            constants.add(end - lanes - ends[-1][0])
            assert end <= bound.end
            assert zeros or end == bound.end, where
            for (before, tile), (after, _) in pairwise(ends):
                entry = layer.entry
                assert after - before >= (entry.last_drain_cycles if tile else entry.drain_cycles)
    # Once a window's last record is issued, nothing waits.
    assert constants == {pipeline_of(capability).issue_to_write_cycles}
