# amaranth: UnusedElaboratable=no
"""Operands against what an issue means: its value, its weights' address, and when they come."""

import pytest

from hw.engine.operands import Operands
from hw.pipeline import SOON_CYCLES, pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import BY_PIPELINE, CAPABILITY

OPERAND_CYCLES = pipeline_of(CAPABILITY).operand_cycles


def draw(rng):
    """An issue, as the issuer may give one."""
    return {
        "value": rng.randrange(256),
        "winner": rng.randrange(1 << CAPABILITY.winner_bits),
        "weights": rng.randrange(CAPABILITY.weight_words // 2),
        "exponent": rng.randrange(4),
        "last_tile": rng.randrange(2),
        "last_window": rng.randrange(2),
    }


@pytest.mark.parametrize("capability", BY_PIPELINE)
def test_operands_come_in_time(capability):
    rng = seeded(1)
    dut = Operands(capability)
    pipeline = pipeline_of(capability)
    cycles = pipeline.operand_cycles
    given = [(rng.randrange(2), rng.randrange(2), draw(rng)) for _ in range(500)]

    async def bench(ctx):
        for cycle, (valid, last, issue) in enumerate(given):
            ctx.set(dut.valid, valid)
            ctx.set(dut.last, last)
            ctx.set(dut.issue, issue)
            if cycle >= cycles:
                was_valid, was_last, before = given[cycle - cycles]
                assert ctx.get(dut.o_valid) == was_valid
                assert ctx.get(dut.o_last) == was_last
                assert ctx.get(dut.o_value) == before["value"] << before["exponent"] & 0xFF
            if cycle >= pipeline.address_cycles:
                *_, before = given[cycle - pipeline.address_cycles]
                assert ctx.get(dut.weights_addr) == before["weights"] + before["winner"]
            if cycle >= cycles + SOON_CYCLES:
                *_, before = given[cycle - cycles - SOON_CYCLES]
                ends = ctx.get(dut.last_tile), ctx.get(dut.last_window)
                assert ends == (before["last_tile"], before["last_window"])
            await ctx.tick()

    simulate(dut, testbenches=[bench])


def test_while_no_frame_runs_the_hosts_address_is_taken():
    rng = seeded(2)
    dut = Operands(CAPABILITY)

    async def bench(ctx):
        ctx.set(dut.idle, 1)
        for _ in range(50):
            weights = rng.randrange(CAPABILITY.weight_words)
            ctx.set(dut.issue, draw(rng))
            ctx.set(dut.host_weights, weights)
            await ctx.tick()
            assert ctx.get(dut.weights_addr) == weights

    simulate(dut, testbenches=[bench])


def test_the_sequencers_drain_ends_no_pixel():
    """The array copies its accumulators although nothing was issued."""
    dut = Operands(CAPABILITY)

    async def bench(ctx):
        ctx.set(dut.issue, {"last_tile": 1, "last_window": 0})
        await ctx.tick().repeat(OPERAND_CYCLES + SOON_CYCLES)
        assert ctx.get(dut.last_tile) and not ctx.get(dut.o_last)
        ctx.set(dut.drain, 1)
        assert ctx.get(dut.o_last) and not ctx.get(dut.o_valid)
        await ctx.tick()
        ctx.set(dut.drain, 0)
        await ctx.tick().repeat(SOON_CYCLES - 1)
        assert not ctx.get(dut.last_tile)
        await ctx.tick()
        assert ctx.get(dut.last_tile)

    simulate(dut, testbenches=[bench])
