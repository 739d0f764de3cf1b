"""Reads a flash image: a file, or what a flash holds; says what is in it, or what is wrong."""

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from firmware.layout import (
    BITSTREAM,
    BITSTREAM_BYTES,
    DIRECTORY,
    DIRECTORY_WORDS,
    ENTRY_WORDS,
    LEARNED_BYTES,
    LEARNED_SLOTS,
    MAGIC,
    SECTIONS,
    SECTOR_BYTES,
    Head,
    Section,
    flash_offset,
)
from firmware.protocol import LABEL_BYTES, MAX_LEARNED
from firmware.versions import FlashImageError, check_versions, sound_directory
from hw.capability import Capability
from hw.layer_entry import ENTRY_WORDS as LAYER_WORDS
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import COPY_DISTANCE, FIRMWARE_BYTES, FIRMWARE_COPIES
from hw.soc.stream import CRC_RESIDUE
from hw.soc.stream_registers import COUNT_BITS

if TYPE_CHECKING:
    from hw.compile.plan import Plan

__all__ = [
    "ERASED",
    "SECTION_BYTES",
    "FlashImage",
    "FlashImageError",
    "Part",
    "parse",
    "target",
]

ERASED = 0xFF
"""A byte of flash that nothing was written to."""

SECTION_BYTES = 4 * (2**COUNT_BITS - 1)
"""Most bytes of a section: what one DMA transfer moves."""

_WINDOWS = {Section.WEIGHTS: "WEIGHTS", Section.PARAMETERS: "PARAMETERS", Section.LAYERS: "LAYERS"}


