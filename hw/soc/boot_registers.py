"""Registers of `hw.soc.boot`, and the times that they promise. Free of Amaranth."""

from hw.bus.registers import described, pulse, read_only

__all__ = ["BOOT", "FIRST_ALIVE_BIT", "SILENCE_BIT", "TIMER"]

FIRST_ALIVE_BIT = 20
"""Firmware must have said within 2 ** FIRST_ALIVE_BIT cycles that it is alive: 29 ms at 36 MHz."""

SILENCE_BIT = 25
"""And then again within 2 ** SILENCE_BIT cycles, each time: 0.93 s at 36 MHz."""

TIMER = described(
    "TIMER",
    "Time.",
    read_only("TIMER", 0, 32, "Clock cycles since the start, modulo 2 ** 32."),
)

BOOT = described(
    "BOOT",
    "How the firmware was started.",
    pulse(
        "ALIVE",
        0,
        f"Write 1: checked firmware runs. To be written within 2 ** {FIRST_ALIVE_BIT} cycles of "
        f"the start and then every 2 ** {SILENCE_BIT}, frames not counted, or the other copy is "
        "started. Until the first time the red light is on.",
    ),
    read_only(
        "COPY", 1, 1, "Which copy in flash was taken: 1 if the first one is damaged or hung."
    ),
    pulse(
        "RESTART",
        2,
        "Write 1: start anew, with the first copy; aborts engine and DMA. "
        "Before ALIVE, the other copy is started.",
    ),
)
