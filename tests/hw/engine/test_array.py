# amaranth: UnusedElaboratable=no
"""The MAC array (generic family) against sums of products in Python."""

import pytest

from hw.capability import Capability
from hw.engine.array import SparseArray
from hw.pipeline import SOON_CYCLES
from tests.hw.bus.helpers import seeded, simulate


def run(lanes, windows, rng, *, wide, stall):
    """Feed windows of (value, slices of all lanes); returns the drained lanes of each window."""
    capability = Capability(family="generic", lanes=lanes)
    dut = SparseArray(capability)
    asked, drained = [], []

    async def feed(ctx):
        ctx.set(dut.wide, wide)
        cycle = 0
        for window in windows:
            for index, (value, slices) in enumerate(window):
                while rng.random() < stall:
                    ctx.set(dut.valid, 0)
                    ctx.set(dut.last, 0)
                    ctx.set(dut.value, rng.randrange(256))  # what is not valid must not matter
                    await ctx.tick()
                    cycle += 1
                last = index == len(window) - 1
                ctx.set(dut.valid, 1)
                ctx.set(dut.last, last)
                ctx.set(dut.value, value)
                word = sum((piece & 15) << 4 * lane for lane, piece in enumerate(slices))
                ctx.set(dut.weights, word)
                if last:
                    asked.append(cycle)
                await ctx.tick()
                cycle += 1
        ctx.set(dut.valid, 0)
        ctx.set(dut.last, 0)
        await ctx.tick().repeat(3 * lanes + 10)

    async def drain(ctx):
        cycle, soon = 0, False

        async def tick(shift):
            nonlocal cycle
            ctx.set(dut.shift, shift)
            await ctx.tick()
            cycle += 1

        while True:
            while not (soon or ctx.get(dut.soon)):
                await tick(0)
            if not soon:
                assert cycle == asked[len(drained)] + SOON_CYCLES
                await tick(0)
            await tick(rng.randrange(2))  # a shift has no effect here
            found, soon = [ctx.get(dut.o_lane)], False
            drained.append(found)
            while len(found) < lanes:
                while stall and rng.random() < 0.3:  # a lane stands until it is shifted
                    await tick(0)
                    assert ctx.get(dut.o_lane) == found[-1]
                # The next window may announce itself before this one's last lane.
                soon = ctx.get(dut.soon)
                if soon:
                    assert len(found) == lanes - 1 and cycle == asked[len(drained)] + SOON_CYCLES
                await tick(1)
                found.append(ctx.get(dut.o_lane))

    simulate(dut, testbenches=[feed], background=[drain])
    return drained


def wrapped(total):
    """As an accumulator holds it: modulo its width, signed."""
    half = 1 << Capability().accumulator_bits - 1
    return (total + half) % (2 * half) - half


def make_windows(rng, lanes, *, wide, lengths):
    windows = []
    for length in lengths:
        window = []
        for _ in range(length):
            value = rng.choice((0, 1, 15, 255, rng.randrange(256)))
            low, high = (0, 15) if wide else (-8, 7)
            pairs = [
                (rng.randint(low, high), rng.choice((-8, 7, rng.randint(-8, 7))))
                for _ in range(lanes // 2)
            ]
            window.append((value, [piece for pair in pairs for piece in pair]))
        windows.append(window)
    return windows


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_windows(lanes, wide, stall):
    rng = seeded(lanes + wide)
    # Shorter windows than lanes are held back by the walker, so none is here.
    lengths = [3 * lanes + rng.randrange(8) for _ in range(6)]
    if not stall:
        lengths += [lanes, lanes, lanes + 1]
    windows = make_windows(rng, lanes, wide=wide, lengths=lengths)
    expected = []
    running = [0] * lanes  # from window to window
    for window in windows:
        for value, slices in window:
            running = [old + value * piece for old, piece in zip(running, slices, strict=True)]
        expected.append([wrapped(total) for total in running])
    assert run(lanes, windows, rng, wide=wide, stall=stall) == expected


def test_single_product():
    rng = seeded(1)
    windows = make_windows(rng, 16, wide=False, lengths=[1])
    value, slices = windows[0][0]
    found = run(16, windows, rng, wide=False, stall=0.0)
    assert found == [[value * weight for weight in slices]]


def test_last_need_not_be_valid():
    """It copies the accumulators as they are."""
    dut = SparseArray(Capability(family="generic"))

    async def bench(ctx):
        for value, valid, last in ((9, 1, 0), (7, 1, 0), (100, 0, 0), (100, 0, 1)):
            ctx.set(dut.valid, valid)
            ctx.set(dut.last, last)
            ctx.set(dut.value, value)
            ctx.set(dut.weights, 0x3)
            await ctx.tick()
        ctx.set(dut.last, 0)
        await ctx.tick().until(dut.soon)
        await ctx.tick()
        assert ctx.get(dut.o_lane) == 3 * (9 + 7)

    simulate(dut, testbenches=[bench])
