"""The tinyVision.ai UPduino v3: an iCE40UP5K on its internal oscillator, behind an FT232H."""

from hw.boards.up5k import adapter_uart, rgb_pads, upduino

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.resources import SPIFlashResources
    from amaranth_boards.upduino_v3 import UpduinoV3Platform

    platform = UpduinoV3Platform()
    platform.hfosc_div = 1
    platform.add_resources([*rgb_pads("39 40 41"), adapter_uart(rx="47", tx="45")])
    # Without the two pins that lead to the flash only where jumpers were soldered.
    platform.add_resources(SPIFlashResources(1, cs_n="16", clk="15", cipo="17", copi="14"))
    return platform


BOARD = upduino(
    name="upduino_v3",
    title="tinyVision.ai UPduino v3",
    platform=_platform,
    uart="a 3.3 V adapter at gpio_47 (to the board) and gpio_45 (from the board)",
    flash=("spi_flash_1x", 1),
    leds=(("rgb_pad", 0), ("rgb_pad", 2), ("rgb_pad", 1)),
)
