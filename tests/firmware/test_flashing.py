"""`python -m firmware flash` without tools and cable: those are stand-ins, the files are real."""

import contextlib
import json
import os
import re
import stat
import types
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from serial.tools import list_ports

from firmware import __main__ as tool
from firmware import flashing
from firmware.answers import SelfTest
from firmware.client import Device, DeviceError
from firmware.compile import Firmware
from firmware.flash_image import parse
from firmware.link import LinkError, NoAnswer
from firmware.usb import mend_usb
from hw.boards import BOARDS
from hw.compile.heads import Head
from hw.compile.plan import make_plan
from hw.flow.job import prepare
from hw.flow.report import REPORT_VERSION
from hw.flow.staging import Stages
from hw.flow.steps import design_sha256
from hw.flow.tools import Toolchain
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import firmware_copy
from model import zoo
from model.common.errors import UserError
from model.common.invocation import command
from model.network import load
from sim import of_build
from tests.bitstreams import bitstream
from tests.firmware.fake import FakeDevice, pseudo_terminal
from tests.firmware.real_loader import BOARD as DEVICE
from tests.firmware.real_loader import OTHER, SECOND, Usb

BOARD = BOARDS["icebreaker"]
BITSTREAM = bitstream()
COPY = firmware_copy(bytes(range(1, 256)) * 20)


def design_of(baud=None):
    """What a report holds of its design."""
    return {"design_sha256": design_sha256(BOARD, BOARD.make_top(BOARD.capability, 36.0, baud))}


REPORT = {"report_version": REPORT_VERSION, "clock_mhz": 36.0, **design_of()}


def fails(text):
    return pytest.raises(UserError, match=f"^{re.escape(text)}$")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, with a firmware that needs no compiler."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DECISIVENETS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(list_ports, "comports", list)

    def build(capability, directory):
        assert directory.is_dir() and capability == BOARD.capability
        return Firmware(copy=COPY, firmware_bytes=8, data_bytes=8, learned_bytes=8, stack_bytes=8)

    monkeypatch.setattr(flashing.compiler, "build", build)
    return tmp_path


@pytest.fixture
def built(place):
    """… and a build of this version in it."""
    folder = place / "build" / "icebreaker"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(REPORT))
    (folder / "top.bin").write_bytes(BITSTREAM)
    return folder


