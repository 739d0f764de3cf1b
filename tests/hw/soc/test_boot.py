# amaranth: UnusedElaboratable=no
"""`hw.soc.boot`, with a watchdog of 64 cycles in place of 2 ** 20."""

import pytest

from hw.soc import boot
from hw.soc.boot import Boot
from tests.hw.bus.helpers import simulate
from tests.hw.soc.test_flash import WORD_CYCLES

HOLD, LATE = 16, 64


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(boot, "HOLD_BIT", HOLD.bit_length() - 1)
    monkeypatch.setattr(boot, "WATCHDOG_BIT", LATE.bit_length() - 1)


def test_the_real_times(monkeypatch):
    monkeypatch.undo()
    assert boot.WATCHDOG_BIT == 20, "what docs and firmware say"
    # A fetch that reset cut off must be over: the end of one, a rest, and the bus around it.
    assert 1 << boot.HOLD_BIT > WORD_CYCLES + 20


async def observe(ctx, dut, cycles):
    """(timer, hold, clear, late, copy, flip) of each cycle."""
    rows = []
    for _ in range(cycles):
        names = ("timer", "hold", "clear", "late", "copy", "flip")
        rows.append(tuple(ctx.get(getattr(dut, name)) for name in names))
        await ctx.tick()
    return rows


def start(copy, *, first=False, length=LATE + 1, late=1):
    """What a start looks like whose processor does not become alive."""
    return [
        (time, int(time <= HOLD), int(time == 0 and not first), int(time == LATE) & late, copy,
         copy)
        for time in range(length)
    ]  # fmt: skip


def test_without_life_it_tries_the_copies_in_turn():
    dut = Boot()

    async def run(ctx):
        rows = await observe(ctx, dut, 4 * (LATE + 1))
        assert rows == start(0, first=True) + start(1) + start(0) + start(1)

    simulate(dut, testbenches=[run])


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("when", [HOLD + 1, LATE - 1])
def test_alive_in_time(copy, when):
    """Time goes on, the choice stands, and the addresses are not swapped any more."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(copy * (LATE + 1) + when)
        assert (ctx.get(dut.timer), ctx.get(dut.flip)) == (when, copy)
        ctx.set(dut.alive, 1)
        rows = await observe(ctx, dut, 5 * LATE)
        assert rows == [(time, 0, 0, 0, copy, 0) for time in range(when, when + 5 * LATE)]

    simulate(dut, testbenches=[run])


def test_alive_too_late():
    """In the very cycle of the watchdog it still counts; in the next one the start is another."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(LATE)
        assert ctx.get(dut.late)
        ctx.set(dut.alive, 1)
        assert not ctx.get(dut.late)
        await ctx.tick()
        assert ctx.get(dut.timer) == LATE + 1

    simulate(dut, testbenches=[run])


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("when", [0, 5, LATE - HOLD - 2, 2 * LATE, 3 * LATE])
def test_restart(copy, when):
    """At any time, also with the watchdog's bit of the timer set: the first copy, no failure."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(copy * (LATE + 1) + HOLD + 2)
        ctx.set(dut.alive, 1)
        for _ in range(when):
            await ctx.tick()
        assert ctx.get(dut.copy) == copy
        # The store that restarts also clears ALIVE.
        ctx.set(dut.alive, 0)
        ctx.set(dut.restart, 1)
        assert not ctx.get(dut.late)
        await ctx.tick()
        ctx.set(dut.restart, 0)
        rows = await observe(ctx, dut, 2 * (LATE + 1))
        assert rows == start(0) + start(1)

    simulate(dut, testbenches=[run])


def test_restart_in_hold():
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(5)
        ctx.set(dut.restart, 1)
        await ctx.tick()
        ctx.set(dut.restart, 0)
        assert await observe(ctx, dut, LATE + 1) == start(0)

    simulate(dut, testbenches=[run])
