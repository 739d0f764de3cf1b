"""Which board is meant: of those that serial ports tell of, and those that the loader lists."""

import re
import types

import pytest
from serial.tools import list_ports

from firmware.link import LinkError
from firmware.usb import Chip, choose, find_chips, merge, serial_port
from hw.boards import BOARDS

BOARD = BOARDS["icebreaker"]


def port(device, location=None, product="iCEBreaker V1.0e", serial=None, path=None, ids=None):
    vid, pid = ids or (0x0403, 0x6010)
    return types.SimpleNamespace(
        device=device, vid=vid, pid=pid, location=location, product=product, serial_number=serial,
        usb_device_path=path,
    )  # fmt: skip


def device(tmp_path, bus, address):
    """A device's folder as Linux shows it."""
    folder = tmp_path / f"{bus}-{address}"
    folder.mkdir()
    (folder / "busnum").write_text(f"{bus}\n")
    (folder / "devnum").write_text(f"{address}\n")
    return str(folder)


def find(monkeypatch, *ports):
    monkeypatch.setattr(list_ports, "comports", lambda: list(ports))
    return find_chips(BOARD)


def test_linux(tmp_path, monkeypatch):
    first, second = device(tmp_path, 1, 7), device(tmp_path, 3, 12)
    chips = find(
        monkeypatch,
        port("/dev/ttyUSB3", "1-2:1.1", "Dual RS232-HS", None, second),
        port("/dev/ttyUSB1", "1-4.1:1.1", serial="ib1", path=first),
        port("/dev/ttyACM0", "1-5", ids=(0x2341, 0x43)),
        port("/dev/ttyS0", ids=(None, None)),
        port("/dev/ttyUSB0", "1-4.1:1.0", serial="ib1", path=first),
        port("/dev/ttyUSB2", "1-2:1.0", "Dual RS232-HS", None, second),
    )
    assert chips == [
        Chip(name="Dual RS232-HS", serial="", bus=3, address=12,
             ports=((0, "/dev/ttyUSB2"), (1, "/dev/ttyUSB3"))),
        Chip(name="iCEBreaker V1.0e", serial="ib1", bus=1, address=7,
             ports=((0, "/dev/ttyUSB0"), (1, "/dev/ttyUSB1"))),
    ]  # fmt: skip
    assert [serial_port(chip, BOARD) for chip in chips] == ["/dev/ttyUSB3", "/dev/ttyUSB1"]
    assert [chip.place for chip in chips] == ["3:12", "1:7"]
    assert str(chips[1]) == (
        "iCEBreaker V1.0e (serial number ib1, /dev/ttyUSB0 and /dev/ttyUSB1, USB 1:7)"
    )


def test_windows_and_macos(monkeypatch):
    """They tell no bus; Windows adds the interface's letter to the serial number."""
    found = find(monkeypatch, port("COM11", serial="ib2A"), port("COM4", serial="ib2B"))
    assert found == [Chip(name="iCEBreaker V1.0e", serial="ib2", ports=((0, "COM11"), (1, "COM4")))]
    assert str(found[0]) == "iCEBreaker V1.0e (serial number ib2, COM11 and COM4)"
    names = ["/dev/cu.usbserial-ib3B0", "/dev/cu.usbserial-ib3B1"]
    [chip] = find(monkeypatch, *(port(name, serial="ib3B") for name in names))
    assert chip.serial == "ib3B" and serial_port(chip, BOARD) == names[1]


def test_the_second_port_alone(monkeypatch):
    [chip] = find(monkeypatch, port("/dev/ttyUSB0", "1-2:1.0"))
    assert serial_port(chip, BOARD) is None


A = Chip(name="iCEBreaker V1", serial="a", bus=1, address=2, ports=((0, "/dev/A"), (1, "/dev/B")))
B = Chip(name="iCEBreaker", serial="b", bus=1, address=3, ports=((0, "/dev/C"), (1, "/dev/D")))
OTHER = Chip(name="Dual RS232-HS", serial="", bus=2, address=9, ports=((1, "/dev/E"),))


def probe(chip, **changes):
    """As the loader lists it: without ports."""
    told = {"name": chip.name, "serial": chip.serial, "bus": chip.bus, "address": chip.address}
    return Chip(**told | changes, seen=True)


def seen(chip):
    return Chip(name=chip.name, serial=chip.serial, bus=chip.bus, address=chip.address,
                ports=chip.ports, seen=True)  # fmt: skip


