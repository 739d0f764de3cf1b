# amaranth: UnusedElaboratable=no
"""The residual against a plain walk over its records."""

import pytest

from hw.engine.drain.residual import Residual
from hw.pipeline import pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import BY_PIPELINE, CAPABILITY

PER_WORD = CAPABILITY.records_per_word
GROUP = 3


def expected_addends(words, first, channels_of_pixels):
    """R of each channel; a pixel's records begin with a word."""
    addends, word = [], first
    for channels in channels_of_pixels:
        for channel in range(channels):
            group, index = divmod(channel, GROUP)
            record = words[word + group // PER_WORD]
            record >>= group % PER_WORD * CAPABILITY.record_bits
            record &= (1 << CAPABILITY.record_bits) - 1
            value = record & (1 << CAPABILITY.activation_bits) - 1
            addends.append(value if record >> CAPABILITY.activation_bits == index else 0)
        word += -(-channels // (GROUP * PER_WORD))
    return addends


@pytest.mark.parametrize("capability", BY_PIPELINE)
@pytest.mark.parametrize("identity", [0, 1])
def test_addends(identity, capability):
    rng = seeded(1)
    dut = Residual(capability)
    pipeline = pipeline_of(capability)
    stages = pipeline.window_sum_stages  # from a channel's `ends` to its value
    words = []
    for _ in range(CAPABILITY.bank_words):
        word = 0
        for slot in range(PER_WORD):
            record = rng.randrange(GROUP) << CAPABILITY.activation_bits | rng.randrange(1, 16)
            word |= record << slot * CAPABILITY.record_bits
        words.append(word)
    first, pixels = 5, [GROUP * groups for groups in (1, 4, 6, 3, 9)]
    channels = [
        (channel == count - 1) for count in pixels for channel in range(count)
    ]  # whether each one is its pixel's last
    found = []

    async def memory(ctx):
        shown = [0] * (pipeline.drain_read_cycles - 1)
        while True:
            shown.append(words[ctx.get(dut.addr) % len(words)])
            await ctx.tick()
            ctx.set(dut.data, shown.pop(0))

    async def bench(ctx):
        fields = {"identity": identity, "identity_group": GROUP - 1}
        source = first << CAPABILITY.sub_bits
        ctx.set(dut.layer, fields | {"identity_source": source})
        ctx.set(dut.loads, {"identity_source": 1})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.layer, fields | {"identity_source": 0})
        ctx.set(dut.loads, {"identity_source": 0})
        ctx.set(dut.start, 0)
        waiting = list(channels)
        given = []
        while waiting or any(given[-stages:]):
            valid = bool(waiting) and rng.random() < 0.7
            last = waiting.pop(0) if valid else rng.randrange(2)
            ctx.set(dut.ends, {"valid": valid, "pixel": last})
            if len(given) >= stages and given[-stages]:
                found.append(ctx.get(dut.addend))
            given.append(valid)
            await ctx.tick()

    simulate(dut, testbenches=[bench], background=[memory])
    right = expected_addends(words, first, pixels)
    assert any(right)
    assert found == (right if identity else [0] * len(right))
