"""The boards on USB, and which one is meant: for the loader and the serial port alike.

Two programs tell what is there. pyserial lists serial ports, each with the ids of its USB chip; the
loader lists chips by USB bus and address (`firmware.loader`). `merge` makes one list of both,
`choose` takes the one that `--port` and `--serial` name, or the only one that it can be.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firmware.link import LinkError
from hw.boards import Board

__all__ = [
    "Chip",
    "choose",
    "find_chips",
    "mend_usb",
    "merge",
    "no_pyserial",
    "rule",
    "serial_port",
    "serial_ports",
]


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A USB chip that may be a board's.

    ``name`` is its product string and ``serial`` its serial number, "" where it has none. ``bus``
    and ``address`` are its place on USB, None where the system does not tell. ``ports`` are the
    serial ports of its interfaces, by number. ``seen`` says whether the loader listed it.
    """

    name: str
    serial: str
    bus: int | None = None
    address: int | None = None
    ports: tuple[tuple[int, str], ...] = ()
    seen: bool = False

    @property
    def place(self) -> str:
        """BUS:ADDRESS, as the loader takes it; "" where that is not known."""
        return "" if self.bus is None else f"{self.bus}:{self.address}"

    def __str__(self) -> str:
        """For people: product, serial number, ports, and where on USB."""
        words = [f"serial number {self.serial}" if self.serial else "no serial number"]
        words.append(" and ".join(name for _, name in self.ports) or "no serial port")
        if self.place:
            words.append(f"USB {self.place}")
        return f"{self.name or 'unnamed'} ({', '.join(words)})"


def rule(board: Board) -> str:
    """The udev rule that gives the board's USB chip, all its interfaces, to whoever sits at the
    machine, and keeps ModemManager from it, which sends commands for modems to every new serial
    port."""
    chip = board.usb_chip()
    return (
        f'SUBSYSTEMS=="usb", ATTRS{{idVendor}}=="{chip.vendor:04x}", '
        f'ATTRS{{idProduct}}=="{chip.product:04x}", MODE="0660", GROUP="plugdev", '
        'TAG+="uaccess", ENV{ID_MM_DEVICE_IGNORE}="1"'
    )


def mend_usb(board: Board) -> str:
    """What to do where the system does not give the board's USB chip to the user."""
    return (
        f"run `echo '{rule(board)}' | sudo tee /etc/udev/rules.d/53-{board.name}.rules && "
        "sudo udevadm control --reload && sudo udevadm trigger`, and plug the board in anew"
    )


def serial_ports() -> list:
    """The serial ports of this machine, as pyserial tells of them.

    Raises `LinkError` on a system for which pyserial is not made.
    """
    try:
        from serial.tools.list_ports import comports
    except ImportError as error:
        raise no_pyserial("auto", error) from None
    return list(comports())


def no_pyserial(port: str, error: ImportError) -> LinkError:
    """What to tell where pyserial cannot be imported."""
    return LinkError(f"No port {port}: pyserial does not run on this system: {error}")


def find_chips(board: Board) -> list[Chip]:
    """Chips with the ids of the board's, by what the serial ports of this machine tell."""
    groups: dict[str, list] = {}
    for port in serial_ports():
        if (port.vid, port.pid) == (board.usb_chip().vendor, board.usb_chip().product):
            number, key = _interface(port)
            groups.setdefault(key, []).append((number, port))
    chips = []
    for found in groups.values():
        found.sort(key=lambda one: (one[0], one[1].device))
        first = found[0][1]
        bus, address = _place(first)
        chips.append(
            Chip(
                name=first.product or "",
                serial=_serial(first),
                bus=bus,
                address=address,
                ports=tuple((number, port.device) for number, port in found),
            )
        )
    return sorted(chips, key=str)


