"""Old meets new: what is kept of earlier versions, and what is newer than this one, each gives the
line that says which side to renew; and no number's meaning changes without the number."""

import hashlib
import json
import lzma
import re
import struct
import zlib
from enum import IntEnum
from pathlib import Path

import pytest

from firmware import __main__ as tool
from firmware import frames, layout, protocol, versions
from firmware.client import Device, DeviceError
from firmware.flash_image import parse
from firmware.frames import INFO_FIELDS, request
from firmware.layout import DIRECTORY, DIRECTORY_WORDS, FORMAT_VERSION, LEARNED_MAGIC, LEARNED_SLOTS
from firmware.link import ALARM, Link
from firmware.protocol import PROTOCOL_VERSION, BootError
from firmware.versions import FlashImageError, check_versions, ignored_lesson
from hw.boards import find_board
from hw.bus.registers import version_text
from hw.layer_entry import table_words
from hw.pipeline import AHEAD_CYCLES, BYTE_CYCLES
from hw.register_map import REGISTER_MAP
from hw.soc import addresses, boot, boot_registers, stream, stream_registers
from model.common.errors import UserError
from model.common.invocation import command
from model.network import FORMAT_VERSION as NETWORK_VERSION
from model.network import NetworkError, load, save
from sim.board import __main__ as simulator
from tests.firmware import fake
from tests.firmware.fake import FakeDevice, MemoryPort

CAPABILITY = find_board("icebreaker").capability
KEPT = Path(__file__).parent / "versions"
MAP = REGISTER_MAP.version
FLASH_BASE = 0x0100_0000  # byte address on the bus (docs/soc.md)

FLASH = ("firmware", "flash", "--board", "BOARD")
FLASH_ANEW = f"flash the board anew with `{command(*FLASH)}`"
IMAGE_ANEW = f"make it anew with `{command(*FLASH, '--image-only')}`"
RENEW = "renew this program with `pip install -U decisivenets`"
IGNORED = "The lesson saved on the board is ignored: it"
TEACH = "teach it anew with `learn`"

IMAGES = sorted(path.name.removesuffix(".bin.xz") for path in KEPT.glob("*.bin.xz"))


def kept(name):
    return lzma.decompress((KEPT / f"{name}.bin.xz").read_bytes())


def word_of(data, name):
    return struct.unpack_from("<I", data, DIRECTORY + 4 * DIRECTORY_WORDS.index(name))[0]


def numbered(data, **numbers):
    """The image with other numbers in its directory, and the right CRC-32 for them."""
    data = bytearray(data)
    for name, value in numbers.items():
        struct.pack_into("<I", data, DIRECTORY + 4 * DIRECTORY_WORDS.index(name), value)
    end = DIRECTORY + word_of(data, "bytes") - 4
    struct.pack_into("<I", data, end, zlib.crc32(data[DIRECTORY:end]))
    return bytes(data)


def ours(data):
    """An image's numbers made those of this version, so that one of them can be changed alone."""
    return numbered(data, format_version=FORMAT_VERSION, map_version=MAP)


def opened(device):
    return Device(Link(MemoryPort(device), name="fake", timeout=0.05))


def says(text, kind=UserError):
    assert "\n" not in text
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def test_the_version_before_is_kept():
    assert IMAGES[:1] == ["format-1"]
    assert FORMAT_VERSION - 1 in {0, *(word_of(kept(name), "format_version") for name in IMAGES)}


# --- flash images -------------------------------------------------------------------------------


