"""The cycle model on layers small enough to count by hand; the RTL is compared in tests/sim."""

import pytest

from hw.plan import make_plan
from hw.timing import TURNAROUND_CYCLES, layer_timing
from tests.hw.engine.helpers import CAPABILITY, plans
from tests.networks import random_network


def test_frame_is_the_sum_of_its_layers():
    for plan in plans(20, 1000):
        timings = [layer_timing(layer.fields) for layer in plan.layers]
        assert plan.cycles == sum(TURNAROUND_CYCLES + timing.end for timing in timings)
        # From first issue to first issue, all around: the same.
        assert plan.cycles == sum(layer.cycles for layer in plan.layers)


def test_never_faster_than_one_record_a_cycle():
    """Cycles are at least the needed issues: multiplications over the lanes that do them."""
    for plan in plans(20, 1000):
        for layer in plan.layers:
            assert layer.cycles * CAPABILITY.lanes >= layer.multiplications
            assert 0 < layer.utilisation <= 1
            if layer.kind == "conv":  # the dense count pools before it classifies
                assert layer.multiplications <= layer.multiplications_dense


def test_timing_does_not_depend_on_the_weights():
    plan = plans(1, 1100)[0]
    fields = plan.layers[0].fields
    assert layer_timing(fields) == layer_timing(dict(fields))
    again = make_plan(random_network(int(plan.network.metadata["seed"]), _limits()), CAPABILITY)
    assert [layer.cycles for layer in again.layers] == [layer.cycles for layer in plan.layers]


def _limits():
    from tests.hw.engine.helpers import LIMITS

    return LIMITS


@pytest.mark.parametrize("groups, drained", [(1, True), (64, False)])
def test_long_windows_hide_the_drain(groups, drained):
    """With few records a window waits for the drain; with many it takes one cycle for each."""
    plan = next(plan for plan in plans(40, 0) if plan.layers[0].fields["projection"] == 0)
    fields = plan.layers[0].fields | {
        "kernel_height": 0, "kernel_width": 0, "start_y": 0, "start_x": 0, "last_y": 0,
        "last_x": 7, "input_height": 0, "input_width": 7, "stride": 0, "tiles": 0,
        "tile_lanes": 15, "lane_cycles": 0, "drain_cycles": 15, "last_drain_cycles": 15,
        "groups": groups - 1,
    }  # fmt: skip
    timing = layer_timing(fields)
    slowest = max(groups, 16)
    lanes = fields["tile_lanes"] * (fields["lane_cycles"] + 1)
    pipeline = layer_timing(fields | {"last_x": 0}).end - timing.first_issue - groups - lanes
    expected = timing.first_issue + groups + 7 * slowest + lanes + pipeline
    assert timing.end == expected
    assert drained == (slowest > groups)
