# amaranth: UnusedElaboratable=no
"""`hw.soc.fifo` against `collections.deque`."""

from collections import deque

import pytest

from hw.soc.fifo import ByteFIFO
from tests.hw.bus.helpers import receive, seeded, send, simulate


@pytest.mark.parametrize("depth", [2, 4, 16, 512])
def test_random_pushes_and_pops(depth):
    """Through full and empty, and several times around the memory."""
    rng = seeded(depth)
    dut = ByteFIFO(depth=depth)

    async def bench(ctx):
        model, pushed = deque(), 0
        full, empty = 0, 0
        waited = 0  # cycles since something is in it without being offered
        for cycle in range(18 * depth + 400):
            # Long phases of filling, of emptying and of both; at most a byte in 2 cycles comes out.
            filling, emptying = ((0.9, 0.1), (0.1, 0.9), (0.6, 0.6))[cycle // (3 * depth + 20) % 3]
            push, pop = rng.random() < filling, rng.random() < emptying
            byte = rng.randrange(256)
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, push)
            ctx.set(dut.o.ready, pop)
            ready, valid = ctx.get(dut.i.ready), ctx.get(dut.o.valid)
            assert ready == (len(model) < depth)
            assert not valid or ctx.get(dut.o.payload) == model[0]
            full += not ready
            empty += not model
            waited = 0 if valid or not model else waited + 1
            assert waited <= 1, "the next byte must be offered at the latest 2 cycles later"
            if valid and pop:
                model.popleft()
            if ready and push:
                model.append(byte)
                pushed += 1
            await ctx.tick()
        assert full > 10 and empty > 10 and pushed > 3 * depth

    simulate(dut, testbenches=[bench])


def test_latency_and_throughput():
    dut = ByteFIFO(depth=8)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 0x5A)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        assert not ctx.get(dut.o.valid)
        await ctx.tick()
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == 0x5A
        # What nobody takes stands still.
        await ctx.tick().repeat(5)
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == 0x5A
        await send(ctx, dut.i, range(7))
        ctx.set(dut.o.ready, 1)
        for expected in (0x5A, *range(7)):
            assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == expected
            await ctx.tick()
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        assert not ctx.get(dut.o.valid)

    simulate(dut, testbenches=[bench])


def test_both_ends_at_once():
    """A writer and a reader that do not know of each other."""
    rng, other = seeded(1), seeded(2)
    dut = ByteFIFO(depth=4)
    data = [rng.randrange(256) for _ in range(500)]
    got = []

    async def writer(ctx):
        await send(ctx, dut.i, data, stall=0.5, rng=rng)

    async def reader(ctx):
        got.extend(await receive(ctx, dut.o, len(data), stall=0.5, rng=other))

    simulate(dut, testbenches=[writer, reader])
    assert got == data


@pytest.mark.parametrize("depth", [0, 3, 500])
def test_wrong_depth(depth):
    with pytest.raises(ValueError, match="power of 2"):
        ByteFIFO(depth=depth)
