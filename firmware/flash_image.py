"""Packs the flash image: bitstream, firmware, network and pictures in the one file of a board.

As `firmware.layout` says and `docs/flash-image.md` explains. `firmware.flash_parse` reads one back.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from firmware.bitstream import check_bitstream
from firmware.flash_parse import (
    ERASED,
    SECTION_BYTES,
    FlashImage,
    FlashImageError,
    Part,
    parse,
    target,
)
from firmware.layout import (
    BITSTREAM,
    BITSTREAM_BYTES,
    DIRECTORY,
    DIRECTORY_WORDS,
    ENTRY_WORDS,
    FORMAT_VERSION,
    MAGIC,
    SECTIONS,
    SECTOR_BYTES,
    Section,
    flash_offset,
)
from firmware.protocol import LABEL_BYTES
from firmware.versions import capability_crc
from hw.capability import Capability
from hw.compile.heads import DevicePlan, Head, make_device_plan
from hw.compile.plan import Plan
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import FIRMWARE_BYTES, FIRMWARE_COPIES
from hw.soc.stream import CRC_RESIDUE
from model.common.errors import UserError
from model.network import Network

__all__ = [
    "GOLDEN_VECTORS",
    "MOST_DEMO",
    "FlashImage",
    "FlashImageError",
    "Part",
    "make_flash_image",
    "parse",
]

GOLDEN_VECTORS = 4
"""Golden vectors taken over from the network file, at most: the self-test of each start."""

MOST_DEMO = 64
"""Pictures of the stand-alone mode, at most."""

_NAME_BYTES = 32


def make_flash_image(
    *,
    bitstream: bytes | None,
    copy: bytes,
    network: Network,
    capability: Capability,
    demo: Sequence[bytes],
    own: Plan | None = None,
) -> FlashImage:
    """Pack a flash image. The same input gives the same bytes.

    Parameters
    ----------
    bitstream : bytes
        As the family's packer makes it, for iCE40 `icepack -s`; None: its place stays erased, as a
        simulated board needs none.
    copy : bytes
        One copy of the firmware, its CRC-32 included (`firmware.compile`).
    network : Network
        As loaded from its file, with golden vectors.
    capability : Capability
        Of the bitstream.
    demo : sequence of bytes
        Pictures for the stand-alone mode: height x width x channels bytes each.
    own : Plan or None
        The network's plan for this capability, where a build made it already.

    Raises
    ------
    UserError
        Something does not fit, or is missing.
    ValueError
        The network was never saved, or `own` is another's.
    """
    if network.sha256 is None:
        raise ValueError("The network must come from its file, whose SHA-256 names it")
    if network.golden is None:
        raise UserError(
            f"Network {network.name!r} has no golden vectors to test the device with: make them "
            "with `python -m model.golden FILE --output FILE`"
        )
    offset = flash_offset(capability)
    _check_programs(bitstream, copy, capability)
    _check_demo(network, demo)
    plan = make_device_plan(network, capability, own)
    golden = network.golden
    sections = _sections(plan, golden, demo)
    data = bytearray([ERASED]) * SECTIONS
    for start in FIRMWARE_COPIES:
        _put(data, start, copy)
    entries = []
    for kind, content in sections.items():
        if len(content) > SECTION_BYTES:
            raise UserError(
                f"Section {kind.name} of {len(content)} bytes cannot be loaded: the device moves "
                f"at most {SECTION_BYTES} at once"
            )
        entries.append((kind, len(data), len(content), zlib.crc32(content), target(kind)))
        data += content + bytes([ERASED]) * (-len(content) % SECTOR_BYTES)
    counts = {"golden": min(GOLDEN_VECTORS, len(golden.images)), "demo": len(demo)}
    _put(data, DIRECTORY, _directory(plan, network.sha256, counts, entries))
    data[:0] = bytes([ERASED]) * offset
    _put(data, BITSTREAM, bitstream or b"")
    return replace(
        parse(bytes(data), capability), why_not=plan.why_not, plan=plan.plans[Head.CLASSES]
    )


def _check_programs(bitstream, copy, capability):
    if bitstream is not None:
        room = flash_offset(capability) + BITSTREAM_BYTES
        if len(bitstream) > room:
            raise UserError(
                f"The bitstream has {len(bitstream)} bytes, the flash has room for {room}"
            )
        check_bitstream(bitstream, capability.family)
    if len(copy) != FIRMWARE_BYTES:
        raise UserError(f"A copy of the firmware has {FIRMWARE_BYTES} bytes, not {len(copy)}")
    if zlib.crc32(copy) != CRC_RESIDUE:
        raise UserError(
            "The copy of the firmware is damaged: its last 4 bytes are not the CRC-32 of the others"
        )


def _check_demo(network, demo):
    size = math.prod(network.input_shape)
    most = min(MOST_DEMO, SECTION_BYTES // (size + -size % 4))
    if len(demo) > most:
        raise UserError(f"{len(demo)} demo pictures are too many: the flash holds at most {most}")
    largest = 2**network.input_bits - 1
    for number, picture in enumerate(demo):
        if len(picture) != size:
            raise UserError(
                f"Demo picture {number} has {len(picture)} bytes, the network's input {size}"
            )
        if max(picture) > largest:
            raise UserError(
                f"Demo picture {number} has the value {max(picture)}, the network's input goes "
                f"to {largest}"
            )


def _sections(plan, golden, demo):
    images = [frame.astype(np.uint8).tobytes() for frame in golden.images[:GOLDEN_VECTORS]]
    return {
        Section.WEIGHTS: _words(plan.weights),
        Section.PARAMETERS: _words(plan.parameters),
        Section.LAYERS: _words(plan.layers),
        Section.HEADS: _words(plan.heads),
        Section.GOLDEN_IMAGES: b"".join(_padded(image) for image in images),
        Section.GOLDEN_LOGITS: golden.logits[:GOLDEN_VECTORS].astype("<i4").tobytes(),
        Section.DEMO_IMAGES: b"".join(_padded(bytes(picture)) for picture in demo),
        Section.NAMES: b"".join(_text(name, LABEL_BYTES) for name in plan.network.classes),
    }


def _directory(plan: DevicePlan, sha256: str, counts: dict, entries: list) -> bytes:
    network = plan.network
    height, width, channels = network.input_shape
    digest = struct.unpack("<8I", bytes.fromhex(sha256))
    name = struct.unpack("<8I", _text(network.name, _NAME_BYTES))
    values = {
        "magic": MAGIC,
        "format_version": FORMAT_VERSION,
        "bytes": 4 * (len(DIRECTORY_WORDS) + len(ENTRY_WORDS) * len(entries) + 1),
        "map_version": REGISTER_MAP.version,
        "capability_crc": capability_crc(plan.capability),
        **{f"network_hash{index}": word for index, word in enumerate(digest)},
        **{f"network_name{index}": word for index, word in enumerate(name)},
        "image_bytes": height * width * channels + -(height * width * channels) % 4,
        "image_height": height,
        "image_width": width,
        "image_channels": channels,
        "classes": len(network.classes),
        "features": plan.features,
        "group_size": plan.group_size,
        "reach": plan.reach,
        "classifier_layer": plan.classifier_layer,
        "learned_weights": plan.learned_weights,
        "learned_parameters": plan.learned_parameters,
        "window": plan.window,
        **counts,
        "sections": len(entries),
    }
    body = _words([values[word] for word in DIRECTORY_WORDS])
    body += b"".join(_words(entry) for entry in entries)
    return body + struct.pack("<I", zlib.crc32(body))


def _put(data, start, content):
    data[start : start + len(content)] = content


def _words(words):
    return np.asarray(words).astype("<u4").tobytes()


def _padded(content):
    return content + bytes(-len(content) % 4)


def _text(text, size):
    """UTF-8 in `size` bytes, cut between characters so that a zero byte ends it."""
    shown = "".join(one if one.isprintable() else "?" for one in text)
    cut = shown.encode()[: size - 1].decode(errors="ignore")
    return cut.encode().ljust(size, b"\0")
