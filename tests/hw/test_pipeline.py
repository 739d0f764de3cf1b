"""The pipeline's sums and the stream's pace; `tests/hw/engine` measures the engine's parts."""

from hw.capability import REQUANTISE_INTERVAL
from hw.pipeline import (
    BYTE_CYCLES,
    DRAIN_LATENCY,
    ISSUE_TO_WRITE_CYCLES,
    REQUANTISE_LATENCY,
)
from hw.soc.stream import StreamDMA
from tests.hw.bus.helpers import simulate


def test_sums():
    """Written down as numbers, so that a part that changes shows here."""
    assert REQUANTISE_LATENCY == REQUANTISE_INTERVAL + 2 == 6
    assert DRAIN_LATENCY == 13
    assert ISSUE_TO_WRITE_CYCLES == 17


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
