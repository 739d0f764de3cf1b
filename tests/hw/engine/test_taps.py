# amaranth: UnusedElaboratable=no
"""Tap generator against a plain walk over the layer."""

import pytest

from hw.engine.taps import TapGenerator
from tests.hw.bus.helpers import receive, seeded, simulate
from tests.hw.engine.helpers import CAPABILITY, TAP_FIELDS, load_entry, plans, walk

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
