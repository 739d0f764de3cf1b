# amaranth: UnusedElaboratable=no
"""The sequencer: fields of every layer, cycles, frames, repeat, stop_after, abort."""

from itertools import pairwise

import pytest

from hw.engine.layout import INITIAL
from hw.engine.sequencer import Sequencer
from hw.layer_entry import ENTRY_WORDS, LayerEntry, entry_shapes
from hw.pipeline import pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import BY_PIPELINE, CAPABILITY

LAYERS = 4
NEVER = 255


def make_table(rng):
    """Random fields of a few layers, the last of them final."""
    shapes = entry_shapes(CAPABILITY)
    table, fields = [], []
    for index in range(LAYERS):
        values = {name: rng.randint(shape.least, shape.most) for name, shape in shapes.items()}
        entry = LayerEntry(**values | {"final": int(index == LAYERS - 1)})
        fields.append(entry.stored())
        table += entry.words(CAPABILITY)
    return table + [0xFFFF] * (CAPABILITY.layer_entries * ENTRY_WORDS - len(table)), fields


@pytest.fixture(params=BY_PIPELINE)
def capability(request):
    return request.param


class Bench:
    """Table memory and a layer engine that takes `durations` cycles a layer."""

    def __init__(self, rng, capability):
        self.dut = Sequencer(capability)
        self.pipeline = pipeline_of(capability)
        self.table, self.fields = make_table(rng)
        self.durations = [rng.randrange(3, 40) for _ in range(LAYERS)]
        self.starts = []  # cycle, layer index
        self.ends = []
        self.cycle = 0
        self.initial = {}  # fields that stand only in the cycle of their load

    async def memory(self, ctx):
        shown = [0] * (self.pipeline.table_cycles - 1)
        while True:
            shown.append(self.table[ctx.get(self.dut.table_addr)])
            await ctx.tick()
            ctx.set(self.dut.table_data, shown.pop(0))

    async def layers(self, ctx):
        dut, left = self.dut, None
        while True:
            if ctx.get(dut.clear):
                left = None
            for name in INITIAL:
                if ctx.get(dut.loads[name]):
                    self.initial[name] = ctx.get(dut.layer[name])
            if ctx.get(dut.layer_start):
                index = ctx.get(dut.layer_index)
                self.starts.append((self.cycle, index))
                layer = ctx.get(dut.layer)
                assert self.initial.keys() == set(INITIAL)
                for name, value in self.fields[index].items():
                    actual = self.initial.pop(name) if name in INITIAL else layer[name]
                    assert actual == value, f"layer {index}, {name}"
                left = self.durations[index]
            done = left == 0
            ctx.set(dut.layer_done, done)
            ctx.set(dut.layer_decision, 100 + len(self.ends) if done else 0)
            if done:
                self.ends.append(self.cycle)
            left = None if left is None or done else left - 1
            await ctx.tick()
            self.cycle += 1

    def run(self, bench):
        async def after_reset(ctx):
            # A reset clears the datapath, as an abort does: lanes are drained once.
            drains = 0
            while ctx.get(self.dut.busy):
                assert ctx.get(self.dut.clear) and not ctx.get(self.dut.done)
                drains += ctx.get(self.dut.drain)
                await ctx.tick()
            assert drains == 1
            self.starts.clear()
            await bench(ctx)

        simulate(self.dut, testbenches=[after_reset], background=[self.memory, self.layers])

    def frame_cycles(self, layers=LAYERS):
        return sum(
            self.pipeline.turnaround_cycles + duration for duration in self.durations[:layers]
        )


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


