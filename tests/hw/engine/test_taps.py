# amaranth: UnusedElaboratable=no
"""Tap generator, queue and record walker against a plain walk; their cycles against the model."""

from itertools import pairwise

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.compile.timing import layer_timing
from hw.engine.queue import Queue
from hw.engine.taps import TapGenerator, tap_layout
from hw.engine.walker import RecordWalker
from tests.hw.bus.helpers import receive, seeded, send, simulate
from tests.hw.engine.helpers import CAPABILITY, issues, load_entry, plans, walk

TAP_FIELDS = ("address", "weights", "projection", "last", "last_tile", "last_window")
DEADLINE = 400_000


def fields_of(tap, payload):
    return tuple(int(payload[name]) for name in TAP_FIELDS), tuple(
        getattr(tap, name) for name in TAP_FIELDS
    )


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("first", [0, 100, 200])
def test_generator(first, stall):
    rng = seeded(first)
    dut = TapGenerator(CAPABILITY)
    done = 0

    async def bench(ctx):
        nonlocal done
        for plan in plans(4, first):
            for index, layer in enumerate(plan.layers):
                await load_entry(ctx, [dut], layer.entry)
                ctx.set(dut.start, 1)
                await ctx.tick()
                ctx.set(dut.start, 0)
                expected = walk(plan, index)
                found = await receive(ctx, dut.o_taps, len(expected), stall=stall, rng=rng)
                for number, (tap, payload) in enumerate(zip(expected, found, strict=True)):
                    actual, right = fields_of(tap, payload)
                    assert actual == right, f"{plan.network.name}, layer {index}, tap {number}"
                for _ in range(200):  # a layer gives no tap too many
                    await ctx.tick()
                    assert not ctx.get(dut.o_taps.valid)
                done += 1

    simulate(dut, testbenches=[bench], deadline=DEADLINE)
    assert done > 4


def test_generator_clear():
    """A layer that is given up leaves nothing to the next."""
    dut = TapGenerator(CAPABILITY)
    plan = plans(1)[0]
    expected = walk(plan, 0)

    async def bench(ctx):
        for taken in (0, 1, 5, len(expected)):
            await load_entry(ctx, [dut], plan.layers[0].entry)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            found = await receive(ctx, dut.o_taps, taken)
            for tap, payload in zip(expected, found, strict=False):
                actual, right = fields_of(tap, payload)
                assert actual == right
            ctx.set(dut.clear, 1)
            await ctx.tick().repeat(3)
            ctx.set(dut.clear, 0)
            for _ in range(50):
                assert not ctx.get(dut.o_taps.valid)
                await ctx.tick()

    simulate(dut, testbenches=[bench])


def issue_of(ctx, dut):
    issue = ctx.get(dut.issue)
    return (
        issue["address"], issue["weights"], issue["image"], issue["exponent"],
        issue["last"], issue["last_tile"], issue["last_window"],
    )  # fmt: skip


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_walker(stall):
    """Whatever the taps' pauses, the records are the same; last ones wait for the drain."""
    rng = seeded(3)
    dut = RecordWalker(CAPABILITY)
    for plan in plans(4, 300):
        for index, layer in enumerate(plan.layers):
            taps = walk(plan, index)
            expected = issues(taps)
            found, ends = [], []

            async def feed(ctx, taps=taps, layer=layer):
                ctx.set(dut.layer, layer.entry.stored())
                ctx.set(dut.clear, 1)
                await ctx.tick()
                ctx.set(dut.clear, 0)
                values = [{name: getattr(tap, name) for name in TAP_FIELDS} for tap in taps]
                await send(ctx, dut.i_taps, values, stall=stall, rng=rng)
                await ctx.tick().repeat(600)  # longer than any drain

            async def watch(ctx, found=found, ends=ends):
                cycle = 0
                while True:
                    if ctx.get(dut.valid):
                        found.append(issue_of(ctx, dut))
                        if found[-1][4]:
                            ends.append((cycle, found[-1][5]))
                    await ctx.tick()
                    cycle += 1

            simulate(dut, testbenches=[feed], background=[watch], deadline=DEADLINE)
            assert found == expected, f"{plan.network.name}, layer {index}"
            entry = layer.entry
            for (before, tile), (after, _) in pairwise(ends):
                cycles = entry.last_drain_cycles if tile else entry.drain_cycles
                assert after - before >= cycles


