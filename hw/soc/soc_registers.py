"""Registers of what `hw.soc.soc` itself has: lights, buttons, UART. Free of Amaranth."""

from hw.bus.registers import described, given, pulse, read_only, read_write

__all__ = ["BUTTONS", "BUTTON_COUNT", "LEDS", "LED_COUNT", "UART"]

LED_COUNT = 7
"""Lights that a board may have."""

BUTTON_COUNT = 4
"""Buttons that a board may have."""

LEDS = described(
    "LEDS",
    "The board's lights.",
    read_write(
        "LEDS", 0, LED_COUNT, "1: on. Bit 0 green, 1 red, the others as the board has them."
    ),
)

BUTTONS = described(
    "BUTTONS",
    "The board's buttons.",
    read_only("BUTTONS", 0, BUTTON_COUNT, "1: pressed."),
)

UART = described(
    "UART",
    "To the host.",
    given("DATA", 0, 8, "Byte to send, with SEND."),
    pulse("SEND", 8, "Write 1 while READY: send DATA."),
    read_only("READY", 9, 1, "A byte can be sent."),
    read_only("OVERRUN", 10, 1, "Bytes from the host were lost: the FIFO was full."),
    pulse("OVERRUN_CLEAR", 11, "Write 1: clear OVERRUN."),
)
