# amaranth: UnusedElaboratable=no
"""The whole engine in the Amaranth simulator: a reset in mid-frame, then a correct frame."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from hw.capability import Capability
from hw.engine.engine import Engine
from hw.engine.interface import MEMORY_LATENCY, Region
from hw.plan import make_plan
from model import oracle
from tests.networks import images_for, random_network

CAPABILITY = Capability(family="generic", winner_bits=4, activation_words=4096)
LOADED = {"weights": Region.WEIGHTS, "parameters": Region.PARAMETERS, "layers": Region.LAYERS}


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_reset_in_mid_frame(share):
    network = random_network(2)
    plan = make_plan(network, CAPABILITY)
    image = images_for(network, 2, 1)
    expected = oracle.run(network, image)
    engine = Engine(CAPABILITY)
    host, reset = engine.host, Signal()
    seen = {}

    async def write(ctx, region, words):
        ctx.set(host.mem_region, region)
        ctx.set(host.mem_write_mask, 0b1111)
        for address, word in enumerate(words):
            ctx.set(host.mem_addr, address)
            ctx.set(host.mem_write_data, int(word))
            await ctx.tick()
            ctx.set(host.mem_write, 1)
            await ctx.tick()
            ctx.set(host.mem_write, 0)

    async def idle(ctx):
        cycles = 0
        while ctx.get(host.busy):
            await ctx.tick()
            cycles += 1
            assert cycles < 2 * plan.cycles
        return cycles

    async def start(ctx):
        ctx.set(host.start, 1)
        await ctx.tick()
        ctx.set(host.start, 0)

    async def bench(ctx):
        await idle(ctx)
        for name, region in LOADED.items():
            await write(ctx, region, plan.images()[name])
        pixels = np.pad(image.reshape(-1), (0, -image.size % 4)).view("<u4")
        await write(ctx, Region.IMAGE, pixels)
        ctx.set(host.stop_after, 255)
        await start(ctx)
        await ctx.tick().repeat(int(share * plan.cycles))
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        await idle(ctx)
        assert not ctx.get(host.done)
        await start(ctx)
        await idle(ctx)
        assert ctx.get(host.done) and ctx.get(host.cycles) == plan.cycles
        seen["decision"] = ctx.get(host.decision)
        ctx.set(host.mem_region, Region.LOGITS)
        logits = []
        for index in range(len(network.classes)):
            ctx.set(host.mem_addr, index)
            await ctx.tick().repeat(MEMORY_LATENCY)
            logits.append(ctx.get(host.mem_read_data))
        seen["logits"] = np.array(logits, np.uint32).astype(np.int32).tolist()

    simulator = Simulator(ResetInserter(reset)(engine))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen["logits"] == expected.logits[0].tolist()
    assert seen["decision"] == expected.decisions[0]
