import errno
import fcntl
import os
import re
import struct
import sys
import threading
import time
import types
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import serial
from serial.tools import list_ports

from firmware import ports
from firmware.layout import DIRECTORY, DIRECTORY_WORDS, FORMAT_VERSION, MAGIC, flash_offset
from firmware.link import Link, LinkError, NoAnswer
from firmware.messages import FLASH_ANEW, IMAGE_ANEW
from firmware.ports import connect, find_port, listen, open_serial, rates
from firmware.usb import rule
from firmware.versions import capability_crc
from hw.boards import BOARDS, DEFAULT_BOARD
from hw.register_map import REGISTER_MAP
from model.common.errors import UserError
from model.common.invocation import command
from tests.firmware.fake import FakeDevice, MemoryPort, frame, pseudo_terminal

BOARD = DEFAULT_BOARD


def fails(text, kind=LinkError):
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def port(device, vid=0x0403, pid=0x6010, location=None, product="iCEBreaker V1.0e", serial=None):
    return types.SimpleNamespace(
        device=device, vid=vid, pid=pid, location=location, product=product, serial_number=serial
    )


LINUX = [port("/dev/ttyUSB0", location="1-2:1.0"), port("/dev/ttyUSB1", location="1-2:1.1")]
MAC = [port("/dev/cu.usbserial-ib1230"), port("/dev/cu.usbserial-ib1231")]
WINDOWS = [port("COM11", serial="ib123A"), port("COM4", serial="ib123B")]
OTHER = [port("/dev/ttyACM0", vid=0x2341, pid=0x43), port("/dev/ttyS0", vid=None, pid=None)]
# Another board with the same chip.
SAME_CHIP = [
    port("/dev/ttyUSB2", location="1-3:1.0", product="Dual RS232-HS"),
    port("/dev/ttyUSB3", location="1-3:1.1", product="Dual RS232-HS"),
]


@pytest.mark.parametrize("found, expected", [
    (LINUX + OTHER, "/dev/ttyUSB1"),
    (OTHER + LINUX[::-1] + SAME_CHIP, "/dev/ttyUSB1"),
    (SAME_CHIP, "/dev/ttyUSB3"),
    (MAC, "/dev/cu.usbserial-ib1231"),
    (WINDOWS, "COM4"),
])  # fmt: skip
def test_find_port(found, expected, monkeypatch):
    monkeypatch.setattr(list_ports, "comports", lambda: found)
    assert find_port() == expected


TWO = [*LINUX, port("/dev/ttyUSB5", location="1-4.2:1.1")]


@pytest.mark.parametrize("found, text", [
    ([], "No 1BitSquared iCEBreaker found on USB (serial ports of this machine: none): plug it in, "
     "name a port with --port, or use the simulated board with --port sim"),
    (OTHER, "No 1BitSquared iCEBreaker found on USB (serial ports of this machine: /dev/ttyACM0, "
     "/dev/ttyS0): plug it in, name a port with --port, or use the simulated board with --port "
     "sim"),
    (TWO, "2 boards found; on USB: iCEBreaker V1.0e (no serial number, /dev/ttyUSB0 and "
     "/dev/ttyUSB1), iCEBreaker V1.0e (no serial number, /dev/ttyUSB5): choose one with --port or "
     "--serial"),
    (LINUX[:1], "The board's USB chip shows only /dev/ttyUSB0, not its second port: plug it in "
     "anew, or name a port with --port"),
])  # fmt: skip
def test_no_port_found(found, text, monkeypatch):
    monkeypatch.setattr(list_ports, "comports", lambda: found)
    with fails(text), connect("auto"):
        pass


SERIALS = [
    *(port(one.device, location=one.location, serial="ib1") for one in LINUX),
    port("/dev/ttyUSB5", location="1-4.2:1.1", serial="ib2"),
]


@pytest.mark.parametrize("asked, serial, expected", [
    ("auto", "ib1", "/dev/ttyUSB1"),
    ("auto", "ib2", "/dev/ttyUSB5"),
    ("/dev/ttyUSB5", "ib2", "/dev/ttyUSB5"),
    ("/dev/anything", None, "/dev/anything"),
])  # fmt: skip
def test_the_port_of_the_board_that_is_named(asked, serial, expected, monkeypatch):
    monkeypatch.setattr(list_ports, "comports", lambda: SERIALS)
    assert find_port(asked, serial) == expected