def image_cases():
    """(image, what it is said to be)"""
    image = ours(kept(IMAGES[-1]))
    yield (
        numbered(image, format_version=FORMAT_VERSION - 1),
        (
            f"has format version {FORMAT_VERSION - 1}, older than this program's {FORMAT_VERSION}: "
            f"{IMAGE_ANEW}"
        ),
    )
    for number in (FORMAT_VERSION + 1, 77, 0xFFFF_FFFF):
        yield (
            numbered(image, format_version=number),
            (f"has format version {number}, newer than this program's {FORMAT_VERSION}: {RENEW}"),
        )
    for number in (0, 0x1_0007, MAP - 1):
        yield (
            numbered(image, map_version=number),
            (
                f"was made for register map {version_text(number)}, older than this program's "
                f"{version_text(MAP)}: {IMAGE_ANEW}"
            ),
        )
    for number in (MAP + 1, MAP + 0x1_0000):
        yield (
            numbered(image, map_version=number),
            (
                f"was made for register map {version_text(number)}, newer than this program's "
                f"{version_text(MAP)}: {RENEW}"
            ),
        )
    yield (
        numbered(image, capability_crc=0x1234),
        (f"was made for hardware of another capability: {IMAGE_ANEW}"),
    )
    for name in IMAGES:  # as they are, now or when their numbers are the past
        number = word_of(kept(name), "format_version")
        if number != FORMAT_VERSION:
            yield (
                kept(name),
                (
                    f"has format version {number}, older than this program's {FORMAT_VERSION}: "
                    f"{IMAGE_ANEW}"
                ),
            )


@pytest.mark.parametrize("image, told", list(image_cases()))
def test_image_of_another_version(image, told, tmp_path, monkeypatch, capsys):
    """The reader, and both ways to run a simulated board: before anything is compiled or run."""
    with says(f"The flash image {told}", FlashImageError):
        parse(image, CAPABILITY)
    path = tmp_path / "flash.bin"
    path.write_bytes(image)
    monkeypatch.setattr(simulator, "compile_board", None)
    with says(f"Flash {path} {told}"):
        simulator.main(["--flash", str(path)])
    with says(f"Flash image {path} {told}"):
        tool.main(["--port", "sim", "--flash", str(path), "info"])
    assert capsys.readouterr() == ("", "") and path.read_bytes() == image


@pytest.mark.parametrize("name", IMAGES)
def test_kept_image_when_its_number_is_the_past(name, monkeypatch):
    number = word_of(kept(name), "format_version")
    monkeypatch.setattr(versions, "FORMAT_VERSION", number + 1)
    told = f"has format version {number}, older than this program's {number + 1}: {IMAGE_ANEW}"
    with says(f"The flash image {told}", FlashImageError):
        parse(kept(name))


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_of_our_numbers_means_the_same(name):
    """What has the numbers of this version is read: else they should have been raised."""
    image = kept(name)
    if (word_of(image, "format_version"), word_of(image, "map_version")) != (FORMAT_VERSION, MAP):
        with pytest.raises(FlashImageError, match="older than this program's"):
            parse(image, CAPABILITY)
        return
    found = parse(image, CAPABILITY)
    assert (found.network_name, found.classes) == ("colours", ("red", "green", "blue"))
    assert bytes.fromhex(found.network_sha256) == (KEPT / f"{name}.dham").read_bytes()[-32:]


