"""What boards with an ECP5 share: the flash's pins, what each size is built for."""

from typing import Any

from hw.boards.board import Board
from hw.capability import Capability
from hw.families.ecp5 import BUDGETS

__all__ = ["CLOCKS_MHZ", "add_flash", "ecp5_board"]

_FLASH = "config_flash"  # the resource that `add_flash` adds

# The flash hangs on the pins that read the bitstream, which the package fixes. By these, not by the
# names in a board's platform file: some of those have both data pins exchanged.
# Source: Lattice's pin-out tables, as Project Trellis has them (`iodb.json`, functions CSSPIN,
# D0/MOSI/IO0, D1/MISO/IO1, D2/IO2, D3/IO3).
_PINS = {
    "BG256": ("N8", "T8", "T7", "M7", "N7"),
    "MG285": ("U17", "U18", "T18", "R18", "N18"),
    "BG381": ("R2", "W2", "V2", "Y2", "W1"),
    "BG554": ("AA2", "AE2", "AD2", "AF2", "AE1"),
}

_SMALL = Capability(
    family="ecp5",
    accumulator_bits=21,
    weight_words=8192,
    processor_words=2048,
    activation_words=4096,
)
_LARGE = Capability(
    family="ecp5", lanes=32, accumulator_bits=21, weight_words=7168, processor_words=1024
)

# By size. The processor's memory of 16 KiB is the end of the weight memory, in block RAM.
_CAPABILITIES = {"12F": _SMALL, "25F": _SMALL, "45F": _LARGE, "85F": _LARGE}

CLOCKS_MHZ = {"12F": 60.0, "25F": 60.0, "45F": 50.0, "85F": 50.0}
"""The default clock at speed grade 6, by size: the more lanes, the slower."""

# The default network, by size: the weights of the zoo's own need more block RAMs than the small
# devices have.
_NETWORKS = {"12F": "resnet8-l2", "25F": "resnet8-l2", "45F": None, "85F": None}


def ecp5_board(*, device: str, **facts: Any) -> Board:
    """A board with such a device (``"LFE5U-25F"``), by whose size it is built; `facts` are the
    others of `Board`, and may replace these."""
    size = device.rpartition("-")[2]
    common: dict[str, Any] = {
        "family": "ecp5",
        "device": device,
        "budget": BUDGETS[size],
        "default_clock_mhz": 60.0,
        "capability": _CAPABILITIES[size],
        "flash": (_FLASH, 0),
        "network": _NETWORKS[size],
    }
    return Board(**common | facts)


def add_flash(platform: Any, *, quad: bool = True) -> Any:
    """The platform, with its configuration flash as `ecp5_board` names it, without the clock.

    `quad`: write protection and hold are wired to the device, which keeps them inactive.
    """
    from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal

    select, copi, cipo, wp, hold = _PINS[platform.package]
    more = [
        Subsignal("wp", PinsN(wp, dir="o")),
        Subsignal("hold", PinsN(hold, dir="o")),
    ]
    platform.add_resources([
        Resource(
            _FLASH, 0,
            Subsignal("cs", PinsN(select, dir="o")),
            Subsignal("copi", Pins(copi, dir="o")),
            Subsignal("cipo", Pins(cipo, dir="i")),
            *(more if quad else ()),
            Attrs(IO_TYPE="LVCMOS33"),
        )
    ])  # fmt: skip
    return platform
