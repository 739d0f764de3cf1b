# amaranth: UnusedElaboratable=no
"""The host's side of the memories: addresses, strobes and what a read gives."""

from dataclasses import replace

import pytest

from hw.engine.host import HostAccess
from hw.regions import Region
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import CAPABILITY as WIDE

CAPABILITY = replace(WIDE, winner_bits=2)  # words of 24 bits: a logit's sign is not the bus's
STROBES = {
    Region.WEIGHTS: "write_weights",
    Region.IMAGE: "write_image",
    Region.PARAMETERS: "write_parameters",
    Region.LAYERS: "write_layers",
}


@pytest.mark.parametrize("idle", [0, 1])
def test_a_write_is_one_regions(idle):
    dut = HostAccess(CAPABILITY)

    async def bench(ctx):
        ctx.set(dut.idle, idle)
        for write in (0, 1):
            for region in Region:
                ctx.set(dut.mem_write, write)
                ctx.set(dut.mem_region, region)
                found = {name for name in STROBES.values() if ctx.get(getattr(dut, name))}
                expected = {STROBES[region]} if write and region in STROBES else set()
                if not idle:  # weights share their address with the frame's
                    expected -= {"write_weights"}
                assert found == expected, region

    simulate(dut, testbenches=[bench])


def test_addresses():
    rng = seeded(1)
    dut = HostAccess(CAPABILITY)
    halves = CAPABILITY.bus_words_per_weight_word
    last_bank = CAPABILITY.activation_words

    async def bench(ctx):
        for _ in range(200):
            address = rng.randrange(CAPABILITY.activation_words)
            ctx.set(dut.mem_addr, address)
            ctx.set(dut.mem_region, Region.ACTIVATIONS)
            assert ctx.get(dut.word_addr) == address
            assert divmod(address, halves) == (
                ctx.get(dut.weights_addr), ctx.get(dut.weights_half),
            )  # fmt: skip
            index, high = divmod(address % (2 * CAPABILITY.parameter_words), 2)
            assert ctx.get(dut.parameters_addr) == index
            assert ctx.get(dut.parameters_high) == high
            ctx.set(dut.mem_region, Region.LOGITS)
            logit = address % CAPABILITY.logit_words
            assert ctx.get(dut.word_addr) == last_bank - CAPABILITY.logit_words + logit

    simulate(dut, testbenches=[bench])


def test_reads():
    """Weights by 32 bits, records as they are, logits with their sign."""
    rng = seeded(2)
    dut = HostAccess(CAPABILITY)
    halves, bits = CAPABILITY.bus_words_per_weight_word, CAPABILITY.word_bits

    async def bench(ctx):
        for _ in range(100):
            weights, word = rng.getrandbits(32 * halves), rng.getrandbits(bits)
            half = rng.randrange(halves)
            signed = (word ^ 1 << bits - 1) - (1 << bits - 1)
            ctx.set(dut.mem_addr, half)
            ctx.set(dut.weights_data, weights)
            ctx.set(dut.word_data, word)
            for region, expected in (
                (Region.WEIGHTS, weights >> 32 * half & 0xFFFF_FFFF),
                (Region.ACTIVATIONS, word),
                (Region.LOGITS, signed & 0xFFFF_FFFF),
            ):
                ctx.set(dut.mem_region, region)
                assert ctx.get(dut.mem_read_data) == expected, region

    simulate(dut, testbenches=[bench])