@pytest.mark.parametrize("asked, serial, text", [
    ("auto", "ib3", "No 1BitSquared iCEBreaker with serial number 'ib3'; on USB: "),
    ("/dev/ttyUSB5", "ib1", "Port /dev/ttyUSB5 belongs to iCEBreaker V1.0e (serial number ib2, "),
    ("/dev/ttyS0", "ib1", "Port /dev/ttyS0 is not a 1BitSquared iCEBreaker's on USB; on USB: "),
    ("sim", "ib1", "--serial names a board on USB, --port sim is none: leave one of them out"),
])  # fmt: skip
def test_no_such_board(asked, serial, text, monkeypatch):
    monkeypatch.setattr(list_ports, "comports", lambda: SERIALS)
    with pytest.raises(LinkError, match=f"^{re.escape(text)}"):
        find_port(asked, serial)


FTDI = port("/dev/ttyUSB7", location="1-5:1.0", pid=0x6015, product="ULX3S FPGA 85K v3.0.8")


def test_the_chip_of_another_board(monkeypatch):
    monkeypatch.setattr(list_ports, "comports", lambda: [*LINUX, FTDI])
    assert find_port(board=BOARDS["ulx3s_85f"]) == "/dev/ttyUSB7"
    assert find_port() == "/dev/ttyUSB1"
    monkeypatch.setattr(list_ports, "comports", lambda: LINUX)
    with fails("No Radiona ULX3S 85F found on USB (serial ports of this machine: /dev/ttyUSB0, "
               "/dev/ttyUSB1): plug it in, name a port with --port, or use the simulated board "
               "with --port sim"):  # fmt: skip
        find_port(board=BOARDS["ulx3s_85f"])
    other = port("/dev/x", pid=0x6015, location="1-5:1.1", product="ULX3S")
    monkeypatch.setattr(list_ports, "comports", lambda: [other])
    with fails("The board's USB chip shows only /dev/x, not its first port: plug it in anew, or "
               "name a port with --port"):  # fmt: skip
        find_port(board=BOARDS["ulx3s_85f"])


@pytest.mark.parametrize("board", ["icesugar", "upduino_v3", "colorlight_5a75b_r7_0"])
def test_a_line_that_is_not_at_a_chip_that_is_known(board, monkeypatch):
    monkeypatch.setattr(list_ports, "comports", lambda: LINUX)
    found = BOARDS[board]
    with fails(f"The serial line of the {found.title} ({found.uart}) is not at a USB chip that "
               "could be found: name its port with --port, or use the simulated board with --port "
               "sim"):  # fmt: skip
        find_port(board=found)


@pytest.mark.parametrize("asked", ["auto", "sim"])
def test_a_board_without_a_line(asked, tmp_path):
    text = "The Fomu PVT has no serial line and works alone: there is nothing to ask"
    with fails(text, UserError), connect(asked, board=BOARDS["fomu_pvt"], flash=tmp_path):
        pass


def test_rates():
    millions = [baud / 1e6 for baud in rates(BOARD)]
    assert millions == [6, 12, 8, 4, 3, 2, 1]
    assert [baud / 1e6 for baud in rates(BOARDS["ulx3s_85f"])] == [2, 1]


def test_missing_port_lists_ports(monkeypatch):
    monkeypatch.setattr(list_ports, "comports", lambda: LINUX[::-1])
    with fails("No port /dev/none; ports of this machine: /dev/ttyUSB0, /dev/ttyUSB1"):
        open_serial("/dev/none", baud=115_200)
    monkeypatch.setattr(list_ports, "comports", list)
    with fails("No port /dev/none; ports of this machine: none"):
        open_serial("/dev/none", baud=115_200)


def refusing(monkeypatch, number):
    def refuse(*_, **__):
        raise serial.SerialException(number, os.strerror(number))

    monkeypatch.setattr(serial, "serial_for_url", refuse)