def test_one_frame(capability):
    bench = Bench(seeded(1), capability)
    dut = bench.dut

    async def run(ctx):
        ctx.set(dut.stop_after, NEVER)
        assert not ctx.get(dut.busy) and not ctx.get(dut.done)
        await pulse(ctx, dut.start)
        cycles = 0
        while ctx.get(dut.busy):
            assert not ctx.get(dut.done)
            await ctx.tick()
            cycles += 1
        assert ctx.get(dut.done)
        assert ctx.get(dut.cycles) == bench.frame_cycles() == cycles
        assert ctx.get(dut.frames) == 1
        assert ctx.get(dut.decision) == 100 + LAYERS - 1
        assert ctx.get(dut.layer_index) == LAYERS - 1
        await ctx.tick().repeat(100)
        assert ctx.get(dut.cycles) == cycles and not ctx.get(dut.busy)

    bench.run(run)
    assert [index for _, index in bench.starts] == list(range(LAYERS))
    for end, (start, _) in zip(bench.ends, bench.starts[1:], strict=False):
        assert start - end == bench.pipeline.turnaround_cycles


@pytest.mark.parametrize("last", range(LAYERS))
def test_stop_after(capability, last):
    bench = Bench(seeded(2), capability)
    dut = bench.dut

    async def run(ctx):
        ctx.set(dut.stop_after, last)
        for _ in range(2):
            await pulse(ctx, dut.start)
            await ctx.tick().until(dut.done)
            assert ctx.get(dut.cycles) == bench.frame_cycles(last + 1)
            assert ctx.get(dut.layer_index) == last
            assert ctx.get(dut.frames) == 1  # since the start

    bench.run(run)
    assert [index for _, index in bench.starts] == 2 * list(range(last + 1))


def test_repeat_has_no_gap(capability):
    bench = Bench(seeded(3), capability)
    dut = bench.dut
    frames = 5

    async def run(ctx):
        ctx.set(dut.stop_after, NEVER)
        ctx.set(dut.repeat, 1)
        await pulse(ctx, dut.start)
        while ctx.get(dut.frames) < frames - 1:
            await ctx.tick()
            assert ctx.get(dut.busy)
        ctx.set(dut.repeat, 0)
        await ctx.tick().until(~dut.busy)
        assert ctx.get(dut.frames) == frames
        assert ctx.get(dut.cycles) == bench.frame_cycles()

    bench.run(run)
    firsts = [cycle for cycle, index in bench.starts if index == 0]
    spans = {after - before for before, after in pairwise(firsts)}
    assert len(firsts) == frames and spans == {bench.frame_cycles()}


@pytest.mark.parametrize("after", [0, 1, 5, 23, 25, 26, 30, 60, 90])
def test_abort_then_a_whole_frame(capability, after):
    bench = Bench(seeded(4), capability)
    dut = bench.dut

    async def run(ctx):
        ctx.set(dut.stop_after, NEVER)
        await pulse(ctx, dut.start)
        await ctx.tick().repeat(after) if after else None
        await pulse(ctx, dut.abort)
        assert not ctx.get(dut.done)
        cleared = 0
        while ctx.get(dut.busy):
            cleared += ctx.get(dut.clear)
            await ctx.tick()
        # Long enough for every lane of a window to leave.
        assert cleared > CAPABILITY.lanes
        assert not ctx.get(dut.done)
        bench.starts.clear()
        await pulse(ctx, dut.start)
        await ctx.tick().until(dut.done)
        assert ctx.get(dut.cycles) == bench.frame_cycles()
        assert ctx.get(dut.frames) == 1

    bench.run(run)
    assert [index for _, index in bench.starts] == list(range(LAYERS))


def test_start_is_ignored_while_busy(capability):
    bench = Bench(seeded(5), capability)
    dut = bench.dut

    async def run(ctx):
        ctx.set(dut.stop_after, NEVER)
        await pulse(ctx, dut.start)
        for _ in range(6):
            await ctx.tick().repeat(9)
            if ctx.get(dut.busy):
                await pulse(ctx, dut.start)
        await ctx.tick().until(dut.done)
        assert ctx.get(dut.cycles) == bench.frame_cycles()
        await ctx.tick().repeat(100)
        assert not ctx.get(dut.busy)

    bench.run(run)
    assert len(bench.starts) == LAYERS
