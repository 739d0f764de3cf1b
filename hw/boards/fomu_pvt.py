"""The Fomu, production version: an iCE40UP5K in a USB plug, with no pin for a serial line."""

from hw.boards.up5k import rgb_pads, up5k_board

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.fomu_pvt import FomuPVTPlatform

    platform = FomuPVTPlatform()
    platform.add_resources(rgb_pads("A5 B5 C5"))
    return platform


BOARD = up5k_board(
    name="fomu_pvt",
    title="Fomu PVT",
    package="UWG30",
    input_clock_mhz=48.0,
    clock_resource="clk48",
    pll="core",  # the pin of the PLL, B3, is another one
    platform=_platform,
    bauds=(1_000_000,),  # of a transmitter that leads nowhere
    uart=None,
    usb=None,
    by_hand="its USB boot loader lies where the image does: write the image with an SPI programmer",
    leds=(("rgb_pad", 0), ("rgb_pad", 1), ("rgb_pad", 2)),
    buttons=(),
)
