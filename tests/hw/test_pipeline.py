"""The pipeline's sums and the stream's pace; `tests/hw/engine` measures the engine's parts."""

from dataclasses import asdict

from hw.boards import BOARDS
from hw.capability import REQUANTISE_INTERVAL, Capability
from hw.pipeline import BYTE_CYCLES, LONG, PIPELINES, SHORT, pipeline_of
from hw.soc.stream import StreamDMA
from tests.hw.bus.helpers import simulate


def test_sums():
    """Written down as numbers, so that a part that changes shows here."""
    assert SHORT.requantise_latency == REQUANTISE_INTERVAL + 2 == 6
    assert SHORT.window_sum_stages == 3
    assert SHORT.drain_latency == 13
    assert SHORT.issue_to_write_cycles == 17
    assert SHORT.memory_latency == 2
    assert SHORT.turnaround_cycles == 26


def test_sums_of_the_long_pipeline():
    """One more each: the layer table, the lane's sums, the requantiser; three more: the weights."""
    assert LONG.requantise_latency == 7
    assert LONG.window_sum_stages == 4
    assert LONG.drain_latency == 15
    assert LONG.issue_to_write_cycles == 22
    assert LONG.memory_latency == 6
    assert LONG.turnaround_cycles == 27


def test_the_family_chooses_the_pipeline():
    assert pipeline_of(Capability()) is pipeline_of(Capability(family="generic")) is SHORT
    for number, pipeline in enumerate(PIPELINES):
        assert pipeline_of(Capability(pipeline=number)) is pipeline
    for board in BOARDS.values():
        if board.family == "ice40":
            assert pipeline_of(board.capability) is SHORT


def test_a_part_takes_a_cycle_or_two():
    """More than the engine's parts are made for would need another pace of the drain."""
    for pipeline in PIPELINES:
        parts = asdict(pipeline)
        assert parts.pop("word_stages") in (0, 2)
        assert parts.pop("weight_cycles") in (1, 3)
        assert all(cycles in (1, 2) for cycles in parts.values())


def test_stream_from_byte_to_byte():
    """With a stream that never waits, the DMA takes a byte each BYTE_CYCLES."""
    dma = StreamDMA(addr_width=8)
    taken = []

    async def bench(ctx):
        ctx.set(dma.words, 1)
        ctx.set(dma.start, 1)
        await ctx.tick()
        ctx.set(dma.start, 0)
        ctx.set(dma.i.valid, 1)
        for cycle in range(3 * BYTE_CYCLES + 1):
            if ctx.get(dma.i.ready):
                taken.append(cycle)
            await ctx.tick()

    simulate(dma, testbenches=[bench])
    assert taken == [number * BYTE_CYCLES for number in range(4)]
