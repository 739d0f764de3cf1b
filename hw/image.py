"""The weights image: what a host loads into the accelerator before the first inference.

A small binary file with one section per memory region of the plan. All numbers are little-endian
and unsigned, 32 bits unless said otherwise; the format is documented in ``docs/building.md``.
"""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from model.errors import UserError

__all__ = ["IMAGE_VERSION", "ImageError", "describe_image", "pack_image", "unpack_image"]

MAGIC = b"DHAMWIMG"
IMAGE_VERSION = 1
_HEADER = struct.Struct("<8sII32s")  # magic, version, regions, SHA-256 of the network
_REGION = struct.Struct("<16sIII")  # name, offset in bytes, 32-bit words, CRC-32 of the data
_CRC = struct.Struct("<I")


class ImageError(UserError):
    """A weights image that is not sound. The text says which check failed."""


def pack_image(regions: Mapping[str, Sequence[int] | np.ndarray], network_sha256: str) -> bytes:
    """The image of these regions: name (up to 16 ASCII characters) to 32-bit words."""
    offset = _HEADER.size + len(regions) * _REGION.size + _CRC.size
    table, data = [], []
    for name, words in regions.items():
        encoded = name.encode("ascii")
        if not 1 <= len(encoded) <= 16:
            raise ValueError(f"Region name must be 1 to 16 characters long, not {name!r}")
        block = np.asarray(words, dtype="<u4").tobytes()
        table.append(_REGION.pack(encoded, offset, len(block) // 4, zlib.crc32(block)))
        data.append(block)
        offset += len(block)
    head = _HEADER.pack(MAGIC, IMAGE_VERSION, len(regions), bytes.fromhex(network_sha256))
    head += b"".join(table)
    return head + _CRC.pack(zlib.crc32(head)) + b"".join(data)


def unpack_image(image: bytes) -> tuple[dict[str, np.ndarray], str]:
    """The regions of an image, and the SHA-256 of the network that it was made from.

    Raises `ImageError` for a foreign, newer, truncated or corrupt image.
    """
    if image[:8] != MAGIC:
        raise ImageError("Not a weights image: the first 8 bytes are not its magic number")
    if len(image) < _HEADER.size:
        raise ImageError("The weights image is truncated in its header")
    _, version, count, sha256 = _HEADER.unpack_from(image)
    if version != IMAGE_VERSION:
        raise ImageError(
            f"The weights image has version {version}, but version {IMAGE_VERSION} is understood"
        )
    end = _HEADER.size + count * _REGION.size
    if len(image) < end + _CRC.size:
        raise ImageError("The weights image is truncated in its table of regions")
    if _CRC.unpack_from(image, end)[0] != zlib.crc32(image[:end]):
        raise ImageError("The weights image is corrupt: the checksum of its header differs")
    regions = {}
    for index in range(count):
        padded, offset, words, crc = _REGION.unpack_from(image, _HEADER.size + index * _REGION.size)
        name = padded.rstrip(b"\0").decode("ascii")
        block = image[offset : offset + 4 * words]
        if len(block) < 4 * words:
            raise ImageError(f"The weights image is truncated in its region {name!r}")
        if zlib.crc32(block) != crc:
            raise ImageError(f"The weights image is corrupt: the checksum of {name!r} differs")
        regions[name] = np.frombuffer(block, dtype="<u4")
    return regions, sha256.hex()


def describe_image(image: bytes) -> str:
    """The image's table as JSON, for people and for programs that need not read the binary."""
    regions, sha256 = unpack_image(image)
    offset = _HEADER.size + len(regions) * _REGION.size + _CRC.size
    table = []
    for name, words in regions.items():
        block = words.tobytes()
        crc = zlib.crc32(block)
        table.append({"name": name, "offset": offset, "words": len(words), "crc32": f"{crc:08x}"})
        offset += len(block)
    described = {"version": IMAGE_VERSION, "network_sha256": sha256, "regions": table}
    return json.dumps(described, indent=2) + "\n"
