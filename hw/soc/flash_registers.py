"""The register of `hw.soc.flash`. Free of Amaranth."""

from hw.bus.registers import described, given, pulse, read_only

__all__ = ["FLASH"]

FLASH = described(
    "FLASH",
    "The flash, byte by byte, and the end of a sequential read.",
    given("DATA", 0, 8, "Byte, with SEND."),
    pulse(
        "SEND",
        8,
        "Write 1 while selected and not BUSY: exchange a byte, 17 cycles. "
        "STREAM.DATA then is the one that came.",
    ),
    pulse("SELECT", 9, "Write 1: keep the flash selected, until STOP."),
    pulse(
        "STOP",
        10,
        "Write 1: the sequential read ends, the stream is the UART's again; ends SELECT.",
    ),
    read_only("BUSY", 11, 1, "The flash controller is at work."),
)
