"""What lies where in the flash, and what the directory says. The one place that says so.

Places count from the family's `flash_offset` on, where the device's own addresses begin; the
bitstream alone begins before, at the flash's first byte.

`firmware.flash_image` writes it, the firmware reads it (by the C header that `firmware.header`
makes), `docs/flash-image.md` describes it.
"""

from enum import IntEnum

from hw.capability import Capability
from hw.compile.heads import Head
from hw.families import find_family

__all__ = [
    "BITSTREAM",
    "BITSTREAM_BYTES",
    "DIRECTORY",
    "DIRECTORY_BYTES",
    "DIRECTORY_WORDS",
    "ENTRY_WORDS",
    "FORMAT_VERSION",
    "LEARNED_BYTES",
    "LEARNED_MAGIC",
    "LEARNED_SLOTS",
    "LEARNED_VERSION",
    "LEARNED_WORDS",
    "MAGIC",
    "SECTIONS",
    "SECTOR_BYTES",
    "Head",
    "Section",
    "flash_offset",
    "learned_version",
]

SECTOR_BYTES = 4096
"""What the flash erases at once (W25Q128JV, section 8.2.14)."""

BITSTREAM = 0
BITSTREAM_BYTES = 0x2_0000
"""Room for the bitstream behind the offset; copies of the firmware follow (`hw.soc.addresses`)."""

DIRECTORY = 0x2_8000
DIRECTORY_BYTES = SECTOR_BYTES

LEARNED_SLOTS = (0x2_9000, 0x2_C000)
LEARNED_BYTES = 3 * SECTOR_BYTES
"""Two places for the learned classes, written in turn."""

SECTIONS = 0x3_0000
"""Sections of the network begin here, each at a sector."""

MAGIC = 0x464E_5344
"""DSNF, of the directory."""

FORMAT_VERSION = 2
"""Of everything that this module says, but for the slots' content. Under every number the directory
begins with magic, version and its bytes, and ends with their CRC-32. 2: a copy of the firmware is
all code, of a fixed length, checked by the hardware; in 1 it began with a program that did so."""

LEARNED_VERSION = 1
"""Of a slot's layout, and of what features and sums mean."""

_FIRST_LEARNED_MAGIC, _LEARNED_VERSIONS = 0x4C4E_5344, 15

LEARNED_MAGIC = _FIRST_LEARNED_MAGIC + (LEARNED_VERSION - 1 << 24)
"""Of a slot of learned classes: DSN and a letter, L for version 1, M for version 2, up to Z. So
firmware knows no slot but those of its own version."""

LEARNED_WORDS = (
    "magic",
    "sequence",  # of two sound slots, the one of the larger number counts
    "network_hash0",  # as in the directory
    "network_hash1",
    "classes",
    "features",
)
"""A slot's first words; for each class its label (16 bytes), its number of images, its sums (u32 a
feature) follow, then the CRC-32 of all before."""


def flash_offset(capability: Capability) -> int:
    """Bytes of the flash before the device's own addresses."""
    return find_family(capability.family).flash_offset


def learned_version(magic: int) -> int | None:
    """The version of a slot that begins with this word; None: it is no slot."""
    version = (magic - _FIRST_LEARNED_MAGIC >> 24) + 1
    rest = magic - _FIRST_LEARNED_MAGIC & 0xFF_FFFF
    return version if rest == 0 and 1 <= version <= _LEARNED_VERSIONS else None


DIRECTORY_WORDS = (
    "magic",
    "format_version",
    "bytes",  # of the directory, its CRC-32 at the end included
    "map_version",  # hw.register_map.REGISTER_MAP.version
    "capability_crc",  # CRC-32 of the capability registers ARRAY to LOGIT_WORDS, as bytes
    *(f"network_hash{word}" for word in range(8)),  # SHA-256 of the network file
    *(f"network_name{word}" for word in range(8)),  # UTF-8, filled with zero bytes
    "image_bytes",  # of one image, a multiple of 4
    "image_height",
    "image_width",
    "image_channels",
    "classes",
    "features",  # channels of the classifier's input; 0: this network cannot learn
    "group_size",  # of the classifier's input
    "reach",  # largest sum of one feature: pixels of the classifier's input x largest value
    "classifier_layer",  # its index: where a head's entry is written
    "learned_weights",  # byte address of the weights of the learned head
    "learned_parameters",  # byte address of its parameters, which the features' head shares
    "window",  # CLASSIFY requests under way at once: 2 if the next image may come during a frame
    "golden",  # vectors
    "demo",  # images
    "sections",  # entries that follow
)
"""The directory's words, in order; then the entries of sections, then its CRC-32."""

ENTRY_WORDS = ("kind", "offset", "bytes", "crc", "target")
"""An entry: `Section`, flash address, bytes (a multiple of 4), CRC-32, and the byte address on the
bus that it is copied to (0: none)."""


class Section(IntEnum):
    """Kinds of sections."""

    WEIGHTS = 1
    """Weight words of the network and of all heads, with zeros for the learned head's."""
    PARAMETERS = 2
    """Parameter words, likewise."""
    LAYERS = 3
    """Layer table; the classifier's entry is that of `Head.CLASSES`."""
    HEADS = 4
    """The classifier's layer table entries for each `Head`, one word for each 16 bits."""
    GOLDEN_IMAGES = 5
    GOLDEN_LOGITS = 6
    """i32 a class, for each golden image."""
    DEMO_IMAGES = 7
    NAMES = 8
    """Names of the classes, 16 bytes each."""
