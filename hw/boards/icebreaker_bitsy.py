"""The 1BitSquared iCEBreaker Bitsy, version 1: an iCE40UP5K whose USB plug leads to the FPGA."""

from hw.boards.up5k import adapter_uart, up5k_board

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.icebreaker_bitsy import ICEBreakerBitsyPlatform

    platform = ICEBreakerBitsyPlatform()
    platform.add_resources([adapter_uart(rx="47", tx="44")])
    return platform


BOARD = up5k_board(
    name="icebreaker_bitsy",
    title="1BitSquared iCEBreaker Bitsy",
    input_clock_mhz=12.0,
    clock_resource="clk12",
    platform=_platform,
    bauds=(1_000_000, 500_000, 115_200),
    uart="a 3.3 V adapter at P0 (to the board) and P1 (from the board)",
    usb=None,
    by_hand="its USB boot loader lies where the image does: write the image with an SPI programmer",
    leds=(("led_g", 0), ("led_r", 0)),
    buttons=(("button", 0),),
)
