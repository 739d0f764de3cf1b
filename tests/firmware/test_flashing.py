"""`python -m firmware flash` without tools and cable: those are stand-ins, the files are real."""

import json
import os
import re
import stat
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from firmware import __main__ as tool
from firmware import flashing
from firmware.compile import Firmware
from firmware.flash_image import parse
from firmware.ports import MEND_USB
from hw.boards import BOARDS
from hw.regmap import REGISTER_MAP
from hw.soc.memory import firmware_copy
from hw.staging import Stages
from hw.tools import Toolchain
from model import zoo
from model.errors import UserError
from model.network import load
from tests.bitstreams import bitstream

BOARD = BOARDS["icebreaker"]
BITSTREAM = bitstream()
COPY = firmware_copy(bytes(range(1, 256)) * 20)
REPORT = {
    "map_version": REGISTER_MAP.version,
    "capability": asdict(BOARD.capability),
    "clock_mhz": 36.0,
}


def fails(text):
    return pytest.raises(UserError, match=f"^{re.escape(text)}$")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, with a firmware that needs no compiler."""
    monkeypatch.chdir(tmp_path)

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
            f'#!/bin/sh\necho "$@" > {place}/arguments\ncat {place}/text\nexit {status}\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IEXEC)

    says("done\n", 0)
    monkeypatch.setenv("OPENFPGALOADER", str(program))
    return says


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
    tool.main(["flash", "--image-only", "--output", "mine.bin"])
    out = capsys.readouterr().out
    size = os.path.getsize("mine.bin")
    assert out.startswith(f"Flash image: mine.bin, {size:,} bytes, network {zoo.DEFAULT}, ")
    assert out.endswith("Now: python -m firmware --port sim --flash mine.bin classify IMAGE...\n")


def test_pictures_of_the_user(built, tmp_path, capsys):
    pixels = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    Image.fromarray(pixels[::-1]).save(tmp_path / "b.png")
    tool.main(["flash", "--image-only", "--images", "b.png", "pictures"])
    demo = parse((built / "flash.bin").read_bytes()).demo_images
    np.testing.assert_array_equal(demo, [pixels[::-1], pixels])


def test_network_that_cannot_learn_is_said(built, capsys, monkeypatch):
    class Packed:
        bytes, parts, demo_images, network_name, network_sha256 = b"x", (), [], "big", "ab"
        why_not = "its features do not fit"

    monkeypatch.setattr(flashing, "make_flash_image", lambda **_: Packed)
    tool.main(["flash", "--image-only"])
    assert "This network cannot learn on the device: its features do not fit" in (
        capsys.readouterr().out
    )


def test_flash(built, loader, place, capsys):
    tool.main(["flash"])
    assert (place / "arguments").read_text().split() == [
        "-b", "ice40_generic", "-f", "--verify", "build/icebreaker/flash.bin",
    ]  # fmt: skip
    assert "The board is flashed and starts" in capsys.readouterr().out
    assert parse((built / "flash.bin").read_bytes()).network_name == zoo.DEFAULT


LIBRARY = "openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open"


@pytest.mark.parametrize("text, expected", [
    (LIBRARY, "openFPGALoader needs the system's libusb-1.0.so.0: run `sudo apt install "
     "libusb-1.0-0 libftdi1-2 libhidapi-libusb0`"),
    ("unable to open ftdi device: -3 (device not found)\nJTAG init failed with: unable to open",
     "No board found on USB: plug it in; or stop before the cable with --image-only"),
    ("unable to open ftdi device: -4 (usb_open() failed)",
     f"No permission for the board's USB chip: {MEND_USB}"),
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
    with fails("openfpgaloader failed with status 3; log: build/icebreaker/flash.log; it ends with:"
               " Error: flash is strange"):  # fmt: skip
        tool.main(["flash"])


def test_loader_that_is_missing_is_said_first(place, monkeypatch):
    monkeypatch.setenv("OPENFPGALOADER", "/none")
    monkeypatch.setattr(flashing, "bitstream", None)
    with fails("openfpgaloader is missing: the environment variable OPENFPGALOADER names '/none', "
               "which is not a program"):  # fmt: skip
        tool.main(["flash"])


@pytest.mark.parametrize("arguments, text", [
    (["--board", "icebraker"], "Unknown board 'icebraker': did you mean icebreaker? (known: "
     "icebreaker)"),
    (["--images", "none"], "No picture none"),
    (["--images", "-"], "--images takes files and folders, not standard input"),
    (["--output", "no/such.bin"], "--output no/such.bin: the folder no does not exist"),
    (["--network", "none.dham"], f"No network file none.dham; networks of the zoo: "
     f"{', '.join(zoo.names())}"),
])  # fmt: skip
def test_bad_input(arguments, text, place):
    with fails(text):
        tool.main(["flash", "--image-only", *arguments])


@pytest.mark.parametrize("change", [
    None, {"map_version": 1}, {"capability": {}}, {"clock_mhz": 30.0}, "no report", "no top",
    "no json", "a list",
])  # fmt: skip
def test_bitstream_is_built_if_it_is_of_another_version(change, built, monkeypatch):
    if isinstance(change, dict):
        (built / "report.json").write_text(json.dumps(REPORT | change))
    elif change == "no report":
        (built / "report.json").unlink()
    elif change == "no top":
        (built / "top.bin").unlink()
    elif change:
        (built / "report.json").write_text("{" if change == "no json" else "[]")
    calls = []

    def build(job, staging, stages, tools, *, skip_verification):
        calls.append((job.network.name, job.clock_mhz, skip_verification))
        staging.write("top.bin", b"new")
        staging.write("report.json", json.dumps(REPORT))

    monkeypatch.setattr(flashing, "build", build)
    stages = Stages(Console(quiet=True))
    found = flashing.bitstream(BOARD, Path("build/icebreaker"), None, stages, Toolchain())
    if change is None:
        assert found == BITSTREAM and calls == []
    else:
        assert found == b"new" and calls == [(zoo.DEFAULT, 36.0, False)]
        assert (built / "top.bin").read_bytes() == b"new"


def test_image_for_the_simulated_board(place, capsys):
    """That of the last `flash`; without one, one that is made without a bitstream, once."""
    path = flashing.simulated_image(None)
    assert path == Path("build/icebreaker/simulated.bin")
    image = parse(path.read_bytes(), BOARD.capability)
    assert image.network_name == zoo.DEFAULT and not path.read_bytes().startswith(b"\xff\0\0")
    path.write_bytes(b"with what it learned")
    assert flashing.simulated_image(None).read_bytes() == b"with what it learned"
    Path("build/icebreaker/flash.bin").write_bytes(b"flash")
    assert flashing.simulated_image(None).read_bytes() == b"flash"
