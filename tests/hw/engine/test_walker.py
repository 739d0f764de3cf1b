# amaranth: UnusedElaboratable=no
"""The record walker alone: its worked timeline, the wait for the drain, and what clears it.

`test_taps.py` compares it with a plain walk over whole layers.
"""

import pytest

from hw.engine.walker import RecordWalker
from tests.hw.bus.helpers import simulate
from tests.hw.engine.helpers import CAPABILITY
from tests.hw.timelines import drawn, in_docs

GROUPS, GROUP, DRAIN = 2, 3, 7
TAPS = {
    "A": {"address": 40, "weights": 100, "last": 0, "last_tile": 1},
    "B": {"address": 50, "weights": 106, "last": 1, "last_tile": 1},
    "C": {"address": 60, "weights": 112, "last": 1, "last_tile": 1},
}
ROWS = ("tap taken", "record", "weights", "ends")


def trace(cycles, *, taps="ABC", drain=DRAIN, clear=()):
    """Rows of what goes in and comes out, in so many cycles; `clear` in those cycles."""
    dut = RecordWalker(CAPABILITY)
    rows = {name: [] for name in ROWS}

    async def bench(ctx):
        stored = {"groups": GROUPS - 1, "group": GROUP, "drain_cycles": 1}
        ctx.set(dut.layer, stored | {"last_drain_cycles": drain - 1})
        waiting = list(taps)
        ends = None  # the tap whose last record is handed out next
        for cycle in range(cycles):
            ctx.set(dut.clear, cycle in clear)
            ctx.set(dut.i_taps.valid, bool(waiting))
            if waiting:
                ctx.set(dut.i_taps.payload, TAPS[waiting[0]])
            valid, issue = ctx.get(dut.valid), ctx.get(dut.issue)
            rows["record"].append(issue.address if valid else None)
            rows["weights"].append(issue.weights if valid else None)
            rows["ends"].append(ends if valid and issue.last else None)
            taken = waiting[0] if waiting and ctx.get(dut.i_taps.ready) else None
            rows["tap taken"].append(taken)
            if taken:
                ends = waiting.pop(0)
            await ctx.tick()

    simulate(dut, testbenches=[bench], deadline=cycles + 10)
    return rows


def test_the_timeline_in_the_docs():
    assert drawn(trace(14)) == in_docs("Walker")


@pytest.mark.parametrize("drain", [2, 3, 4, 9])
def test_a_window_waits_for_the_drain_of_the_one_before(drain):
    rows = trace(20, drain=drain)
    before = rows["ends"].index("B")
    assert rows["ends"].index("C") == before + max(GROUPS, drain)


def test_clear_forgets_tap_and_drain():
    """The tap under way is dropped, and no window waits for a drain that was given up."""
    rows = trace(14, taps="ABCC", drain=100)
    assert rows["record"][5:] == [60] + 8 * [None], "held: the drain takes 100 cycles"
    rows = trace(14, taps="ABCC", drain=100, clear=[5])
    assert rows["record"][5:] == [60, None, 60, 61] + 5 * [None]
    assert rows["ends"][8] == "C"
