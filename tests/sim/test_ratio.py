"""Groups of l make a layer l times faster, counted in the RTL."""

from benchmarks.verify import measure_ratio
from tests.sim.helpers import GENERIC


def test_cycles_fall_with_the_group_size(generic_model):
    rows = measure_ratio([2, 4], print, capability=GENERIC, widths=(16, 32), size=16)
    assert [row["group_size"] for row in rows] == [1, 2, 4]
    for row in rows[1:]:
        assert row["ratio"] >= 0.95 * row["group_size"], row