@pytest.fixture
def loader(place, monkeypatch):
    """A stand-in for openFPGALoader, which keeps what it is told; `says(text)` makes it fail."""
    program = place / "loader"

    def says(text, status):
        (place / "text").write_text(text)
        program.write_text(
            f'#!/bin/sh\necho "$@" >> {place}/arguments\ncat {place}/text\nexit {status}\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IEXEC)

    says("VERIFY OK\n", 0)
    monkeypatch.setenv("OPENFPGALOADER", str(program))
    return says


@pytest.fixture
def usb(usb_libraries, place, monkeypatch):
    """The real openFPGALoader, with one board on USB."""
    return Usb(usb_libraries, place / "flashes", monkeypatch)


def serial_ports(monkeypatch, *serials, product="iCEBreaker V1.0e"):
    """The serial ports of these boards: /dev/ttyUSB0 and 1, 2 and 3, …"""
    found = [
        types.SimpleNamespace(
            device=f"/dev/ttyUSB{2 * number + interface}", vid=0x0403, pid=0x6010, product=product,
            location=f"1-{number}:1.{interface}", serial_number=serial,
        )
        for number, serial in enumerate(serials) for interface in (0, 1)
    ]  # fmt: skip
    monkeypatch.setattr(list_ports, "comports", lambda: found)


def test_image_only(built, capsys):
    assert tool.main(["flash", "--board", "icebreaker", "--image-only", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["image"] == "build/icebreaker/flash.bin" and not told["flashed"]
    data = (built / "flash.bin").read_bytes()
    assert told["bytes"] == len(data) and told["network"] == zoo.DEFAULT
    image = parse(data, BOARD.capability)
    assert data.startswith(BITSTREAM) and image.network_name == zoo.DEFAULT
    assert image.network_sha256 == load(zoo.find()).sha256 == told["sha256"]
    assert len(image.demo_images) == told["demo_images"] > 0  # the project's own
    assert COPY in data


def test_words_for_people(built, capsys):
    """The commands are as they can be pasted."""
    tool.main(["flash", "--image-only", "--output", "my image.bin"])
    out = capsys.readouterr().out
    size = os.path.getsize("my image.bin")
    assert out.startswith(f"Flash image: my image.bin, {size:,} bytes, network {zoo.DEFAULT}, ")
    sim = command("firmware", "--port", "sim", "--flash", "my image.bin", "classify", "IMAGE...")
    again = command("firmware", "flash", "--board", "icebreaker", "--output", "my image.bin")
    assert "--flash 'my image.bin' " in sim
    assert out.endswith(f"Now, without a board or with one:\n  {sim}\n  {again}\n")


FIGURES = {
    "budget": {"lc": 5280, "dsp": 8, "ebr": 30, "spram": 4},
    "resources": {"lc": 5100, "dsp": 7, "ebr": 29, "spram": 4},
    "cycles_bound": 123_456, "cycles_rtl": [100_000, 123_456], "cycles_mean": 111_728.0,
    "inferences_per_second_bound": 291.6, "inferences_per_second": 322.2,
    "array_utilisation": 0.5, "fmax_mhz": 37.5, "verified": 4, "capability": {"family": "ice40"},
}  # fmt: skip


def test_summary_of_the_build(built, capsys):
    network = {"name": "x", "top1": 87.65, "test_images": 10_000,
               "sha256": load(zoo.find()).sha256}  # fmt: skip
    (built / "report.json").write_text(json.dumps(REPORT | FIGURES | {"network": network}))
    tool.main(["flash", "--image-only"])
    out = " ".join(capsys.readouterr().out.split())
    for text in ("at least 291.6 inferences a second; 322.2 on the frames verified",
                 "at most 123,456; 100,000 to 123,456 in RTL, mean 111,728",
                 "87.65 %", "36 MHz used, 37.50 MHz reached",
                 "5,100 of 5,280 logic cells", "4 frames, bit for bit",
                 "Report of the build: build/icebreaker/report.html"):  # fmt: skip
        assert text in out


def test_summary_of_another_network_on_the_same_build(built, capsys):
    """Speed and accuracy are those of the network in the image, not of the one that was built."""
    network = {"name": "built", "top1": 12.34, "test_images": 10_000, "sha256": "ab"}
    (built / "report.json").write_text(json.dumps(REPORT | FIGURES | {"network": network}))
    tool.main(["flash", "--image-only", "--network", zoo.DEFAULT])
    out = " ".join(capsys.readouterr().out.split())
    plan = prepare(BOARD, zoo.DEFAULT, None, None, 1).plan_report
    assert f"Speed at least {plan['inferences_per_second_bound']:.1f} inferences a second" in out
    assert f"Cycles at most {plan['cycles_bound']:,}; not counted in RTL" in out
    assert (
        f"{plan['network']['top1']:.2f} %" in out
        and "12.34" not in out
        and "291.6" not in out
        and "322.2" not in out
    )
    assert "Verified 4 frames, bit for bit (the build was, with built)" in out
    again = command("firmware", "flash", "--board", "icebreaker", "--network", zoo.DEFAULT)
    assert out.endswith(again)


def test_summary_of_a_board_of_a_users_own(place, capsys):
    """The board is the file's, not one of the same name that we know."""
    (place / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from hw.boards import BOARDS\n"
        "BOARD = replace(BOARDS['icebreaker'], name='mine', title='Mine')\n"
    )
    folder = place / "build" / "mine"
    folder.mkdir(parents=True)
    network = {"name": "built", "top1": 12.34, "test_images": 10_000, "sha256": "ab"}
    (folder / "report.json").write_text(json.dumps(REPORT | FIGURES | {"network": network}))
    (folder / "top.bin").write_bytes(BITSTREAM)
    tool.main(["flash", "--board", "mine.py", "--image-only"])
    out = " ".join(capsys.readouterr().out.split())
    assert "Verified 4 frames, bit for bit (the build was, with built)" in out
    assert out.endswith(command("firmware", "flash", "--board", "mine.py"))


@pytest.mark.parametrize("there", [True, False], ids=["built", "to be built"])
def test_each_head_is_planned_once(there, built, monkeypatch):
    """For build, flash image and summary together."""
    network = {"name": "built", "top1": 12.34, "test_images": 10_000, "sha256": "ab"}
    report = json.dumps(REPORT | FIGURES | {"network": network})

    def build(job, staging, stages, tools, verify):
        staging.write("top.bin", BITSTREAM)
        staging.write("report.json", report)

    def noted(network, *more):
        planned.append(network)
        return make_plan(network, *more)

    (built / "report.json").write_text(report if there else "{}")
    planned = []
    monkeypatch.setattr(flashing, "build", build)
    for module in ("hw.flow.job", "hw.compile.heads"):
        monkeypatch.setattr(f"{module}.make_plan", noted)
    tool.main(["flash", "--image-only"])
    assert len(planned) == len(Head)


@pytest.mark.parametrize("name", ["build/icebreaker/flash.log", "build/icebreaker/top.bin",
                                  "build/icebreaker/../icebreaker/report.json"])  # fmt: skip
def test_output_that_is_another_file_of_the_build(name, built):
    before = (built / "top.bin").read_bytes()
    with fails(f"--output {name} is a file of the build: give another name"):
        tool.main(["flash", "--image-only", "--output", name])
    assert (built / "top.bin").read_bytes() == before


def test_pictures_of_the_user(built, tmp_path, capsys):
    pixels = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    Image.fromarray(pixels[::-1]).save(tmp_path / "b.png")
    tool.main(["flash", "--image-only", "--images", "b.png", "pictures"])
    demo = parse((built / "flash.bin").read_bytes()).demo_images
    np.testing.assert_array_equal(demo, [pixels[::-1], pixels])


def test_options_of_pictures(built, tmp_path, capsys):
    """As of every command that takes pictures, and subfolders."""
    inside = tmp_path / "pictures" / "inside"
    inside.mkdir(parents=True)
    Image.new("RGBA", (40, 32), (0, 0, 0, 0)).save(inside / "a.png")
    given = ["flash", "--image-only", "--images", "pictures"]
    with fails("No picture in folder pictures, only 1 subfolder (--recursive enters them)"):
        tool.main(given)
    tool.main([*given, "--recursive", "--fit", "pad", "--background", "#102030"])
    demo = parse((built / "flash.bin").read_bytes()).demo_images
    assert (np.array(demo) == (16, 32, 48)).all()


def test_network_that_cannot_learn_is_said(built, capsys, monkeypatch):
    class Packed:
        bytes, parts, demo_images, network_name, network_sha256 = b"x", (), [], "big", "ab"
        why_not, plan = "its features do not fit", None

    monkeypatch.setattr(flashing, "make_flash_image", lambda **_: Packed)
    tool.main(["flash", "--image-only"])
    assert "This network cannot learn on the device: its features do not fit" in (
        capsys.readouterr().out
    )


def test_flash(built, loader, place, capsys):
    assert tool.main(["flash"]) == 0
    version, scan, *writes, again, write = (place / "arguments").read_text().splitlines()
    assert (version, scan, again, writes) == ("--Version", "--scan-usb", "--scan-usb", [])
    assert re.fullmatch(r"-b ice40_generic -f --verify /\S+/flash\.bin", write)
    out = capsys.readouterr().out
    assert (
        "The board is flashed: openFPGALoader read it back and found it equal; the board was "
        in out
    )
    assert out.endswith(f"Now:\n  {command('firmware', 'classify', 'IMAGE...')}\n")
    assert parse((built / "flash.bin").read_bytes()).network_name == zoo.DEFAULT


LIBRARY = "openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open"


def test_libraries_that_are_missing_are_said_first(place, loader, monkeypatch):
    loader(LIBRARY, 127)
    monkeypatch.setattr(flashing, "bitstream", None)
    with fails("openFPGALoader needs the system's libusb-1.0.so.0: run `sudo apt install "
               "libusb-1.0-0 libftdi1-2 libhidapi-libusb0`"):  # fmt: skip
        tool.main(["flash"])


def test_without_a_cable_no_loader_is_needed(built, loader):
    loader(LIBRARY, 127)
    assert tool.main(["flash", "--image-only"]) == 0
    assert not Path("arguments").exists()


@pytest.mark.parametrize("text, expected", [
    ("unable to open ftdi device: -3 (device not found)\nJTAG init failed with: unable to open",
     "No board found on USB: plug it in; or stop before the cable with --image-only"),
    ("unable to open ftdi device: -4 (usb_open() failed)",
     f"No permission for the board's USB chip: {mend_usb(BOARD)}"),
    ("unable to open ftdi device: -5 (unable to claim usb device)",
     "The board's USB chip is in use by another program: end it first"),
])  # fmt: skip
def test_cable_failures(text, expected, built, loader):
    loader(text, 1)
    with fails(f"{expected} (log: build/icebreaker/flash.log)"):
        tool.main(["flash"])
    assert text in (built / "flash.log").read_text()


def test_another_failure_of_the_cable(built, loader):
    loader("Error: flash is strange", 3)
    text = (
        "openfpgaloader failed with status 3; log: build/icebreaker/flash.log; it ends with: "
        "Error: flash is strange; the flash may be written in part: flash anew"
    )
    with fails(text):
        tool.main(["flash"])


def test_what_is_not_proven_is_said(built, loader, capsys):
    """Status 1, in JSON as well."""
    loader("done", 0)
    text = (
        "openFPGALoader does not say that it verified the flash, and reading it back gave nothing "
        "(logs: build/icebreaker/flash.log, build/icebreaker/flash-read.log); the board was not "
        "asked: its serial port is not known"
    )
    with fails(f"Written, but not proven: {text}") as caught:
        tool.main(["flash"])
    assert caught.value.status == 1 and "flashed" not in capsys.readouterr().out
    with fails(f"Written, but not proven: {text}"):
        tool.main(["flash", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (
        told["flashed"] is False and told["proof"]["by"] is None and told["proof"]["text"] == text
    )


class Answering:
    """A device at the port that `ask_board` opens; `self.asked` says which."""

    def __init__(self, monkeypatch, name="x", **words):
        self.asked = []
        self.info = types.SimpleNamespace(
            network_hash=words.pop("sha256", load(zoo.find()).sha256), network_name=name,
            boot_error=words.pop("boot_error", 0), ready=words.pop("ready", True),
        )  # fmt: skip
        self.equal, self.error = words.pop("equal", 4), words.pop("error", None)

        @contextlib.contextmanager
        def connect(port, *, board, baud):
            self.asked.append((port, baud))
            if self.error:
                raise self.error
            device = Device.__new__(Device)
            device.info = self.info
            device.self_test = lambda: SelfTest(equal=self.equal, vectors=4, cycles=1)
            yield device

        monkeypatch.setattr(flashing, "connect", connect)


SAYS = (
    f"at /dev/ttyUSB1 the board says that it runs {zoo.DEFAULT}, and its self-test passes (4 "
    "golden vectors)"
)


@pytest.mark.parametrize("text, by", [("VERIFY OK", "loader"), ("done", "board")])
def test_the_board_is_asked(text, by, built, loader, monkeypatch, capsys):
    """Where the loader proves nothing, its hash and its self-test do."""
    loader(text, 0)
    serial_ports(monkeypatch, "ib111")
    board = Answering(monkeypatch)
    tool.main(["flash", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["flashed"] and told["proof"]["by"] == by and told["proof"]["board"] == SAYS
    assert told["usb"] == {"serial": "ib111", "place": "", "port": "/dev/ttyUSB1"}
    assert board.asked == [("/dev/ttyUSB1", 6_000_000)]


@pytest.mark.parametrize("text", ["VERIFY OK", "done"])
@pytest.mark.parametrize("words, expected", [
    ({"sha256": "cd" * 32, "name": "old"}, "Written, but the board is not as flashed: The device "
     "holds another network (old, cdcdcdcdcdcd) than the file given"),
    ({"ready": False, "boot_error": 5}, "Written, but the board is not as flashed: The device does "
     "not classify: the network's weights in flash are damaged"),
    ({"equal": 3}, "Written, but the board fails its self-test: 3 of 4 golden vectors are equal"),
    ({"equal": 0}, "Written, but the board fails its self-test: 0 of 4"),
    ({"error": NoAnswer("No answer")}, "Written, but the board does not start: No answer"),
    ({"error": DeviceError("Version 9")}, "Written, but the board is not as flashed: Version 9"),
])  # fmt: skip
def test_the_board_says_otherwise(words, expected, text, built, loader, monkeypatch):
    loader(text, 0)
    serial_ports(monkeypatch, "ib111")
    Answering(monkeypatch, **words)
    with pytest.raises(UserError, match=f"^{re.escape(expected)}") as caught:
        tool.main(["flash"])
    assert caught.value.status == 1


def test_a_port_that_cannot_be_opened_proves_nothing(built, loader, monkeypatch, capsys):
    serial_ports(monkeypatch, "ib111")
    Answering(monkeypatch, error=LinkError("No permission for /dev/ttyUSB1"))
    tool.main(["flash"])  # the loader's own verification does
    assert "the board was not asked: No permission for /dev/ttyUSB1" in capsys.readouterr().out
    loader("done", 0)
    with pytest.raises(UserError, match="^Written, but not proven: .* not asked: No permission"):
        tool.main(["flash"])


def test_a_device_that_answers_for_real(built, monkeypatch):
    """Over a pseudo-terminal: it has another network."""
    with (
        pseudo_terminal(FakeDevice()) as name,
        pytest.raises(
            UserError, match="^Written, but the board is not as flashed: The device holds another"
        ),
    ):
        image = parse((make(built)).read_bytes())
        flashing.ask_board(BOARD, image, name, 6_000_000)


def make(built):
    tool.main(["flash", "--image-only"])
    return built / "flash.bin"


def test_real_loader(built, usb, capsys):
    tool.main(["flash", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["flashed"] and told["proof"]["by"] == "loader"
    assert usb.flash("ib111").startswith((built / "flash.bin").read_bytes())


@pytest.mark.parametrize("mode", ["locked", "absent", "flaky"])
def test_real_loader_whose_verification_fails(mode, built, usb, capsys):
    """It exits with status 0."""
    usb.behave(mode)
    with pytest.raises(
        UserError, match="^The board is not flashed: openFPGALoader says "
    ) as caught:
        tool.main(["flash"])
    assert caught.value.status == 1 and capsys.readouterr().out == ""


def test_ctrl_c_while_it_writes(built, loader, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(flashing.Loader, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tool.main(["flash"])
    assert capsys.readouterr().err.endswith(
        "warning: the flash may be written in part: flash anew\n"
    )


@pytest.mark.parametrize("name", ["flash.hex", "flash.bit.gz", "noending", "-f.bin", "a b.bin"])
def test_real_loader_takes_an_image_of_any_name(name, built, usb):
    tool.main(["flash", f"--output={name}"])
    assert usb.flash("ib111").startswith(Path(name).read_bytes())


def never(*_, **__):
    raise AssertionError("the build began")


@pytest.mark.parametrize("devices, arguments, text", [
    ([], [], "No 1BitSquared iCEBreaker found on USB: plug it in; or stop before the cable with "
     "--image-only"),
    ([DEVICE, SECOND], [], "2 boards found; nothing was written; on USB: iCEBreaker V1.0e (serial "
     "number ib111, no serial port, USB 1:2), iCEBreaker V1.0e (serial number ib222, no serial "
     "port, USB 1:3): choose one with --port or --serial"),
    ([OTHER], [], "The chip on USB does not say that it is a 1BitSquared iCEBreaker, and others "
     "have the same one; nothing was written; on USB: Dual RS232-HS (no serial number, no serial "
     "port, USB 1:2): if it is the board, name it with --port, or with --serial and its serial "
     "number or place on USB"),
    ([DEVICE], ["--serial", "ib9"], "No 1BitSquared iCEBreaker with serial number 'ib9'; on USB: "
     "iCEBreaker V1.0e (serial number ib111, no serial port, USB 1:2)"),
    ([f"{OTHER}:locked"], [], f"No permission for the board's USB chip: {mend_usb(BOARD)}"),
    ([DEVICE, f"{OTHER}:locked"], ["--serial", "ib9"], "No 1BitSquared iCEBreaker with serial "
     "number 'ib9'; on USB: iCEBreaker V1.0e (serial number ib111, no serial port, USB 1:2) (1 "
     f"more may not be opened: No permission for the board's USB chip: {mend_usb(BOARD)})"),
    ([DEVICE], ["--port", "/dev/ttyS0"], "Port /dev/ttyS0 is not a 1BitSquared iCEBreaker's on "
     "USB; on USB: iCEBreaker V1.0e (serial number ib111, no serial port, USB 1:2): name one of "
     "their ports with --port, or one of their serial numbers with --serial"),
    *[([DEVICE], ["--port", port], f"flash writes over USB, not to {port}: leave --port out, name "
       "the board's serial port, or stop before the cable with --image-only")
      for port in ("sim", "socket://localhost:5")],
])  # fmt: skip
def test_which_board_is_asked_before_the_build(devices, arguments, text, usb, monkeypatch):
    usb.plug(*devices)
    monkeypatch.setattr(flashing, "bitstream", never)
    with fails(text):
        tool.main(["flash", *arguments])
    assert os.listdir("flashes") == []


BOTH = ("ib111", "ib222")


@pytest.mark.parametrize("devices, numbers, arguments, serial", [
    ([SECOND, DEVICE], BOTH, ["--serial", "ib111"], "ib111"),
    ([DEVICE, SECOND], BOTH, ["--serial", "ib222"], "ib222"),
    ([DEVICE, SECOND], BOTH, ["--port", "/dev/ttyUSB3"], "ib222"),
    ([DEVICE, SECOND], BOTH, ["--port", "/dev/ttyUSB0"], "ib111"),
    ([DEVICE, SECOND], BOTH, ["--serial", "1:3"], "ib222"),
    ([OTHER, SECOND], BOTH[1:], [], "ib222"),
    ([OTHER, f"{OTHER}:locked"], [], ["--serial", "1:2"], "none"),
])  # fmt: skip
def test_the_board_that_is_meant_is_written(
    devices, numbers, arguments, serial, built, usb, monkeypatch, capsys
):
    """And the same one is asked, at its port, and named in what to type next."""
    serial_ports(monkeypatch, *numbers)
    usb.plug(*devices)
    board = Answering(monkeypatch)
    tool.main(["flash", *arguments])
    assert os.listdir("flashes") == [serial]
    ports = {number: f"/dev/ttyUSB{2 * at + 1}" for at, number in enumerate(numbers)}
    assert board.asked == ([(ports[serial], 6_000_000)] if numbers else [])
    assert f"firmware {' '.join([*arguments, 'classify'])}" in capsys.readouterr().out


def test_a_board_that_was_plugged_in_elsewhere_meanwhile(built, usb, monkeypatch):
    """It has another place on USB when the build is done; another board may have its old one."""
    build = flashing.bitstream

    def slowly(*arguments, **options):
        usb.plug(OTHER, DEVICE)
        return build(*arguments, **options)

    monkeypatch.setattr(flashing, "bitstream", slowly)
    tool.main(["flash"])
    assert os.listdir("flashes") == ["ib111"]


def test_two_boards_and_a_loader_that_cannot_list_them(built, loader, monkeypatch):
    serial_ports(monkeypatch, "ib111", "ib222")
    with pytest.raises(UserError, match="^2 boards found; nothing was written; on USB: "):
        tool.main(["flash"])
    with pytest.raises(
        UserError, match="^Nothing tells where on USB the board .* unplug the others"
    ):
        tool.main(["flash", "--serial", "ib111"])
    assert "--verify" not in Path("arguments").read_text()


def test_loader_that_is_missing_is_said_first(place, monkeypatch):
    monkeypatch.setenv("OPENFPGALOADER", "/none")
    monkeypatch.setattr(flashing, "bitstream", None)
    with fails("openfpgaloader is missing: the environment variable OPENFPGALOADER names '/none', "
               "which is not a program"):  # fmt: skip
        tool.main(["flash"])


@pytest.mark.parametrize("arguments, text", [
    (["--board", "icebraker"], "Unknown board 'icebraker': did you mean icebreaker? (known: "
     f"{', '.join(BOARDS)})"),
    (["--images", "none"], "No picture none"),
    (["--images", "-"], "--images takes files and folders, not standard input"),
    (["--baud", "115200"], "1BitSquared iCEBreaker has no baud rate 115200 at 36 MHz; known: "
     "6000000, 4000000, 3000000, 2000000, 1000000"),
    (["--output", "no/such.bin"], "--output no/such.bin: the folder no does not exist"),
    (["--network", "none.dham"], f"No network file none.dham; networks of the zoo: "
     f"{', '.join(zoo.names())}"),
])  # fmt: skip
def test_bad_input(arguments, text, place):
    with fails(text):
        tool.main(["flash", "--image-only", *arguments])


@pytest.mark.parametrize("change", [
    None, {"design_sha256": "2b" * 32}, "before there were digests", "another rate",
    "no report", "no top", "no json", "a list",
])  # fmt: skip
def test_bitstream_is_built_if_it_is_of_another_version(change, built, monkeypatch):
    if isinstance(change, dict):
        (built / "report.json").write_text(json.dumps(REPORT | change))
    elif change == "another rate":
        (built / "report.json").write_text(json.dumps(REPORT | design_of(1_000_000)))
    elif change == "before there were digests":
        old = {"map_version": REGISTER_MAP.version, "capability": asdict(BOARD.capability)}
        (built / "report.json").write_text(json.dumps(old | {"clock_mhz": 36.0}))
    elif change == "no report":
        (built / "report.json").unlink()
    elif change == "no top":
        (built / "top.bin").unlink()
    elif change:
        (built / "report.json").write_text("{" if change == "no json" else "[]")
    calls = []

    def build(job, staging, stages, tools, verify):
        calls.append((job.network.name, job.clock_mhz, job.baud, verify))
        staging.write("top.bin", b"new")
        staging.write("report.json", json.dumps(REPORT))

    monkeypatch.setattr(flashing, "build", build)
    stages = Stages(Console(quiet=True))
    found, plan = flashing.bitstream(BOARD, Path("build/icebreaker"), None, stages, Toolchain())
    if change is None:
        assert found == BITSTREAM and calls == [] and plan is None
    else:
        assert found == b"new" and calls == [(zoo.DEFAULT, 36.0, 6_000_000, of_build.verify)]
        assert plan.network.name == zoo.DEFAULT and plan.capability == BOARD.capability
        assert (built / "top.bin").read_bytes() == b"new"


def test_a_rate_that_is_asked_for_is_built(built, monkeypatch):
    """Once, and then it is the one that is there: `flash` without a rate builds anew."""
    made = []

    def build(job, staging, stages, tools, verify):
        made.append(job.baud)
        staging.write("top.bin", BITSTREAM)
        staging.write("report.json", json.dumps(REPORT | design_of(job.baud)))

    monkeypatch.setattr(flashing, "build", build)
    for arguments in ([], ["--baud", "2000000"], ["--baud=2000000"], [], ["--baud=6000000"]):
        tool.main(["flash", "--image-only", *arguments])
    assert made == [2_000_000, 6_000_000]


def test_image_for_the_simulated_board(place, capsys):
    """In the state folder, once, where `flash` made none: nothing comes into the current folder."""
    path = flashing.simulated_image(None, BOARD)
    assert path.parent == place / "state" and os.listdir(place) == ["state"]
    image = parse(path.read_bytes(), BOARD.capability)
    assert image.network_name == zoo.DEFAULT and not path.read_bytes().startswith(b"\xff\0\0")
    assert image.bytes == path.read_bytes() == flashing.simulated_image(None, BOARD).read_bytes()


def test_the_last_flash_image_is_simulated_from_any_folder(built, capsys, monkeypatch):
    tool.main(["flash", "--image-only", "--output", "first.bin"])
    tool.main(["flash", "--image-only"])
    monkeypatch.chdir("/")
    assert flashing.simulated_image(None, BOARD) == built / "flash.bin"


@pytest.mark.parametrize("name", [name for name, board in BOARDS.items() if board.usb is None])
def test_a_board_whose_flash_no_program_writes(name, place):
    board = BOARDS[name]
    with fails(f"No program writes the flash of the {board.title}: {board.by_hand}; make it with "
               "--image-only"):  # fmt: skip
        tool.main(["flash", "--board", name])
    assert not list(place.iterdir())


@pytest.mark.parametrize("name, words", [
    ("upduino_v3", "-b ice40_generic -c ft232"), ("ice40_up5k_b_evn", "-b ice40_generic"),
    ("icebreaker", None),
])  # fmt: skip
def test_words_of_the_loader_that_nobody_has_tried(name, words, loader, place, capsys):
    """A line says so before the flash is written; the iCEBreaker's are openFPGALoader's own."""
    board = BOARDS[name]
    (place / "arguments").unlink(missing_ok=True)
    options = types.SimpleNamespace(port="auto", serial=None)
    stages = Stages(Console(stderr=True, width=300))
    image = types.SimpleNamespace(bytes=b"image")
    flashing.flash(board, image, 1_000_000, flashing.Loader(board, Toolchain()), options, stages)
    line = f"warning: nobody has tried openFPGALoader {words} on a {board.title} yet; please tell"
    err = capsys.readouterr().err
    assert (line in err) == (words is not None) and ("warning" in err) == (words is not None)
    if words:
        assert err.index(line) < err.index("Writing the flash")
        assert f"\n{words} -f --verify " in "\n" + (place / "arguments").read_text()