class Chain(wiring.Component):
    """Generator, queue and walker, as the engine connects them."""

    def __init__(self):
        self.generator = TapGenerator(CAPABILITY)
        self.queue = Queue(tap_layout(CAPABILITY))
        self.walker = RecordWalker(CAPABILITY)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.generator = self.generator
        m.submodules.queue = self.queue
        m.submodules.walker = self.walker
        wiring.connect(m, self.generator.o_taps, self.queue.i)
        wiring.connect(m, self.queue.o, self.walker.i_taps)
        return m


def test_cycles_are_those_of_the_model():
    """First issue exactly; the end is the last issue, its lanes, and one constant."""
    constants = set()
    for plan in plans(12, 400):
        for index, layer in enumerate(plan.layers):
            dut = Chain()
            expected = issues(walk(plan, index))
            found, cycles = [], []

            async def bench(ctx, dut=dut, layer=layer, expected=expected, found=found,
                            cycles=cycles):  # fmt: skip
                await load_entry(ctx, [dut.generator, dut.walker], layer.entry)
                ctx.set(dut.generator.start, 1)
                cycle = 0
                while len(found) < len(expected):
                    if ctx.get(dut.walker.valid):
                        found.append(issue_of(ctx, dut.walker))
                        cycles.append(cycle)
                    await ctx.tick()
                    ctx.set(dut.generator.start, 0)
                    cycle += 1

            simulate(dut, testbenches=[bench], deadline=DEADLINE)
            assert found == expected
            timing = layer_timing(layer.entry)
            assert cycles[0] == timing.first_issue, f"{plan.network.name}, layer {index}"
            lanes = (layer.entry.tile_lanes - 1) * layer.entry.lane_cycles
            constants.add(timing.end - lanes - cycles[-1])
    assert len(constants) == 1, constants


def test_next_layer_may_be_loaded_right_after_the_last_tap():
    """The last window's visits outside the image must not run into the next layer's fields."""
    dut = TapGenerator(CAPABILITY)

    async def bench(ctx):
        for plan in plans(12, 700):
            for index, layer in enumerate(plan.layers):
                await load_entry(ctx, [dut], layer.entry)
                ctx.set(dut.start, 1)
                await ctx.tick()
                ctx.set(dut.start, 0)
                expected = walk(plan, index)
                found = await receive(ctx, dut.o_taps, len(expected))
                for number, (tap, payload) in enumerate(zip(expected, found, strict=True)):
                    actual, right = fields_of(tap, payload)
                    assert actual == right, f"{plan.network.name}, layer {index}, tap {number}"
                await ctx.tick().repeat(2)

    simulate(dut, testbenches=[bench], deadline=DEADLINE)


def test_address_stands_between_taps():
    """Without a tap the walker's address stays that of the last record: the drain relies on it."""
    dut = RecordWalker(CAPABILITY)
    plan = plans(1, 300)[0]
    taps = walk(plan, 0)[:6]

    async def bench(ctx):
        await load_entry(ctx, [dut], plan.layers[0].entry)
        for tap in taps:
            await send(ctx, dut.i_taps, [{name: getattr(tap, name) for name in TAP_FIELDS}])
            ctx.set(dut.i_taps.payload.address, 0)
            for cycle in range(600):
                await ctx.tick()
                address = ctx.get(dut.issue.address)
                assert tap.address <= address < tap.address + tap.groups, f"cycle {cycle}"

    simulate(dut, testbenches=[bench])