def test_what_is_damaged_is_not_called_another_version():
    """Each bit of the directory's first words; and longer or shorter directories of a version
    that nobody knows yet are of another version, if they are sound."""
    image = ours(kept(IMAGES[-1]))
    for bit in range(32, 8 * 20):
        data = bytearray(image)
        data[DIRECTORY + bit // 8] ^= 1 << bit % 8
        check_versions(bytes(data), CAPABILITY)
        with says("The directory is damaged: its CRC-32 or its size is wrong", FlashImageError):
            parse(bytes(data))
    told = (
        f"The flash image has format version 99, newer than this program's {FORMAT_VERSION}: "
        f"{RENEW}"
    )
    for size in (16, 20, 1000, 4096):
        data = bytearray(image)
        head = struct.pack("<3I", layout.MAGIC, 99, size).ljust(size - 4, b"\xa5")
        data[DIRECTORY : DIRECTORY + size] = head + zlib.crc32(head).to_bytes(4, "little")
        with says(told, FlashImageError):
            parse(bytes(data))
    for size in (0, 1, DIRECTORY, DIRECTORY + 3, DIRECTORY + 15):
        check_versions(image[:size])


# --- boards -------------------------------------------------------------------------------------


def board_that_says(reply):
    device = FakeDevice()
    device.override[1] = (0, reply)
    return device


def of(reply, **numbers):
    """INFO's data with other words."""
    reply = bytearray(reply)
    for name, value in numbers.items():
        struct.pack_into("<I", reply, 4 * INFO_FIELDS.index(name), value)
    return bytes(reply)


@pytest.mark.parametrize("name", IMAGES)
def test_info_as_boards_gave_it(name, monkeypatch):
    """A recorded reply: of today's number it is understood; of another one, its first word says
    which side is older, whatever else the reply holds and however long it is."""
    reply = (KEPT / f"{name}.info").read_bytes()
    number = struct.unpack_from("<I", reply)[0]
    monkeypatch.setattr("firmware.client.PROTOCOL_VERSION", number)
    info = opened(board_that_says(of(reply, map_version=MAP))).info
    assert (info.network_name, info.learned, info.ready) == ("colours", 2, True)
    begins = "The board's firmware speaks protocol version"
    monkeypatch.setattr("firmware.client.PROTOCOL_VERSION", number + 1)
    for data in (reply, reply[:4], reply + bytes(400)):
        with says(f"{begins} {number}, older than this program's {number + 1}: {FLASH_ANEW}",
                  DeviceError):  # fmt: skip
            opened(board_that_says(data))
    monkeypatch.setattr("firmware.client.PROTOCOL_VERSION", number - 1)
    for data in (reply, reply[:4], reply + bytes(400)):
        with says(f"{begins} {number}, newer than this program's {number - 1}: {RENEW}",
                  DeviceError):  # fmt: skip
            opened(board_that_says(data))


@pytest.mark.parametrize("error, words, told", [
    (BootError.FORMAT, (layout.MAGIC, FORMAT_VERSION - 1, 308, MAP),
     f"the network in flash has format version {FORMAT_VERSION - 1}, older than this program's "
     f"{FORMAT_VERSION}: {FLASH_ANEW}"),
    (BootError.FORMAT, (layout.MAGIC, FORMAT_VERSION + 5, 308, MAP),
     f"the network in flash has format version {FORMAT_VERSION + 5}, newer than this program's "
     f"{FORMAT_VERSION}: {RENEW}, then {FLASH_ANEW}"),
    (BootError.FORMAT, (layout.MAGIC, FORMAT_VERSION, 308, MAP),
     f"the network in flash has format version {FORMAT_VERSION}, as this program's, but the "
     f"firmware beside it knows another one: {FLASH_ANEW}"),
    (BootError.HARDWARE, (layout.MAGIC, FORMAT_VERSION, 308, MAP - 1),
     f"the flash image was made for register map {version_text(MAP - 1)}, older than the "
     f"bitstream's {version_text(MAP)}: {FLASH_ANEW}"),
    (BootError.HARDWARE, (layout.MAGIC, FORMAT_VERSION, 308, MAP + 0x1_0000),
     f"the flash image was made for register map {version_text(MAP + 0x1_0000)}, newer than the "
     f"bitstream's {version_text(MAP)}: {FLASH_ANEW}"),
    (BootError.HARDWARE, (layout.MAGIC, FORMAT_VERSION, 308, MAP), "the flash image was made for "
     f"another bitstream (register map or capability): {FLASH_ANEW}"),
    (BootError.FORMAT, (0, 0, 0, 0), "the flash image is of another format version than the "
     f"firmware: {FLASH_ANEW}"),
])  # fmt: skip
def test_parts_of_the_flash_that_differ(error, words, told, monkeypatch, capsys):
    """The firmware only says that it differs; the host reads what the directory says."""
    end = FakeDevice(boot_error=error, map_version=MAP)
    end.memory = {FLASH_BASE + DIRECTORY + 4 * index: word for index, word in enumerate(words)}
    with says(f"The device does not classify: {told}", DeviceError):
        opened(end).require_ready()
    with fake.pseudo_terminal(end) as port:
        assert tool.main(["--port", port, "--json", "info"]) == 1
    assert json.loads(capsys.readouterr().out)["boot"]["text"] == told


# --- learned slots ------------------------------------------------------------------------------

OWN = struct.unpack("<2I", fake.HASH[:8])


def slot(version=layout.LEARNED_VERSION, network=OWN, classes=2):
    magic = LEARNED_MAGIC + (version - layout.LEARNED_VERSION << 24)
    return (magic, 7, *network, classes, fake.FEATURES)


ERASED = (0xFFFF_FFFF,) * 6
OF_ANOTHER = f"{IGNORED} belongs to another network (0a0b0c0d0e0f, not 000102030405): {TEACH}"
OTHER = struct.unpack("<2I", bytes(range(10, 18)))
NEWER = layout.LEARNED_VERSION + 3


@pytest.mark.parametrize("slots, told", [
    ((ERASED, ERASED), None),
    (((0,) * 6, ERASED), None),
    ((slot(), ERASED), None),  # damaged: no class learned, but of this version
    ((slot(version=NEWER), slot()), None),
    ((slot(network=OTHER), slot(classes=0)), None),  # all was forgotten since
    ((slot(network=OTHER, classes=0), ERASED), None),
    ((slot(network=OTHER), ERASED), OF_ANOTHER),
    ((ERASED, slot(network=OTHER)), OF_ANOTHER),
    ((slot(version=NEWER), ERASED), f"{IGNORED} has version {NEWER}, newer than this program's "
     f"{layout.LEARNED_VERSION}: {TEACH}"),
    ((ERASED, slot(version=NEWER, network=OTHER, classes=99)), f"{IGNORED} has version {NEWER}, "
     f"newer than this program's {layout.LEARNED_VERSION}: {TEACH}"),
])  # fmt: skip
def test_lesson_that_is_not_used(slots, told):
    end = FakeDevice(map_version=MAP)
    for start, words in zip(LEARNED_SLOTS, slots, strict=True):
        end.memory |= {FLASH_BASE + start + 4 * index: word for index, word in enumerate(words)}
    device = opened(end)
    assert ignored_lesson(device) == told
    list(device.learn("x", [bytes(fake.IMAGE_BYTES)]))
    end.executed.clear()
    device.read_info()
    assert ignored_lesson(device) is None  # what is learned is there to be used
    assert end.executed == [(1, 0)]


def test_lesson_of_an_older_version(monkeypatch):
    end = FakeDevice(map_version=MAP)
    end.memory = {FLASH_BASE + LEARNED_SLOTS[0]: LEARNED_MAGIC}
    monkeypatch.setattr(versions, "LEARNED_VERSION", layout.LEARNED_VERSION + 1)
    assert ignored_lesson(opened(end)) == (
        f"{IGNORED} has version {layout.LEARNED_VERSION}, older than this program's "
        f"{layout.LEARNED_VERSION + 1}: {TEACH}"
    )


@pytest.mark.parametrize("words, status, out", [
    (["info"], 0, True), (["learn", "x"], 0, True), (["classify"], 0, False),
    (["classify", "--few-shot"], None, True),
])  # fmt: skip
def test_the_line_is_printed_where_lessons_matter(words, status, out, tmp_path, capsys):
    from PIL import Image

    end = FakeDevice(map_version=MAP)
    end.memory = {FLASH_BASE + LEARNED_SLOTS[0]: LEARNED_MAGIC + (3 << 24)}
    picture = tmp_path / "picture.png"
    Image.new("RGB", (6, 4)).save(picture)
    pictures = [] if words == ["info"] else [str(picture)]
    with fake.pseudo_terminal(end) as port:
        if status is None:
            with pytest.raises(UserError, match="it has learned nothing yet"):
                tool.main(["--port", port, *words, *pictures])
        else:
            assert tool.main(["--port", port, *words, *pictures]) == status
    line = (
        f"warning: {IGNORED} has version {layout.LEARNED_VERSION + 3}, newer than this program's "
        f"{layout.LEARNED_VERSION}: {TEACH}\n"
    )
    assert capsys.readouterr().err == (line if out else "")


def test_versions_of_slots():
    assert layout.learned_version(int.from_bytes(b"DSNL", "little")) == 1
    assert layout.learned_version(int.from_bytes(b"DSNM", "little")) == 2
    assert layout.learned_version(int.from_bytes(b"DSNZ", "little")) == 15
    assert layout.learned_version(LEARNED_MAGIC) == layout.LEARNED_VERSION
    for other in (b"DSNK", b"DSN[", b"DSNF", b"ESNL", b"\xff\xff\xff\xff", bytes(4)):
        assert layout.learned_version(int.from_bytes(other, "little")) is None


# --- network files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGES)
def test_network_file(name, tmp_path):
    """Of today's number, a kept file is read and written as it was; of a greater one, refused."""
    data = (KEPT / f"{name}.dham").read_bytes()
    number = struct.unpack_from("<I", data, 8)[0]
    path = tmp_path / "network.dham"
    if number == NETWORK_VERSION:
        save(load(KEPT / f"{name}.dham"), path)
        assert path.read_bytes() == data
    for newer in (NETWORK_VERSION + 1, 0xFFFF_FFFF):
        changed = data[:8] + newer.to_bytes(4, "little") + data[12:-32]
        path.write_bytes(changed + hashlib.sha256(changed).digest())
        with says(f"Network file {path}: format version {newer} is newer than this program's "
                  f"{NETWORK_VERSION}: {RENEW}", NetworkError):  # fmt: skip
            load(path)


# --- what each number covers --------------------------------------------------------------------


def constants(module, *without):
    """The public numbers and names of a module."""
    found = {}
    for name in module.__all__:
        value = getattr(module, name)
        if name in without:
            continue
        if isinstance(value, type) and issubclass(value, IntEnum):
            found[name] = {one.name: int(one) for one in value}
        elif isinstance(value, int | str | tuple):
            found[RENAMED.get(name, name)] = value
    return found


RENAMED = {"SLOTS": "BANKS", "FIRST_ALIVE_BIT": "WATCHDOG_BIT"}
"""Names that have changed since their digests were recorded, while what they mean has not."""


def covers():
    """What the device's parts must agree on, by the version number that stands for it."""
    slots = {name: value for name, value in constants(layout).items() if "LEARNED" in name}
    registers = [
        [
            one.name,
            one.offset,
            [[RENAMED.get(f.name, f.name), f.low, f.width, f.access, f.reset] for f in one.fields],
        ]
        for one in REGISTER_MAP.registers
    ]
    windows = [[one.name, one.base, one.size, one.access] for one in REGISTER_MAP.windows]
    table = [[[field.name, field.width, field.signed] for field in word]
             for word in table_words(CAPABILITY)]  # fmt: skip
    return {
        "PROTOCOL_VERSION": (PROTOCOL_VERSION, [
            constants(protocol, "PROTOCOL_VERSION"), constants(frames),
            ALARM.hex(), request(protocol.Command.INFO, 0x2A, 7, b"\0\1\0").hex(),
        ]),
        "FORMAT_VERSION": (FORMAT_VERSION, [
            constants(layout, "FORMAT_VERSION", "LEARNED_VERSION", "LEARNED_MAGIC",
                      "LEARNED_WORDS"),
            constants(addresses),
        ]),
        "LEARNED_VERSION": (layout.LEARNED_VERSION, [slots, protocol.LABEL_BYTES]),
        "REGISTER_MAP.version": (MAP, [
            registers, windows, table, REGISTER_MAP.constants,
            constants(addresses), constants(boot) | constants(boot_registers),
            {"AHEAD_CYCLES": AHEAD_CYCLES, "BYTE_CYCLES": BYTE_CYCLES}
            | constants(stream) | constants(stream_registers),
        ]),
    }  # fmt: skip


RECORDED = {
    "PROTOCOL_VERSION": {1: "61ca9f7fd2386f54"},
    "FORMAT_VERSION": {1: "d16d7efb6d04d36d", 2: "825b2f92276f4d34"},
    "LEARNED_VERSION": {1: "2bd4226a95d6322c"},
    "REGISTER_MAP.version": {0x2_0000: "dc3353bf45609a6d", 0x2_0001: "ff935ece427d4b98"},
}
"""The digest of what a number covers, for each number that there was. A line is added with a new
number, and none is changed: those are out in the world."""


@pytest.mark.parametrize("kind", RECORDED)
def test_no_meaning_changes_without_its_number(kind):
    number, description = covers()[kind]
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    assert number in RECORDED[kind], f'{kind} is new: record {number:#x}: "{digest}"'
    assert RECORDED[kind][number] == digest, (
        f"what {kind} covers has changed: keep what it meant (tests/firmware/versions/README.md), "
        f'raise it, and record the new number with "{digest}"'
    )
    assert max(RECORDED[kind]) == number
