"""Registers of `hw.soc.stream`: byte stream, CRC, DMA. Free of Amaranth."""

from hw.bus.registers import described, given, pulse, read_only
from hw.pipeline import AHEAD_CYCLES

__all__ = ["COUNT_BITS", "CRC", "CRC_FEED", "DMA", "DMA_STATUS", "DMA_TARGET", "STREAM"]

COUNT_BITS = 16
"""Bits of the DMA's count of words."""

STREAM = described(
    "STREAM",
    "The byte stream: UART behind its COBS decoder, or flash while it is read.",
    read_only("DATA", 0, 8, "Byte at the front."),
    read_only("VALID", 8, 1, "Something is at the front."),
    read_only("END", 9, 1, "It is no byte but the end of a frame."),
    read_only("CUT", 10, 1, "With END: the frame ended within a COBS block."),
    pulse("NEXT", 11, "Write 1 while VALID: take it; a byte goes through the CRC."),
)

CRC = described(
    "CRC",
    "CRC-32 of the bytes taken from the stream, or fed.",
    read_only("CRC", 0, 32, "As in Ethernet and zlib; valid 8 cycles after the last byte."),
)

CRC_FEED = described(
    "CRC_FEED",
    "Compute a CRC.",
    given("DATA", 0, 8, "Byte, with FEED."),
    pulse("FEED", 8, "Write 1 while the DMA rests: put DATA through the CRC, 8 cycles."),
    pulse("CLEAR", 9, "Write 1: begin a CRC."),
)

DMA_TARGET = described(
    "DMA_TARGET",
    "Where the DMA writes next.",
    given("WORD", 0, 20, "Word address on the bus, byte address / 4: of a window."),
    pulse("LOAD", 20, "Write 1: take WORD."),
)

DMA = described(
    "DMA",
    "Moves words from the stream to the bus, also while a frame runs.",
    given("WORDS", 0, COUNT_BITS, "How many, at least 1, with START."),
    pulse("START", 16, "Write 1: begin."),
    pulse("STOP", 17, "Write 1: end early."),
    given(
        "WAIT",
        18,
        1,
        f"With START: begin with the {AHEAD_CYCLES}th cycle of the next frame, or with its end.",
    ),
)

DMA_STATUS = described(
    "DMA_STATUS",
    "How far the DMA is.",
    read_only("BUSY", 0, 1, "Words are being moved."),
    read_only("END", 1, 1, "The stream's front is the end of a frame: the DMA cannot go on."),
)
