"""The MuseLab iCESugar: an iCE40UP5K behind an iCELink, a microcontroller that also clocks it."""

from hw.boards.up5k import rgb_pads, up5k_board

__all__ = ["BOARD"]


def _platform():
    from amaranth_boards.icesugar import ICESugarPlatform

    platform = ICESugarPlatform()
    platform.add_resources(rgb_pads("39 40 41"))
    return platform


BOARD = up5k_board(
    name="icesugar",
    title="MuseLab iCESugar",
    input_clock_mhz=12.0,
    clock_resource="clk12",
    platform=_platform,
    bauds=(115_200,),  # what its own examples use; the iCELink's limit is not documented
    uart="the iCELink's serial port",
    usb=None,
    by_hand="openFPGALoader does not know the iCELink: write the image with icesprog",
    leds=(("rgb_pad", 2), ("rgb_pad", 1), ("rgb_pad", 0)),
    buttons=(),
)
