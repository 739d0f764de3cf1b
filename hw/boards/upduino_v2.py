"""The Gnarly Grey UPduino v2.0: an iCE40UP5K on its internal oscillator, behind an FT232H."""

from hw.boards.up5k import adapter_uart, rgb_pads, upduino

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.upduino_v2 import UpduinoV2Platform

    platform = UpduinoV2Platform()
    platform.hfosc_div = 1
    platform.add_resources([*rgb_pads("39 40 41"), adapter_uart(rx="47", tx="45")])
    return platform


BOARD = upduino(
    name="upduino_v2",
    title="Gnarly Grey UPduino v2.0",
    platform=_platform,
    uart="a 3.3 V adapter at pins 47 (to the board) and 45 (from the board)",
    # As its schematic has them; its makers' examples disagree about the colours.
    leds=(("rgb_pad", 1), ("rgb_pad", 2), ("rgb_pad", 0)),
)
