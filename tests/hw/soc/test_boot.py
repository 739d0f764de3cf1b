# amaranth: UnusedElaboratable=no
"""`hw.soc.boot`, with a watchdog of 64 cycles in place of 2 ** 20, and 256 in place of 2 ** 25.

In place of flash, DMA and CRC, `right` rises LOAD cycles after `load`, or does not.
"""

import pytest

from hw.boards import find_board
from hw.engine.sequencer import Sequencer
from hw.soc import boot
from hw.soc.boot import Boot
from tests.hw.bus.helpers import simulate
from tests.hw.soc.test_flash import WORD_CYCLES
from tests.hw.timelines import drawn, in_docs

CLEAR, LATE, SILENCE = 16, 64, 256
LOAD = 10
HOLD = CLEAR + LOAD


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(boot, "CLEAR_BIT", CLEAR.bit_length() - 1)
    monkeypatch.setattr(boot, "FIRST_ALIVE_BIT", LATE.bit_length() - 1)
    monkeypatch.setattr(boot, "SILENCE_BIT", SILENCE.bit_length() - 1)


def test_the_real_times(monkeypatch):
    monkeypatch.undo()
    assert (boot.FIRST_ALIVE_BIT, boot.SILENCE_BIT) == (20, 25), "what docs and firmware say"
    # A fetch that reset cut off must be over: the end of one, a rest, and the bus around it.
    assert 1 << boot.CLEAR_BIT > WORD_CYCLES + 20


def test_the_engine_is_idle_when_the_first_word_is_written(monkeypatch):
    """After an abort it clears itself; while it does, no weight can be written."""
    monkeypatch.undo()
    dut = Sequencer(find_board("icebreaker").capability)
    cycles = []

    async def run(ctx):
        for _ in range(2):
            count = 0
            while ctx.get(dut.busy):
                count += 1
                await ctx.tick()
            cycles.append(count)
            ctx.set(dut.abort, 1)
            await ctx.tick()
            ctx.set(dut.abort, 0)

    simulate(dut, testbenches=[run])
    assert 100 < max(cycles) < 1 << boot.CLEAR_BIT


def loader(dut, *, sound):
    """Background testbench: what loads the firmware, and finds it `sound`."""

    async def run(ctx):
        while True:
            # The last CRC of the processor that ran was right, and nobody has begun another yet.
            while not ctx.get(dut.clearing):
                await ctx.tick()
            for _ in range(2):
                await ctx.tick()
            ctx.set(dut.right, 0)
            while not ctx.get(dut.load):
                await ctx.tick()
            for _ in range(LOAD):
                await ctx.tick()
            ctx.set(dut.right, sound)

    return run


def run_boot(run, dut, *, sound=1):
    """With `right` high at the beginning, which is before its time."""

    async def before(ctx):
        ctx.set(dut.right, 1)
        await run(ctx)

    simulate(dut, testbenches=[before], background=[loader(dut, sound=sound)])


async def observe(ctx, dut, cycles):
    """(timer, hold, clearing, load, clear, late, copy) of each cycle."""
    rows = []
    for _ in range(cycles):
        names = ("timer", "hold", "clearing", "load", "clear", "late", "copy")
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


def start(copy, *, first=False, hold=HOLD):
    """What a start looks like whose processor does not become alive."""
    return [
        (time, int(time <= hold), int(time <= CLEAR), int(time == CLEAR),
         int(time == 0 and not first), int(time == LATE), copy)
        for time in range(LATE + 1)
    ]  # fmt: skip


def test_without_life_it_tries_the_copies_in_turn():
    dut = Boot()

    async def run(ctx):
        rows = await observe(ctx, dut, 4 * (LATE + 1))
        assert rows == start(0, first=True) + start(1) + start(0) + start(1)

    run_boot(run, dut)


def test_a_wrong_copy_is_never_run():
    """Its processor stays in reset until the watchdog strikes; the copies in turn."""
    dut = Boot()

    async def run(ctx):
        rows = await observe(ctx, dut, 3 * (LATE + 1))
        first, second = start(0, first=True, hold=LATE), start(1, hold=LATE)
        assert rows == first + second + start(0, hold=LATE)

    run_boot(run, dut, sound=0)


def test_life_in_reset_is_none():
    """Nobody can say so: it is a wire that another processor left behind."""
    dut = Boot()

    async def run(ctx):
        ctx.set(dut.alive, 1)
        await ctx.tick().repeat(LATE - 1)
        assert not ctx.get(dut.living) and ctx.get(dut.hold)

    run_boot(run, dut, sound=0)


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("when", [HOLD + 1, LATE - 1])
def test_alive_in_time(copy, when):
    """Time goes on, and the choice stands."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(copy * (LATE + 1) + when)
        assert (ctx.get(dut.timer), ctx.get(dut.copy), ctx.get(dut.living)) == (when, copy, 0)
        await alive(ctx, dut)
        assert ctx.get(dut.living)
        first, last = when + 1, 2 * SILENCE
        rows = await observe(ctx, dut, last - first)
        assert rows == [(time, 0, 0, 0, 0, 0, copy) for time in range(first, last)]

    run_boot(run, dut)


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

    run_boot(run, dut)


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

    run_boot(run, dut)


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

    run_boot(run, dut)


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

    run_boot(run, dut)


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

    run_boot(run, dut)


def test_restart_in_hold():
    """It is a last word of the processor that was stopped: nobody else can say it."""
    dut = Boot()

    async def run(ctx):
        await ctx.tick().repeat(5)
        await alive(ctx, dut, dut.restart)
        assert not ctx.get(dut.living)
        assert await observe(ctx, dut, LATE - 5) == start(0)[6:]

    run_boot(run, dut)


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

    run_boot(run, dut)


def test_the_timeline_in_the_docs(monkeypatch):
    """The first copy is damaged; the second is right, and its firmware says that it is alive."""
    monkeypatch.setattr(boot, "CLEAR_BIT", 2)
    monkeypatch.setattr(boot, "FIRST_ALIVE_BIT", 4)
    dut = Boot()
    names = ("timer", "copy", "clearing", "load", "right", "hold", "alive", "living", "late")
    rows = {name: [] for name in names}

    async def run(ctx):
        load = None  # when the last copy was asked for
        for cycle in range(32):
            load = cycle if ctx.get(dut.load) else load
            second = ctx.get(dut.copy)
            ctx.set(dut.right, bool(second) and load is not None and cycle >= load + 3)
            ctx.set(dut.alive, cycle == 28)
            for name, row in rows.items():
                value = ctx.get(getattr(dut, name))
                row.append(value if name in ("timer", "copy") else "x" if value else None)
            load = None if ctx.get(dut.late) else load
            await ctx.tick()

    simulate(dut, testbenches=[run])
    assert drawn(rows) == in_docs("Watchdog")