def test_other_failures(monkeypatch, tmp_path):
    path = tmp_path / "port"
    path.touch()
    refusing(monkeypatch, errno.EIO)
    with fails(f"Port {path} cannot be opened: [Errno 5] Input/output error"):
        open_serial(str(path), baud=115_200)


def test_no_permission_names_the_group(monkeypatch, tmp_path):
    import grp

    refusing(monkeypatch, errno.EACCES)
    monkeypatch.setattr(grp, "getgrgid", lambda number: types.SimpleNamespace(gr_name="dialout"))
    with fails(f"No permission for {tmp_path}: join its group with `sudo usermod -aG dialout $USER`"
               ", and log in anew"):  # fmt: skip
        open_serial(str(tmp_path), baud=115_200)


def test_no_permission_names_the_udev_rule(monkeypatch, tmp_path):
    import grp

    refusing(monkeypatch, errno.EACCES)
    monkeypatch.setattr(grp, "getgrgid", lambda number: types.SimpleNamespace(gr_name="root"))
    with fails(
        f"No permission for {tmp_path}: run `echo '{rule(BOARD)}' | sudo tee "
        "/etc/udev/rules.d/53-icebreaker.rules && sudo udevadm control --reload && sudo udevadm "
        "trigger`, and plug the board in anew"
    ):
        open_serial(str(tmp_path), baud=115_200)
    assert rule(BOARD) == (
        'SUBSYSTEMS=="usb", ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6010", MODE="0660", '
        'GROUP="plugdev", TAG+="uaccess", ENV{ID_MM_DEVICE_IGNORE}="1"'
    )


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EAGAIN])
def test_busy(monkeypatch, number):
    refusing(monkeypatch, number)
    with fails("Port /dev/ttyUSB1 is in use by another program: end it first"):
        open_serial("/dev/ttyUSB1", baud=115_200)