def target(section: Section) -> int:
    """Byte address on the bus that a section is copied to; 0: none."""
    return REGISTER_MAP.window(_WINDOWS[section]).base if section in _WINDOWS else 0


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the image: its name, where it begins, its bytes, their CRC-32.

    Erased places have size 0. Of parts that do not tell their size (bitstream, firmware, learned
    classes) it is that of what is not erased, in whole words. The directory's CRC-32 is its own.
    """

    name: str
    offset: int
    size: int
    crc: int


_Content = bytes  # which has another meaning among the members of FlashImage


@dataclass(frozen=True, kw_only=True)
class FlashImage:
    """A sound flash image, and what is in it.

    Parameters
    ----------
    bytes : bytes
        What is written to the flash from address 0 on.
    parts : tuple of Part
        All there is, by address.
    directory : dict of str to int
        The words of `DIRECTORY_WORDS`.
    network_name, network_sha256 : str
        Of the network file.
    classes : tuple of str
        Names, cut to 15 bytes.
    sections : dict of Section to bytes
    golden_images, golden_logits : ndarray
        uint8 [N, H, W, C] and int32 [N, classes].
    demo_images : ndarray
        uint8 [N, H, W, C].
    why_not : str
        Why the network cannot learn on the device; empty where it can, and in what `parse` reads.
    plan : Plan or None
        The network's, with its own classes; None in what `parse` reads.
    """

    bytes: bytes
    parts: tuple[Part, ...]
    directory: dict[str, int]
    network_name: str
    network_sha256: str
    classes: tuple[str, ...]
    sections: dict[Section, _Content]
    golden_images: np.ndarray
    golden_logits: np.ndarray
    demo_images: np.ndarray
    why_not: str = ""
    plan: "Plan | None" = field(default=None, compare=False, repr=False)


def parse(data: bytes, capability: Capability | None = None) -> FlashImage:
    """Read a flash image back: a file, or what a flash holds.

    With a capability, the image must be made for it; without one, for a family whose bitstream
    needs no more than `firmware.layout.BITSTREAM_BYTES`. Raises `FlashImageError` for the first
    thing that is wrong.
    """
    whole, before = data, flash_offset(capability) if capability is not None else 0
    data = whole[before:]
    directory, entries = _read_directory(data, capability)
    sections = {}
    end = SECTIONS
    for number, (kind, offset, size, crc, address) in enumerate(entries):
        section = Section(number + 1)
        what = _title(section)
        _check(kind == section, f"{what} should be entry {number} of the directory")
        _check(
            offset >= end and offset % SECTOR_BYTES == 0 and size % 4 == 0,
            f"{what} lies at {offset:#x} with {size} bytes: it overlaps another part, or is not "
            "aligned",
        )
        _check(
            offset + size <= len(data),
            f"{what} is truncated: it ends at {offset + size:#x}, the flash image at "
            f"{len(data):#x}",
        )
        sections[section] = data[offset : offset + size]
        found = zlib.crc32(sections[section])
        _check(
            found == crc,
            f"{what} is damaged: its CRC-32 is {found:08x}, the directory says {crc:08x}",
        )
        right = target(section)
        _check(address == right, f"{what} would be copied to {address:#x}, not to {right:#x}")
        end = offset + size
    _check_sizes(directory, sections)
    _check_heads(directory, sections)
    _check_copies(data)
    shape = tuple(directory[f"image_{axis}"] for axis in ("height", "width", "channels"))
    names = sections[Section.NAMES]
    return FlashImage(
        bytes=whole,
        parts=_parts(whole, before, directory, entries),
        directory=directory,
        network_name=_read_text("The network's name", _bytes_of(directory, "network_name")),
        network_sha256=_bytes_of(directory, "network_hash").hex(),
        classes=tuple(
            _read_text(f"The name of class {first // LABEL_BYTES}", names[first:][:LABEL_BYTES])
            for first in range(0, len(names), LABEL_BYTES)
        ),
        sections=sections,
        golden_images=_images(sections[Section.GOLDEN_IMAGES], directory["golden"], shape),
        golden_logits=np.frombuffer(sections[Section.GOLDEN_LOGITS], "<i4").reshape(
            directory["golden"], -1
        ),
        demo_images=_images(sections[Section.DEMO_IMAGES], directory["demo"], shape),
    )


def _check(condition, text):
    if not condition:
        raise FlashImageError(text)


def _read_directory(data, capability):
    _check(
        len(data) >= SECTIONS,
        f"The flash image is truncated: it has {len(data)} bytes, its network begins at "
        f"{SECTIONS:#x}",
    )
    _check(
        struct.unpack_from("<I", data, DIRECTORY) == (MAGIC,),
        f"No directory at {DIRECTORY:#x}: this is no flash image, or the flash is erased",
    )
    check_versions(data, capability)
    words = sound_directory(data)
    count = len(DIRECTORY_WORDS) + len(ENTRY_WORDS) * len(Section) + 1
    _check(
        words is not None and len(words) == count,
        "The directory is damaged: its CRC-32 or its size is wrong",
    )
    directory = dict(zip(DIRECTORY_WORDS, words, strict=False))
    _check(
        directory["sections"] == len(Section),
        f"The directory has {directory['sections']} sections, not {len(Section)}",
    )
    entries = np.array(words[len(DIRECTORY_WORDS) : -1]).reshape(-1, len(ENTRY_WORDS))
    return directory, entries.tolist()


def _check_sizes(directory, sections):
    shape = [directory[f"image_{axis}"] for axis in ("height", "width", "channels")]
    pixels = shape[0] * shape[1] * shape[2]
    image, classes = directory["image_bytes"], directory["classes"]
    _check(
        image == pixels + -pixels % 4 and pixels > 0,
        f"Images of {shape[0]} x {shape[1]} x {shape[2]} bytes do not take {image}",
    )
    _check(directory["golden"] > 0 and classes > 0, "There is no golden vector, or no class")
    window = directory["window"]
    _check(window in (1, 2), f"{window} CLASSIFY requests under way at once: 1 or 2 are possible")
    for section, size in (
        (Section.HEADS, 4 * LAYER_WORDS * len(Head)),
        (Section.LAYERS, 4 * LAYER_WORDS * (directory["classifier_layer"] + 1)),
        (Section.GOLDEN_IMAGES, image * directory["golden"]),
        (Section.GOLDEN_LOGITS, 4 * classes * directory["golden"]),
        (Section.DEMO_IMAGES, image * directory["demo"]),
        (Section.NAMES, LABEL_BYTES * classes),
    ):
        _check(
            len(sections[section]) == size,
            f"{_title(section)} has {len(sections[section])} bytes, not {size}",
        )


def _check_heads(directory, sections):
    entry = sections[Section.HEADS][: 4 * LAYER_WORDS]
    _check(
        sections[Section.LAYERS].endswith(entry),
        "The layer table does not end with the first of the heads",
    )
    features = directory["features"]
    for name, section, size in (
        ("learned_weights", Section.WEIGHTS, MAX_LEARNED * features),
        ("learned_parameters", Section.PARAMETERS, 8 * MAX_LEARNED),
    ):
        first = directory[name] - target(section)
        inside = first >= 0 and first + size <= len(sections[section])
        _check(
            inside if features else directory[name] == 0,
            f"{name} is {directory[name]:#x}: outside of what {_title(section)} fills",
        )


def _check_copies(data):
    first, second = (data[start : start + COPY_DISTANCE] for start in FIRMWARE_COPIES)
    for number, copy in enumerate((first, second), 1):
        _check(len(_content(copy)) > 0, f"Copy {number} of the firmware is erased")
        _check(
            zlib.crc32(copy[:FIRMWARE_BYTES]) == CRC_RESIDUE,
            f"Copy {number} of the firmware is damaged: its CRC-32 is wrong",
        )
    _check(first == second, "The copies of the firmware differ")


def _parts(whole, offset, directory, entries):
    """Parts of an image, with their places in the flash."""
    data = whole[offset:]
    named = [
        *(
            (f"Firmware, copy {number}", start, COPY_DISTANCE)
            for number, start in enumerate(FIRMWARE_COPIES, 1)
        ),
        *(
            (f"Learned classes, slot {number}", start, LEARNED_BYTES)
            for number, start in enumerate(LEARNED_SLOTS, 1)
        ),
    ]
    contents = [("Bitstream", BITSTREAM - offset, _content(whole[: offset + BITSTREAM_BYTES]))]
    contents += [(name, start, _content(data[start : start + size])) for name, start, size in named]
    for kind, start, size, _, _ in entries:
        name = Section(kind).name.replace("_", " ").capitalize()
        contents.append((name, start, data[start : start + size]))
    parts = [
        Part(name=name, offset=offset + start, size=len(content), crc=zlib.crc32(content))
        for name, start, content in contents
    ]
    size = directory["bytes"]
    crc = _last_word(data[DIRECTORY:][:size])
    parts.append(Part(name="Directory", offset=offset + DIRECTORY, size=size, crc=crc))
    return tuple(sorted(parts, key=lambda part: part.offset))


def _content(data):
    """Without the erased bytes at the end, in whole words."""
    size = len(data.rstrip(bytes([ERASED])))
    return data[: size + -size % 4]


def _images(data, count, shape):
    pixels = shape[0] * shape[1] * shape[2]
    padded = np.frombuffer(data, np.uint8).reshape(count, pixels + -pixels % 4)
    return padded[:, :pixels].reshape(count, *shape)


def _bytes_of(directory, name):
    return struct.pack("<8I", *(directory[f"{name}{word}"] for word in range(8)))


def _read_text(what, data):
    try:
        return data.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise FlashImageError(f"{what} is not UTF-8: {data!r}") from None


def _title(section):
    return f"Section {section.name}"


def _last_word(data):
    return struct.unpack_from("<I", data, len(data) - 4)[0]
