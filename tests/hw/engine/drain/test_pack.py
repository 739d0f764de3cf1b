# amaranth: UnusedElaboratable=no
"""Packing: records of a pixel in its words, and the sums of a classifier as they are."""

import pytest

from hw.engine.drain.pack import Packer
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import CAPABILITY

FIRST = 37  # word
VALUE_BITS, PER_WORD = CAPABILITY.activation_bits, CAPABILITY.records_per_word


async def begin(ctx, dut, fields):
    ctx.set(dut.layer, fields | {"output": FIRST << CAPABILITY.sub_bits})
    ctx.set(dut.loads, {"output": 1})
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.layer, fields | {"output": 0})
    ctx.set(dut.loads, {"output": 0})
    ctx.set(dut.start, 0)


@pytest.mark.parametrize("binary", [0, 1])
def test_records(binary):
    """What is left of a pixel's last word is 0, so that nobody multiplies it."""
    rng = seeded(binary)
    dut = Packer(CAPABILITY)
    pixels = [
        [(rng.choice([0, rng.randrange(1, 16)]), rng.randrange(1 << CAPABILITY.winner_bits))
         for _ in range(groups)]
        for groups in (1, PER_WORD, PER_WORD + 1, 3, 2 * PER_WORD)
    ]  # fmt: skip
    writes = []

    async def bench(ctx):
        await begin(ctx, dut, {"binary": binary})
        for pixel in pixels:
            for number, (value, index) in enumerate(pixel):
                ctx.set(dut.valid, 1)
                ctx.set(dut.value, value)
                ctx.set(dut.index, index)
                ctx.set(dut.ends_pixel, number == len(pixel) - 1)
                ctx.set(dut.total_valid, rng.randrange(2))
                if ctx.get(dut.write):
                    writes.append((ctx.get(dut.write_addr), ctx.get(dut.write_data)))
                await ctx.tick()
                ctx.set(dut.valid, 0)
                ctx.set(dut.ends_pixel, 0)
                for _ in range(rng.randrange(3)):
                    assert not ctx.get(dut.write)
                    await ctx.tick()

    simulate(dut, testbenches=[bench])
    right = []
    for pixel in pixels:
        for first in range(0, len(pixel), PER_WORD):
            part = [
                (min(value, 1) if binary else value) | (index << VALUE_BITS if value else 0)
                for value, index in pixel[first : first + PER_WORD]
            ]
            right.append((FIRST + len(right), part))
    assert [address for address, _ in writes] == [address for address, _ in right]
    for (_, word), (_, part) in zip(writes, right, strict=True):
        assert word == _word(part)


def _word(part):
    """Records in a word, 0 behind them."""
    return sum(record << slot * CAPABILITY.record_bits for slot, record in enumerate(part))


def test_a_layer_that_was_given_up_leaves_no_record():
    """Its last word was not complete: the next layer's first word holds nothing of that word."""
    dut = Packer(CAPABILITY)

    async def bench(ctx):
        for records, ends in ((2, False), (1, True)):
            await begin(ctx, dut, {})
            for number in range(records):
                ctx.set(dut.valid, 1)
                ctx.set(dut.value, 15 - number)
                ctx.set(dut.index, 0)
                ctx.set(dut.ends_pixel, ends)
                if ends:
                    assert ctx.get(dut.write) and ctx.get(dut.write_data) == _word([15])
                await ctx.tick()
            ctx.set(dut.valid, 0)
            ctx.set(dut.ends_pixel, 0)

    simulate(dut, testbenches=[bench])


def test_a_classifiers_sums_are_words():
    rng = seeded(3)
    dut = Packer(CAPABILITY)
    half = 1 << CAPABILITY.accumulator_bits - 1
    sums, writes = [rng.randrange(-half, half) for _ in range(10)], []

    async def bench(ctx):
        await begin(ctx, dut, {"classifier": 1})
        waiting = list(sums)
        while waiting:
            valid = rng.randrange(2)
            ctx.set(dut.total_valid, valid)
            ctx.set(dut.total, waiting.pop(0) if valid else 0)
            ctx.set(dut.valid, rng.randrange(2))  # a class wins, which is no record
            ctx.set(dut.ends_pixel, rng.randrange(2))
            assert ctx.get(dut.write) == valid
            if valid:
                writes.append((ctx.get(dut.write_addr), ctx.get(dut.write_data)))
            await ctx.tick()

    simulate(dut, testbenches=[bench])
    mask = (1 << CAPABILITY.word_bits) - 1
    assert writes == [(FIRST + number, total & mask) for number, total in enumerate(sums)]
