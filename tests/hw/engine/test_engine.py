# amaranth: UnusedElaboratable=no
"""The whole engine in the Amaranth simulator: what a host may do to it in mid-frame."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from hw.capability import Capability
from hw.compile.frames import frame_cycles
from hw.compile.plan import PlanError, make_plan
from hw.engine.engine import Engine
from hw.pipeline import BYTE_CYCLES, pipeline_of
from hw.regions import Region
from model.integers import oracle
from sim.networks import images_for, random_network

CAPABILITY = Capability(family="generic", winner_bits=4, activation_words=4096)
LOADED = {"weights": Region.WEIGHTS, "parameters": Region.PARAMETERS, "layers": Region.LAYERS}


class Bench:
    """The engine with a network and an image in its memories."""

    def __init__(self, seed, pipeline=0):
        capability = replace(CAPABILITY, pipeline=pipeline)
        self.latency = pipeline_of(capability).memory_latency
        self.network = random_network(seed)
        self.plan = make_plan(self.network, capability)
        self.image = images_for(self.network, seed, 1)
        self.expected = oracle.run(self.network, self.image)
        values = [one.value for one in self.expected.records]
        self.cycles = int(frame_cycles(self.plan, values).frames[0])
        self.engine = Engine(capability)
        self.host = self.engine.host

    def run(self, testbench, *, reset=None):
        """`testbench(ctx)` behind the load of the network and its image."""

        async def bench(ctx):
            await self.idle(ctx)
            for name, region in LOADED.items():
                await self.write(ctx, region, self.plan.images()[name])
            pixels = np.pad(self.image.reshape(-1), (0, -self.image.size % 4)).view("<u4")
            await self.write(ctx, Region.IMAGE, pixels)
            ctx.set(self.host.stop_after, 255)
            await testbench(ctx)

        dut = self.engine if reset is None else ResetInserter(reset)(self.engine)
        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()

    async def write(self, ctx, region, words):
        host = self.host
        ctx.set(host.mem_region, region)
        ctx.set(host.mem_write_mask, 0b1111)
        for address, word in enumerate(words):
            ctx.set(host.mem_addr, address)
            ctx.set(host.mem_write_data, int(word))
            await ctx.tick()
            ctx.set(host.mem_write, 1)
            await ctx.tick()
            ctx.set(host.mem_write, 0)

    async def idle(self, ctx):
        cycles = 0
        while ctx.get(self.host.busy):
            await ctx.tick()
            cycles += 1
            assert cycles < 2 * self.plan.cycles
        return cycles

    async def start(self, ctx):
        ctx.set(self.host.start, 1)
        await ctx.tick()
        ctx.set(self.host.start, 0)

    async def logits(self, ctx):
        """Of the frame that ended. If they are right, so are its cycles."""
        host = self.host
        assert ctx.get(host.done) and ctx.get(host.cycles) <= self.plan.cycles
        ctx.set(host.mem_region, Region.LOGITS)
        logits = []
        for index in range(len(self.network.classes)):
            ctx.set(host.mem_addr, index)
            await ctx.tick().repeat(self.latency)
            logits.append(ctx.get(host.mem_read_data))
        found = np.array(logits, np.uint32).astype(np.int32).tolist()
        assert found != self.expected.logits[0].tolist() or ctx.get(host.cycles) == self.cycles
        return found


@pytest.mark.parametrize("pipeline", [0, 1])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_reset_in_mid_frame(share, pipeline):
    bench, reset = Bench(2, pipeline), Signal()
    host, expected = bench.host, bench.expected

    async def testbench(ctx):
        await bench.start(ctx)
        await ctx.tick().repeat(int(share * bench.cycles))
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        await bench.idle(ctx)
        assert not ctx.get(host.done)
        await bench.start(ctx)
        await bench.idle(ctx)
        assert ctx.get(host.decision) == expected.decisions[0]
        assert await bench.logits(ctx) == expected.logits[0].tolist()

    bench.run(testbench, reset=reset)


def test_weights_are_not_written_while_a_frame_runs():
    """They are dropped, not only kept from the frame: the next one finds what was loaded."""
    bench = Bench(2)
    host, expected = bench.host, bench.expected.logits[0].tolist()

    async def testbench(ctx):
        words = bench.plan.images()["weights"]
        await bench.start(ctx)
        await bench.write(ctx, Region.WEIGHTS, ~words)
        assert ctx.get(host.busy)  # all of them came while it ran
        await bench.idle(ctx)
        assert await bench.logits(ctx) == expected
        await bench.start(ctx)
        await bench.idle(ctx)
        assert await bench.logits(ctx) == expected
        # The same words, while it is idle.
        await bench.write(ctx, Region.WEIGHTS, ~words)
        await bench.start(ctx)
        await bench.idle(ctx)
        assert await bench.logits(ctx) != expected

    bench.run(testbench)


def _tells_images_apart(seed):
    """Whether a random network fits, its first layer alone reads the image, which takes it a
    while, there is time for another one behind it, and its logits tell images apart."""
    network = random_network(seed)
    try:
        plan = make_plan(network, CAPABILITY)
    except PlanError:
        return False
    size = 4 * BYTE_CYCLES * -(-images_for(network, seed, 1).size // 4)
    if (plan.image_cycles or 0) < 500 or not plan.image_cycles + size < plan.cycles < 6000:
        return False
    logits = [oracle.run(network, images_for(network, other, 1)).logits for other in range(6)]
    return len({one.tobytes() for one in logits}) == len(logits)


@pytest.mark.parametrize("seed", list(filter(_tells_images_apart, range(100)))[:8])
@pytest.mark.parametrize("early, pipeline", [(False, 0), (True, 0), (False, 1)])
def test_the_next_image_over_the_one_that_is_read(seed, early, pipeline):
    """From the plan's cycle on it comes as fast as the DMA takes it, and the frame is right; from
    the frame's start on and faster, it is not."""
    bench = Bench(seed, pipeline)
    host, plan = bench.host, bench.plan
    rng = np.random.default_rng(seed)
    words = -(-bench.image.size // 4)
    first, interval = (0, 1) if early else (plan.image_cycles, 4 * BYTE_CYCLES)

    async def testbench(ctx):
        await bench.start(ctx)
        assert ctx.get(host.cycles) == 0
        ctx.set(host.mem_region, Region.IMAGE)
        ctx.set(host.mem_write_mask, 0b1111)
        cycles = 0
        while ctx.get(host.busy):
            word, rest = divmod(cycles - first, interval)
            ctx.set(host.mem_write, word >= 0 and rest == 0)
            ctx.set(host.mem_addr, word % words)
            ctx.set(host.mem_write_data, int(rng.integers(1 << 32)))
            await ctx.tick()
            cycles += 1
        ctx.set(host.mem_write, 0)
        assert (cycles - first) // interval >= words, "all of it was overwritten"
        right = await bench.logits(ctx) == bench.expected.logits[0].tolist()
        assert right == (not early)

    bench.run(testbench)
