# amaranth: UnusedElaboratable=no
"""`hw.soc.boot`, with a watchdog of 64 cycles in place of 2 ** 20, and 256 in place of 2 ** 25."""

import pytest

from hw.soc import boot
from hw.soc.boot import Boot
from tests.hw.bus.helpers import simulate
from tests.hw.soc.test_flash import WORD_CYCLES

HOLD, LATE, SILENCE = 16, 64, 256


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(boot, "HOLD_BIT", HOLD.bit_length() - 1)
    monkeypatch.setattr(boot, "WATCHDOG_BIT", LATE.bit_length() - 1)
    monkeypatch.setattr(boot, "SILENCE_BIT", SILENCE.bit_length() - 1)


def test_the_real_times(monkeypatch):
    monkeypatch.undo()
    assert (boot.WATCHDOG_BIT, boot.SILENCE_BIT) == (20, 25), "what docs and firmware say"
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


async def alive(ctx, dut, *others):
    """One cycle of life, and of whatever else."""
    for one in (dut.alive, *others):
        ctx.set(one, 1)
    await ctx.tick()
    for one in (dut.alive, *others):
        ctx.set(one, 0)


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
        assert (ctx.get(dut.timer), ctx.get(dut.flip), ctx.get(dut.living)) == (when, copy, 0)
        await alive(ctx, dut)
        assert ctx.get(dut.living)
        first, last = when + 1, 2 * SILENCE
        rows = await observe(ctx, dut, last - first)
        assert rows == [(time, 0, 0, 0, copy, 0) for time in range(first, last)]

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
        assert ctx.get(dut.timer) == LATE + 1 and ctx.get(dut.living)


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("beats", [0, 1, 3])
def test_silence(copy, beats):
    """Once alive, it must say so in each period; the first one that it misses entirely is its last,
    and the other copy is started."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(copy * (LATE + 1) + HOLD + 5)
        await alive(ctx, dut)
        for beat in range(beats):
            # At the very end of one period, at the very start of another, and in between.
            time = (beat + 1) * SILENCE + (SILENCE - 1, 1, SILENCE // 2)[beat]
            await ctx.tick().repeat(time - ctx.get(dut.timer))
            await alive(ctx, dut)
        while not ctx.get(dut.late):
            assert ctx.get(dut.living) and ctx.get(dut.copy) == copy
            await ctx.tick()
        assert ctx.get(dut.timer) == (beats + 2) * SILENCE
        await ctx.tick()
        rows = await observe(ctx, dut, LATE + 1)
        assert rows == start(1 - copy)
        assert not ctx.get(dut.living)

    simulate(dut, testbenches=[run])


@pytest.mark.parametrize("offset", [0, 1])
def test_a_word_in_the_cycle_of_the_look(offset):
    """It counts: for the period that ends, and for the one that begins. One cycle later it is too
    late, and no life of the processor that is started then."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(HOLD + 5)
        await alive(ctx, dut)
        await ctx.tick().repeat(2 * SILENCE + offset - ctx.get(dut.timer))
        await alive(ctx, dut)
        if offset == 0:
            while not ctx.get(dut.late):
                await ctx.tick()
            assert ctx.get(dut.timer) == 4 * SILENCE
        else:
            rows = await observe(ctx, dut, LATE)
            assert rows[0][0] == 1 and rows[-1] == start(1)[-1], "one cycle too late"

    simulate(dut, testbenches=[run])


def test_a_pause_is_no_silence():
    """However long; and it does not stand for the first word of life."""
    dut = Boot()

    async def run(ctx):
        ctx.set(dut.pause, 1)
        assert await observe(ctx, dut, LATE + 1) == start(0, first=True)
        await ctx.tick().repeat(HOLD + 5)
        await alive(ctx, dut)
        await ctx.tick().repeat(10 * SILENCE + 7 - ctx.get(dut.timer))
        ctx.set(dut.pause, 0)
        while not ctx.get(dut.late):
            await ctx.tick()
        assert ctx.get(dut.timer) == 12 * SILENCE

    simulate(dut, testbenches=[run])

    simulate(dut, testbenches=[run])


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize(
    "when",
    [0, 5, LATE - HOLD - 2, 2 * LATE, 3 * LATE, SILENCE - HOLD - 3, SILENCE, 2 * SILENCE - 99],
)
def test_restart(copy, when):
    """At any time, also with the watchdogs' bits of the timer set: the first copy, no failure."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(copy * (LATE + 1) + HOLD + 2)
        await alive(ctx, dut)
        for _ in range(when):
            await ctx.tick()
        assert ctx.get(dut.copy) == copy and not ctx.get(dut.late)
        await alive(ctx, dut, dut.restart)  # restart counts
        rows = await observe(ctx, dut, 2 * (LATE + 1))
        assert rows == start(0) + start(1)

    simulate(dut, testbenches=[run])


def test_restart_in_hold():
    """It is a last word of the processor that was stopped: nobody else can say it."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(5)
        await alive(ctx, dut, dut.restart)
        assert not ctx.get(dut.living)
        assert await observe(ctx, dut, LATE - 5) == start(0)[6:]

    simulate(dut, testbenches=[run])


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("together", [0, 1])
def test_restart_without_life(copy, together):
    """A program that has never been alive does not ask for it on purpose: the other copy, and a
    failure; also where it says both at once."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(copy * (LATE + 1) + HOLD + 2)
        ctx.set(dut.restart, 1)
        ctx.set(dut.alive, together)
        assert ctx.get(dut.late)
        await ctx.tick()
        ctx.set(dut.restart, 0)
        ctx.set(dut.alive, 0)
        assert await observe(ctx, dut, LATE + 1) == start(1 - copy)

    simulate(dut, testbenches=[run])
