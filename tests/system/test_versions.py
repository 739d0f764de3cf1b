"""Old meets new on the simulated board: firmware, flash image and slots of other versions."""

import lzma
import re
import struct
import zlib
from pathlib import Path

import pytest

from firmware import header, layout, protocol
from firmware.client import Device, DeviceError
from firmware.compile import compile_firmware
from firmware.flash_image import FlashImageError, parse
from firmware.layout import FORMAT_VERSION, LEARNED_MAGIC, LEARNED_SLOTS, LEARNED_VERSION
from firmware.protocol import PROTOCOL_VERSION, BootError
from firmware.versions import ignored_lesson
from model.common.invocation import command
from model.network import load
from tests.system.helpers import (
    BANNER,
    CAPABILITY,
    Learned,
    coloured,
    flash_image,
    logits_of,
    signed,
    slot,
    slots,
)

KEPT = Path(__file__).parents[1] / "firmware" / "versions"
ANEW = f"flash the board anew with `{command('firmware', 'flash', '--board', 'BOARD')}`"
RENEW = "renew this program with `pip install -U decisivenets`"


def firmware_of(monkeypatch, module, name, value):
    """A copy of firmware that was compiled with another number."""
    with monkeypatch.context() as patch:
        patch.setattr(module, name, value)
        return compile_firmware(CAPABILITY)


def says(text):
    return pytest.raises(DeviceError, match=f"^{re.escape(text)}$")


def start(board, flash):
    """As `restart`, for a device that this host does not understand."""
    board.board.power_off()
    board.port.reset_input_buffer()
    board.lines.clear()
    board.board.power_cycle(flash=flash)
    board.listen(BANNER)


@pytest.mark.parametrize("name", sorted(path.name[:-7] for path in KEPT.glob("*.bin.xz")))
def test_kept_image_is_understood_or_told(name, board):
    """One whose numbers are still ours must do all that it did, and know what it had learned: else
    a number should have been raised. One of other numbers is refused before it runs."""
    flash = lzma.decompress((KEPT / f"{name}.bin.xz").read_bytes())
    network = load(KEPT / f"{name}.dham")
    try:
        parse(flash, CAPABILITY)
    except FlashImageError as error:
        assert "older than this program's" in str(error)
        return
    device = board.restart(flash)
    assert device.info.ready and device.info.network_hash == network.sha256
    images = [coloured("red", 5), coloured("blue", 6), coloured("green", 7)]
    found = [one.logits for one in device.classify([image.tobytes() for image in images])]
    assert found == logits_of(network, images).tolist()
    assert device.class_names(learned=True) == ["warm", "cold"] and ignored_lesson(device) is None
    learned = device.classify([images[0].tobytes(), images[1].tobytes()], learned=True)
    assert [one.decision for one in learned] == [0, 1]


@pytest.mark.parametrize("number, side, mend", [
    (PROTOCOL_VERSION - 1, "older", ANEW), (PROTOCOL_VERSION + 1, "newer", RENEW),
])  # fmt: skip
def test_firmware_of_another_protocol(number, side, mend, board, network, monkeypatch):
    copy = firmware_of(monkeypatch, protocol, "PROTOCOL_VERSION", number)
    start(board, flash_image(network, copy))
    with says(f"The board's firmware speaks protocol version {number}, {side} than this program's "
              f"{PROTOCOL_VERSION}: {mend}"):  # fmt: skip
        Device(board.link)


def test_network_of_another_format_beside_the_firmware(board, image):
    for number, text in (
        (FORMAT_VERSION - 1, f"older than this program's {FORMAT_VERSION}: {ANEW}"),
        (FORMAT_VERSION + 1, f"newer than this program's {FORMAT_VERSION}: {RENEW}, then {ANEW}"),
    ):
        device = board.restart(signed(image, {"format_version": number}))
        assert device.info.boot_error == BootError.FORMAT
        with says("The device does not classify: the network in flash has format version "
                  f"{number}, {text}"):  # fmt: skip
            device.require_ready()


def test_firmware_of_another_format_beside_the_network(board, image, network, monkeypatch):
    copy = firmware_of(monkeypatch, layout, "FORMAT_VERSION", FORMAT_VERSION + 1)
    device = board.restart(flash_image(network, copy))
    with says("The device does not classify: the network in flash has format version "
              f"{FORMAT_VERSION}, as this program's, but the firmware beside it knows another one: "
              f"{ANEW}"):  # fmt: skip
        device.require_ready()


def test_lesson_of_another_version(board, image, network):
    """It is not used, not even in part; the line says so; the next lesson takes a place, and the
    line is gone."""
    lesson = Learned((("warm", 2, (250, 0, 0, 100)), ("cold", 1, (0, 0, 90, 10))))
    ours = slot(network, 8, lesson)
    newer = struct.pack("<I", LEARNED_MAGIC + (1 << 24)) + ours[4:-4]
    newer += struct.pack("<I", zlib.crc32(newer))
    flash = bytearray(image)
    flash[LEARNED_SLOTS[0] : LEARNED_SLOTS[0] + len(ours)] = ours
    device = board.restart(bytes(flash))
    assert device.info.learned == 2 and ignored_lesson(device) is None
    flash[LEARNED_SLOTS[0] : LEARNED_SLOTS[0] + len(ours)] = newer
    device = board.restart(bytes(flash))
    assert device.info.learned == 0
    assert ignored_lesson(device) == (
        f"The lesson saved on the board is ignored: it has version {LEARNED_VERSION + 1}, newer "
        f"than this program's {LEARNED_VERSION}: teach it anew with `learn`"
    )
    list(device.learn("new", [coloured("red", 1).tobytes()]))
    assert device.reset().learned == 1 and ignored_lesson(device) is None
    assert slots(network, board.board.flash())[0][1].labels == ["new"]


def test_every_number_reaches_the_firmware():
    """What is compiled has the numbers of the modules, so that a raised one is raised on both."""
    text = header.c_header(CAPABILITY)
    for name, value in (
        ("PROTOCOL_VERSION", PROTOCOL_VERSION),
        ("FORMAT_VERSION", FORMAT_VERSION),
        ("LEARNED_MAGIC", LEARNED_MAGIC),
    ):
        assert f"#define {name} {value:#x}u\n" in text
