# amaranth: UnusedElaboratable=no
"""The queue between generator and walker: nothing is lost, doubled or late."""

import pytest

from hw.engine.queue import Queue
from tests.hw.bus.helpers import receive, seeded, send, simulate


@pytest.mark.parametrize("slow_in, slow_out", [(0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.4, 0.4)])
def test_queue(slow_in, slow_out):
    rng = seeded(1)
    dut = Queue(8)
    values = [rng.randrange(256) for _ in range(300)]
    found = []

    async def source(ctx):
        await send(ctx, dut.i, values, stall=slow_in, rng=rng)

    async def sink(ctx):
        found.extend(await receive(ctx, dut.o, len(values), stall=slow_out, rng=rng))

    simulate(dut, testbenches=[source, sink])
    assert found == values


def test_queue_latency_and_clear():
    dut = Queue(8)

    async def bench(ctx):
        ctx.set(dut.i.payload, 7)
        ctx.set(dut.i.valid, 1)
        assert ctx.get(dut.i.ready) and not ctx.get(dut.o.valid)
        await ctx.tick()
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == 7  # one cycle
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.o.valid)  # held
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        assert not ctx.get(dut.o.valid)

    simulate(dut, testbenches=[bench])
