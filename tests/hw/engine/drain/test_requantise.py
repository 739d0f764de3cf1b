# amaranth: UnusedElaboratable=no
"""The requantiser against the oracle's rule 4."""

import numpy as np
import pytest

from hw.capability import REQUANTISE_INTERVAL, Capability
from hw.engine.drain.requantise import Requantiser
from hw.pipeline import pipeline_of
from model.integers import oracle
from tests.hw.bus.helpers import seeded, simulate


def check(capability, cases, *, maximum, spacing=lambda: REQUANTISE_INTERVAL):
    """Run (sum, multiplier) cases through it and compare each value, and when it comes."""
    dut = Requantiser(capability)
    latency = pipeline_of(capability).requantise_latency
    bits = maximum.bit_length()
    expected = [
        int(oracle.requantise(np.int64(total), m, capability.requantise_bits, bits))
        for total, m in cases
    ]
    asked, found = [], []

    async def feed(ctx):
        ctx.set(dut.maximum, maximum)
        cycle = 0
        for total, multiplier in cases:
            ctx.set(dut.i_valid, 1)
            ctx.set(dut.i_sum, total)
            ctx.set(dut.i_multiplier, multiplier)
            asked.append(cycle)
            await ctx.tick()
            ctx.set(dut.i_valid, 0)
            ctx.set(dut.i_sum, -1)
            pause = spacing()
            await ctx.tick().repeat(pause - 1)
            cycle += pause
        await ctx.tick().repeat(latency + 2)

    async def watch(ctx):
        cycle = 0
        due = [0] * (latency - REQUANTISE_INTERVAL)  # what was said, the latest last
        while True:
            assert ctx.get(dut.o_valid) == due.pop(0), f"o_soon, cycle {cycle}"
            if ctx.get(dut.o_valid):
                found.append((cycle, ctx.get(dut.o_value)))
            due.append(ctx.get(dut.o_soon))
            await ctx.tick()
            cycle += 1

    simulate(dut, testbenches=[feed], background=[watch], deadline=500_000)
    assert len(found) == len(cases)
    for index, (case, (cycle, value)) in enumerate(zip(cases, found, strict=True)):
        assert value == expected[index], f"case {index}: sum, multiplier {case}"
        assert cycle == asked[index] + latency, f"case {index}"


@pytest.mark.parametrize("maximum", [1, 3, 7, 15])
def test_extremes(maximum):
    capability = Capability(family="generic")
    edge = 1 << capability.accumulator_bits - 1
    sums = [-edge, -edge + 1, -65536, -2, -1, 0, 1, 2, 65535, 65536, 65537, edge - 1]
    multipliers = [maximum, maximum + 1, 255, 256, 257, 4095, 32767, 32768, 65534, 65535]
    check(capability, [(s, m) for s in sums for m in multipliers], maximum=maximum)


def test_halves_round_up():
    """Sums whose product lies at, just below and just above a half."""
    cases = []
    for multiplier in (32768, 16384, 8192, 4096):
        for whole in range(5):
            half = (2 * whole + 1) * 32768 // multiplier
            cases += [(half - 1, multiplier), (half, multiplier), (half + 1, multiplier)]
    check(Capability(family="generic"), cases, maximum=15)


@pytest.mark.parametrize("pipeline", [0, 1])
@pytest.mark.parametrize("bits, winner_bits, records", [(4, 2, 4), (8, 3, 2)])
def test_random(bits, winner_bits, records, pipeline):
    rng = seeded(bits)
    capability = Capability(
        family="generic", activation_bits=bits, winner_bits=winner_bits, records_per_word=records,
        pipeline=pipeline,
    )  # fmt: skip
    maximum = 2**bits - 1
    cases = []
    for _ in range(600):
        total = rng.randint(-(1 << rng.randint(1, 21)), (1 << rng.randint(1, 21)) - 1)
        cases.append((total, rng.randint(maximum, 65535)))
    check(
        capability,
        cases,
        maximum=maximum,
        spacing=lambda: REQUANTISE_INTERVAL + rng.choice((0, 0, 0, 1, 5)),
    )


@pytest.mark.parametrize("pipeline", [0, 1])
def test_exhaustive(pipeline):
    """Every sum and multiplier of a small one."""
    capability = Capability(
        family="generic", activation_bits=2, winner_bits=4, accumulator_bits=6,
        requantise_bits=4, multiplier_bits=4, pipeline=pipeline,
    )  # fmt: skip
    cases = [(total, m) for total in range(-32, 32) for m in range(3, 16)]
    check(capability, cases, maximum=3)
