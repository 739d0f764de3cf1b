# amaranth: UnusedElaboratable=no
"""Comparator tree and running maximum against a plain search for the first maximum."""

import pytest
from amaranth.hdl import signed, unsigned

from hw.engine.drain.winner import WinnerTakesAll, WinnerTree
from hw.pipeline import WINNER_LATENCY
from tests.hw.bus.helpers import seeded, simulate

KINDS = ("random", "ties", "zeros", "high", "low", "negative")


def keys_of(kind, shape, count, rng):
    """Keys of a group: random, few different ones, all equal, at either end, all below zero."""
    low = -(1 << shape.width - 1) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    if kind == "random":
        return [rng.randint(low, high) for _ in range(count)]
    if kind == "ties":
        return [rng.choice((low, 1, 2)) for _ in range(count)]
    if kind == "negative" and shape.signed:
        return [rng.randint(low, -1) for _ in range(count)]
    return [{"zeros": 0, "high": high}.get(kind, low)] * count


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [signed(8), unsigned(4)], ids=["signed", "unsigned"])
def test_tree(lanes, shape):
    rng = seeded(lanes)
    dut = WinnerTree(lanes=lanes, key_shape=shape)

    async def bench(ctx):
        for kind in KINDS * 5:
            keys = keys_of(kind, shape, lanes, rng)
            ctx.set(dut.keys, keys)
            key, index = ctx.get(dut.key), ctx.get(dut.index)
            assert (key, index) == (max(keys), keys.index(max(keys))), keys

    simulate(dut, testbenches=[bench])


@pytest.mark.parametrize(
    "lanes, error, text",
    [
        (3, ValueError, "Lanes must be a power of two, not 3"),
        (0, ValueError, "Lanes must be a power of two, not 0"),
        ("4", TypeError, "Lanes must be an integer, not '4'"),
        (True, TypeError, "Lanes must be an integer, not True"),
    ],
)
def test_wrong_lanes(lanes, error, text):
    with pytest.raises(error, match=f"^{text}$"):
        WinnerTree(lanes=lanes, key_shape=signed(8))


@pytest.mark.parametrize(
    "lanes, size",  # a group fills its cycles
    [(n, size) for n in (1, 2, 4) for size in (1, 2, 3, 4, 8, 16) if size % n == 0],
)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_takes_all(lanes, size, stall):
    rng = seeded(100 * lanes + size)
    dut = WinnerTakesAll(lanes=lanes, key_shape=signed(10), index_bits=8)
    groups = [keys_of(kind, signed(10), size, rng) for kind in KINDS * 4]
    expected = [(max(keys), keys.index(max(keys))) for keys in groups]
    found, due = [], []

    async def feed(ctx):
        for keys in groups:
            for first in range(0, size, lanes):
                while rng.random() < stall:
                    ctx.set(dut.i_valid, 0)
                    # What is not valid must not matter.
                    ctx.set(dut.i_keys, [511] * lanes)
                    ctx.set(dut.i_first, rng.randrange(2))
                    ctx.set(dut.i_last, rng.randrange(2))
                    due.append(False)
                    await ctx.tick()
                ctx.set(dut.i_valid, 1)
                ctx.set(dut.i_keys, keys[first : first + lanes])
                ctx.set(dut.i_index, first)
                ctx.set(dut.i_first, first == 0)
                ctx.set(dut.i_last, first + lanes == size)
                due.append(first + lanes == size)
                await ctx.tick()
        ctx.set(dut.i_valid, 0)
        await ctx.tick().repeat(3)

    async def watch(ctx):
        cycle = 0
        while True:
            valid = ctx.get(dut.o_valid)
            asked = cycle - WINNER_LATENCY
            assert valid == (0 <= asked < len(due) and due[asked]), f"cycle {cycle}"
            if valid:
                found.append((ctx.get(dut.o_key), ctx.get(dut.o_index)))
            await ctx.tick()
            cycle += 1

    simulate(dut, testbenches=[feed], background=[watch])
    assert found == expected