def test_busy_for_real():
    """A port is one program's alone: a second one is told so."""
    with pseudo_terminal(FakeDevice()) as name:
        other = os.open(name, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(other, fcntl.LOCK_EX)
        with fails(f"Port {name} is in use by another program: end it first"), connect(name):
            pass
        os.close(other)


def test_rate_that_the_port_does_not_have(monkeypatch):
    def refuse(*_, **__):
        raise ValueError("Not a valid baudrate: 7")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with fails("Port /dev/ttyA cannot be opened at 7 baud: Not a valid baudrate: 7"):
        open_serial("/dev/ttyA", baud=7)


def test_port_over_a_loop_is_no_device(monkeypatch):
    """pyserial's loop:// sends back what is sent: bytes, but no answer."""
    with pytest.raises(NoAnswer, match="bytes came that are no answer"):
        with connect("loop://", baud=1_000_000, timeout=0.05):
            pass


def test_a_device_at_a_pseudo_terminal():
    """Through pyserial and the operating system; unplugged in the middle."""
    with pseudo_terminal(FakeDevice()) as name:
        with connect(name) as device:
            assert device.info.network_name == "tiny"
            assert device.link.slowness == ports.SIMULATED_SLOWNESS
            assert (device.link.timeout, device.link.tries) == (1.0, 3)
            image = bytes(range(72))
            for result in device.classify([image] * 20):
                assert result.logits == [byte - 100 for byte in range(14)]


def test_unplugged():
    with ExitStack() as stack:
        name = stack.enter_context(pseudo_terminal(FakeDevice()))
        with connect(name) as device:
            stack.close()
            with pytest.raises(
                LinkError, match=f"^Port {name} failed: .*; was the board unplugged"
            ):
                device.read_info()


@pytest.fixture
def opened(monkeypatch):
    """Makes `connect("fake")` open memory ports to a device; gives (list of ports, setter)."""
    made = []

    def use(device):
        def open_link(name, *, baud, board, **options):
            assert board is BOARD
            made.append(MemoryPort(device, baud=baud))
            return Link(made[-1], name=name, baud=baud, **options)

        monkeypatch.setattr(ports, "open_link", open_link)
        return made

    return use


def test_other_rates_are_tried(opened):
    made = opened(FakeDevice(baud=3_000_000))
    with connect("fake", timeout=0.02) as device:
        assert device.link.baud == 3_000_000
        assert device.link.timeout == 0.02 and device.link.tries == 3
    assert [one.baud for one in made] == [6_000_000, 12_000_000, 8_000_000, 4_000_000, 3_000_000]
    assert all(one.closed for one in made)
    assert [len(one.sent) for one in made] == [3, 1, 1, 1, 1]


def test_a_given_rate_is_the_only_one(opened):
    made = opened(FakeDevice(baud=3_000_000))
    with pytest.raises(NoAnswer, match=r"^No answer to INFO on fake at 1000000 baud, 3 x 0.0201 s"):
        with connect("fake", baud=1_000_000, timeout=0.02):
            pass
    assert len(made) == 1 and made[0].closed


def test_no_rate_answers(opened, monkeypatch):
    monkeypatch.setattr(ports, "_PROBE_SECONDS", 0.01)
    made = opened(FakeDevice(dead=True))
    with pytest.raises(NoAnswer) as caught:
        with connect("fake", timeout=0.02):
            pass
    assert str(caught.value) == (
        "No answer to INFO on fake at 6000000 baud, 3 x 0.02 s: nothing came: the board has no "
        f"bitstream, or another one; press its reset button or {FLASH_ANEW} (nor was there an "
        "answer at 12000000, 8000000, 4000000, 3000000, 2000000, 1000000 baud)"
    )
    assert len(made) == 7 and all(one.closed for one in made)


def test_alarm_ends_the_search(opened):
    made = opened(FakeDevice(alarm=True))
    with pytest.raises(NoAnswer, match="^The firmware on fake does not start"):
        with connect("fake", timeout=0.02):
            pass
    assert len(made) == 1


def test_an_answer_ends_the_search(opened):
    """A device that answers at a rate, if something else, has that rate: others are not tried."""
    device = FakeDevice()
    device.take = lambda data: [(0, frame(bytes([0x86, 0, 0, 0])))]
    made = opened(device)
    with pytest.raises(NoAnswer) as caught:
        with connect("fake", timeout=0.02):
            pass
    assert len(made) == 1 and made[0].closed
    assert "though it has answered before" in str(caught.value)
    assert "nor was there" not in str(caught.value)


def test_slower_rates_are_those_that_the_board_can_be_built_for():
    assert ports._slower(6_000_000, BOARD) == (4_000_000, 3_000_000, 2_000_000, 1_000_000)
    assert ports._slower(1_000_000, BOARD) == ()
    with pseudo_terminal(FakeDevice()) as name:
        link = ports.open_link(name, baud=3_000_000)
        assert link._slower == (2_000_000, 1_000_000)
        link.close()


def test_another_protocol_ends_the_search(opened):
    made = opened(FakeDevice(protocol=9))
    with pytest.raises(
        UserError, match="^The board's firmware speaks protocol version 9, newer than"
    ):
        with connect("fake", timeout=0.02):
            pass
    assert len(made) == 1 and made[0].closed


def board_program(start):
    """A stand-in for `sim.board`."""
    return types.SimpleNamespace(start=start, check_flash=Path.read_bytes)


def test_the_simulated_board_is_the_one_that_is_meant(monkeypatch, tmp_path):
    """And an image for another one is refused, wherever its directory lies."""
    started = []

    @contextmanager
    def start(flash, *, board, **_):
        started.append(board.name)
        with pseudo_terminal(FakeDevice()) as name:
            yield types.SimpleNamespace(port=name, violations=[])

    board = BOARDS["ulx3s_25f"]
    image = tmp_path / "flash.bin"
    words = dict.fromkeys(DIRECTORY_WORDS, 0) | {
        "magic": MAGIC, "format_version": FORMAT_VERSION, "bytes": 4 * len(DIRECTORY_WORDS) + 4,
        "map_version": REGISTER_MAP.version, "capability_crc": capability_crc(board.capability),
    }  # fmt: skip
    directory = struct.pack(f"<{len(words)}I", *words.values())
    directory += struct.pack("<I", zlib.crc32(directory))
    image.write_bytes(bytes(flash_offset(board.capability) + DIRECTORY) + directory)
    monkeypatch.setitem(sys.modules, "sim.board", board_program(start))
    with connect("sim", board=board, flash=image):
        pass
    assert started == ["ulx3s_25f"]
    with fails(f"Flash image {image} was made for hardware of another capability: {IMAGE_ANEW}",
               UserError):  # fmt: skip
        with connect("sim", board=BOARDS["ulx3s_85f"], flash=image):
            pass


@pytest.mark.parametrize("violations, said", [
    ([], ""),
    (["too fast", "x"], "warning: the simulated board saw 2 violations, the first being: too "
     "fast\n"),
])  # fmt: skip
def test_simulated_board(violations, said, monkeypatch, tmp_path, capsys):
    """`--port sim` starts the simulated board with the flash image, and ends it."""
    events = []

    @contextmanager
    def start(flash, *, board, in_place, wait, progress):
        assert board is BOARD
        assert in_place and wait
        with pseudo_terminal(FakeDevice()) as name:
            events.append(("start", flash))
            progress("Compiling")
            yield types.SimpleNamespace(port=name, violations=violations)
            events.append("end")

    monkeypatch.setitem(sys.modules, "sim.board", board_program(start))
    image = tmp_path / "flash.bin"
    image.touch()
    with connect("sim", flash=image) as device:
        assert device.info.network_name == "tiny"
    assert events == [("start", image), "end"]
    assert capsys.readouterr().err == "Compiling\n" + said


@pytest.fixture
def sharing(monkeypatch):
    """Simulated boards that do nothing; how many there were at a time."""
    most, now = [0], [0]

    @contextmanager
    def start(flash, **_):
        now[0] += 1
        most[0] = max(most[0], now[0])
        with pseudo_terminal(FakeDevice()) as name:
            yield types.SimpleNamespace(port=name, violations=[])
        now[0] -= 1

    monkeypatch.setitem(sys.modules, "sim.board", board_program(start))
    return most


def test_one_simulated_board_at_a_time_has_a_flash_image(sharing, tmp_path, monkeypatch):
    """Each writes what it learns into it; by whatever name."""
    (tmp_path / "flash.bin").touch()
    (tmp_path / "link.bin").symlink_to("flash.bin")
    (tmp_path / "other.bin").touch()
    monkeypatch.setattr(ports, "_BUSY_SECONDS", 0.2)
    with connect("sim", flash=tmp_path / "flash.bin"):
        with connect("sim", flash=tmp_path / "other.bin"):
            assert sharing == [2]
        busy = (
            f"Flash image {tmp_path}/link.bin is in use by another simulated board: end that one "
            "first, or give a copy of the image with --flash"
        )
        with fails(busy, UserError):
            with connect("sim", flash=tmp_path / "link.bin"):
                pass
    with connect("sim", flash=tmp_path / "link.bin") as device:
        assert device.info.network_name == "tiny"


def test_the_next_simulated_board_waits_for_the_one_before(sharing, tmp_path, capsys):
    (tmp_path / "flash.bin").touch()
    order = []

    def one(number):
        with connect("sim", flash=tmp_path / "flash.bin"):
            order.append(number)
            time.sleep(0.3)
            order.append(number)

    threads = [threading.Thread(target=one, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sharing == [1] and order[::2] == order[1::2] and sorted(order) == [0, 0, 1, 1, 2, 2]
    waiting = f"Waiting for another simulated board that uses {tmp_path}/flash.bin\n"
    assert capsys.readouterr().err == 2 * waiting


def test_listening_sends_nothing(opened):
    end = FakeDevice()
    made = opened(end)
    said = []
    with listen("fake", on_text=said.append) as link:
        made[0].say(b"\0hello\n\0")
        link.listen(0.01)
    assert said == ["hello"] and made[0].sent == [] and made[0].closed
    assert made[0].baud == 6_000_000
    with listen("fake", baud=115_200, on_text=said.append):
        assert made[1].baud == 115_200


def test_simulated_board_without_flash(tmp_path):
    make = command("firmware", "flash", "--board", "icebreaker", "--image-only")
    with fails(f"No flash image {tmp_path}/none.bin for the simulated board: make one with "
               f"`{make}`", UserError):  # fmt: skip
        with connect("sim", flash=tmp_path / "none.bin"):
            pass
