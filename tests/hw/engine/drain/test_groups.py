# amaranth: UnusedElaboratable=no
"""The winner of a group in both orders: by S before the requantiser, by Q behind it."""

import pytest

from hw.capability import REQUANTISE_INTERVAL
from hw.engine.drain.groups import GroupWinner
from hw.pipeline import WINNER_LATENCY, pipeline_of
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import BY_PIPELINE, CAPABILITY

SHIFT = CAPABILITY.requantise_bits


def requantised(total, multiplier, maximum):
    return min(max((total * multiplier + (1 << SHIFT - 1)) >> SHIFT, 0), maximum)


@pytest.mark.parametrize("capability", BY_PIPELINE)
@pytest.mark.parametrize("before", [0, 1])
def test_winners(before, capability):
    rng = seeded(before)
    dut = GroupWinner(capability)
    latency = WINNER_LATENCY + pipeline_of(capability).requantise_latency + WINNER_LATENCY
    maximum = (1 << CAPABILITY.activation_bits) - 1
    pace = 1 if before else REQUANTISE_INTERVAL
    groups = []  # of (S, multiplier)
    for _ in range(40):
        size = rng.randrange(REQUANTISE_INTERVAL, 9)
        # Near the middle of the range of values, so that values differ and sometimes tie.
        multiplier = rng.randrange(1 << 12, 1 << 16)
        top = (maximum + 2 << SHIFT) // multiplier
        groups.append([(rng.randrange(-top // 4, top), multiplier) for _ in range(size)])
    ends, found = {}, []  # cycle of a group's last S to the group's number

    async def bench(ctx):
        ctx.set(dut.layer, {"before": before, "maximum": maximum})
        cycle = 0

        async def tick():
            nonlocal cycle
            if ctx.get(dut.o_valid):
                found.append(
                    (cycle - latency, ctx.get(dut.o_value), ctx.get(dut.o_index),
                     ctx.get(dut.ends_pixel), ctx.get(dut.ends_layer))
                )  # fmt: skip
            await ctx.tick()
            cycle += 1

        for number, group in enumerate(groups):
            for index, (total, multiplier) in enumerate(group):
                first, last = index == 0, index == len(group) - 1
                flags = {"valid": 1, "first": first, "last": last, "index": index}
                flags |= {"starts": first or not before, "ends": last or not before}
                flags |= {"pixel": last and number % 2, "layer": last and number % 4 == 3}
                ctx.set(dut.flags, flags)
                ctx.set(dut.total, total)
                if flags["ends"]:
                    ctx.set(dut.multiplier, multiplier)
                if last:
                    ends[cycle] = number
                await tick()
                ctx.set(dut.flags.valid, 0)
                for _ in range(pace - 1):
                    await tick()
        for _ in range(latency + 2):
            await tick()

    simulate(dut, testbenches=[bench])
    values = set()
    right = []
    for cycle, number in ends.items():
        group = groups[number]
        quantised = [requantised(total, factor, maximum) for total, factor in group]
        keys = [total for total, _ in group] if before else quantised
        index = keys.index(max(keys))
        values.add(quantised[index])
        right.append((cycle, quantised[index], index, number % 2, int(number % 4 == 3)))
    assert found == right
    assert len(values) > 3