def test_one_list_of_both():
    assert merge([A, OTHER], [probe(B), probe(A)]) == [probe(B), seen(A), OTHER]
    # A name that the loader's table does not show rightly is the system's.
    assert merge([A], [probe(A, name="V1.0e", serial="")]) == [seen(A)]
    # Where the system tells no bus, by the serial number; not by its absence.
    nameless = Chip(name="x", serial="", ports=((1, "COM4"),))
    assert merge([nameless], [probe(OTHER)]) == [probe(OTHER), nameless]
    windows = Chip(name="iCEBreaker", serial="b", ports=((1, "COM4"),))
    [chip] = merge([windows], [probe(B)])
    assert (chip.place, chip.ports) == ("1:3", ((1, "COM4"),))
    # Two that cannot be told apart are not taken for one.
    assert len(merge([windows, windows], [probe(B)])) == 3


@pytest.mark.parametrize("chips, port, serial, expected", [
    ([A], None, None, A),
    ([OTHER, A], None, None, A),
    ([A, B], "/dev/D", None, B),
    ([A, B], "/dev/C", None, B),
    ([A, B], None, "a", A),
    ([A, B], None, "1:3", B),
    ([A, B], "/dev/B", "a", A),
    ([A, OTHER], "/dev/E", None, OTHER),
    ([OTHER], None, "2:9", OTHER),
    ([], None, None, None),
])  # fmt: skip
@pytest.mark.parametrize("write", [False, True])
def test_the_one_that_is_meant(chips, port, serial, expected, write):
    for order in (chips, chips[::-1]):
        assert choose(order, BOARD, port=port, serial=serial, write=write) == expected


def test_by_a_link_to_the_port(tmp_path):
    """As in /dev/serial/by-id."""
    (tmp_path / "ttyUSB1").touch()
    (tmp_path / "by-id").symlink_to("ttyUSB1")
    chip = Chip(name="iCEBreaker", serial="a", ports=((1, str(tmp_path / "ttyUSB1")),))
    link = str(tmp_path / "by-id")
    assert choose([A, chip], BOARD, port=link, serial=None, write=True) == chip


ALL = (
    "on USB: iCEBreaker V1 (serial number a, /dev/A and /dev/B, USB 1:2), iCEBreaker (serial "
    "number b, /dev/C and /dev/D, USB 1:3)"
)
TITLE = "1BitSquared iCEBreaker"


@pytest.mark.parametrize("chips, port, serial, text", [
    ([A, B], None, None, f"2 boards found; nothing was written; {ALL}: choose one with --port or "
     "--serial"),
    ([OTHER], None, None, f"The chip on USB does not say that it is a {TITLE}, and others have the "
     "same one; nothing was written; on USB: Dual RS232-HS (no serial number, /dev/E, USB 2:9): if "
     "it is the board, name it with --port, or with --serial and its serial number or place on "
     "USB"),
    ([A, B], "/dev/X", None, f"Port /dev/X is not a {TITLE}'s on USB; {ALL}: name one of their "
     "ports with --port, or one of their serial numbers with --serial"),
    ([A, B], None, "c", f"No {TITLE} with serial number 'c'; {ALL}"),
    ([], None, "c", f"No {TITLE} with serial number 'c'; on USB: none"),
    ([A, B], "/dev/B", "b", "Port /dev/B belongs to iCEBreaker V1 (serial number a, /dev/A and "
     "/dev/B, USB 1:2), not to serial number b"),
    ([OTHER], None, "", f"No {TITLE} with serial number ''; on USB: Dual RS232-HS (no serial "
     "number, /dev/E, USB 2:9)"),
    ([B, probe(B, bus=4)], None, "b", "2 boards found; nothing was written; on USB: iCEBreaker "
     "(serial number b, /dev/C and /dev/D, USB 1:3), iCEBreaker (serial number b, no serial port, "
     "USB 4:3): choose one with --port or --serial"),
])  # fmt: skip
def test_none_or_several_may_be_meant(chips, port, serial, text):
    with pytest.raises(LinkError, match=f"^{re.escape(text)}$"):
        choose(chips, BOARD, port=port, serial=serial, write=True)


def test_to_talk_to_it_a_chip_without_the_name_will_do():
    """Nothing is lost by asking: the same chip that `flash` would not write to unasked."""
    assert choose([OTHER], BOARD, port=None, serial=None, write=False) == OTHER
    with pytest.raises(LinkError, match="^2 boards found; on USB: "):
        choose([A, B], BOARD, port=None, serial=None, write=False)