def merge(chips: Iterable[Chip], seen: Iterable[Chip]) -> list[Chip]:
    """One list of the chips that serial ports tell of and of those that the loader has seen."""
    left, merged = list(chips), []
    for probe in seen:
        same = [chip for chip in left if chip.place and chip.place == probe.place] or [
            chip for chip in left if not chip.place and chip.serial and chip.serial == probe.serial
        ]
        if len(same) == 1:
            left.remove(same[0])
            probe = replace(
                probe,
                ports=same[0].ports,
                name=same[0].name or probe.name,
                serial=same[0].serial or probe.serial,
            )
        merged.append(probe)
    return merged + left


def choose(
    chips: Sequence[Chip], board: Board, *, port: str | None, serial: str | None, write: bool
) -> Chip | None:
    """The chip that is meant; None if there is none at all and none was named.

    Parameters
    ----------
    chips : sequence of Chip
        All that could be the board's.
    port, serial : str
        As the user named it: a serial port of the chip (None: any), its serial number or place.
    write : bool
        It is to be written to: a chip that does not say that it is this board must be named.

    Raises `LinkError` if what was named is not there, or if several may be meant.
    """
    found = list(chips)
    if port is not None:
        found = [chip for chip in found if any(_same(port, name) for _, name in chip.ports)]
        if not found:
            raise LinkError(
                f"Port {port} is not a {board.title}'s on USB; {_listed(chips)}: name one of their "
                "ports with --port, or one of their serial numbers with --serial"
            )
    if serial is not None:
        of_port, found = found, [chip for chip in found if serial in (chip.serial, chip.place)]
        if not found and port is not None:
            raise LinkError(f"Port {port} belongs to {of_port[0]}, not to serial number {serial}")
        if not found or not serial:
            raise LinkError(f"No {board.title} with serial number {serial!r}; {_listed(chips)}")
    if not found:
        return None
    named = [chip for chip in found if board.usb_chip().name in chip.name.lower()]
    if port is None and serial is None:
        if write and not named:
            raise LinkError(
                f"The chip on USB does not say that it is a {board.title}, and others have the "
                f"same one; nothing was written; {_listed(found)}: if it is the board, name it "
                "with --port, or with --serial and its serial number or place on USB"
            )
        found = named or found
    if len(found) > 1:
        nothing = "nothing was written; " if write else ""
        raise LinkError(
            f"{len(found)} boards found; {nothing}{_listed(found)}: choose one with --port or "
            "--serial"
        )
    return found[0]


def serial_port(chip: Chip, board: Board) -> str | None:
    """The serial port of the board's UART; None if the system shows none."""
    uart = board.usb_chip().uart
    return None if uart is None else dict(chip.ports).get(uart)


def _listed(chips: Sequence[Chip]) -> str:
    return f"on USB: {', '.join(map(str, chips)) or 'none'}"


def _same(asked: str, name: str) -> bool:
    """Whether two names mean one port: by links as in /dev/serial, and in any case on Windows."""
    if os.name == "nt":
        return asked.upper() == name.upper()
    return asked == name or os.path.realpath(asked) == os.path.realpath(name)


def _interface(port) -> tuple[int, str]:
    """Which interface of its chip a port is, and what it shares with the chip's other ports."""
    if found := re.search(r":\d+\.(\d+)$", port.location or ""):  # Linux: 1-2:1.1
        return int(found[1]), port.location[: found.start()]
    if port.serial_number and port.device.upper().startswith("COM"):  # Windows: …B
        return _letter(port.serial_number), port.serial_number[:-1]
    return _letter(port.device), port.device[:-1]  # macOS: cu.usbserial-…1


def _letter(text: str) -> int:
    """The number of an interface that the last character says."""
    return "AB".find(text[-1]) if text[-1] in "AB" else int(text[-1]) if text[-1] in "01" else 0


def _serial(port) -> str:
    serial = port.serial_number or ""
    windows = port.device.upper().startswith("COM") and serial.endswith(("A", "B"))
    return serial[:-1] if windows else serial


def _place(port) -> tuple[int | None, int | None]:
    """USB bus and address of a port's chip, where the system (Linux) tells them."""
    path = getattr(port, "usb_device_path", None) or ""
    try:
        bus, address = (int(Path(path, name).read_text("ascii")) for name in ("busnum", "devnum"))
    except (OSError, ValueError):
        return None, None
    return bus, address
