"""Old meets new: which of two sides is the older one, and so what to renew (`docs/versions.md`)."""

import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from firmware.layout import (
    DIRECTORY,
    DIRECTORY_BYTES,
    DIRECTORY_WORDS,
    FORMAT_VERSION,
    LEARNED_SLOTS,
    LEARNED_VERSION,
    LEARNED_WORDS,
    MAGIC,
    learned_version,
)
from firmware.messages import FLASH_ANEW, IMAGE_ANEW, RENEW_PROGRAM, explain_boot_error
from firmware.protocol import BootError
from hw.bus.registers import version_text
from hw.capability import Capability
from hw.register_map import REGISTER_MAP
from hw.soc.accelerator_registers import capability_words
from hw.soc.addresses import FLASH_BASE
from model.common.errors import UserError

if TYPE_CHECKING:
    from firmware.client import Device

__all__ = [
    "FlashImageError",
    "capability_crc",
    "check_versions",
    "compare",
    "explain_boot",
    "ignored_lesson",
    "sound_directory",
]

_HEAD_WORDS = DIRECTORY_WORDS.index("map_version") + 1
_LEAST_DIRECTORY = 4 * (DIRECTORY_WORDS.index("bytes") + 2)  # with its CRC-32
_TEACH_ANEW = "teach it anew with `learn`"


class FlashImageError(UserError):
    """A flash image that is not sound. The text says which part is wrong, and how."""


def capability_crc(capability: Capability) -> int:
    """CRC-32 of the registers ARRAY to LOGIT_WORDS, as the device with it has them."""
    words = list(capability_words(capability).values())
    return zlib.crc32(struct.pack(f"<{len(words)}I", *words))


def compare(
    what: str,
    held: int,
    ours: int,
    *,
    older: str,
    newer: str = RENEW_PROGRAM,
    than: str = "this program's",
    text: Callable[[int], str] = str,
) -> str:
    """The line that says which of two different versions is the older one, and what to do.

    Parameters
    ----------
    what : str
        Begins the line, up to the number: "The flash image has format version".
    held, ours : int
        The number found, and the one it is compared with. Greater is newer.
    older, newer : str
        What mends it where `held` is the older or the newer one.
    than : str
        Whose `ours` is.
    text : callable
        How a number is written.
    """
    side, mend = ("older", older) if held < ours else ("newer", newer)
    return f"{what} {text(held)}, {side} than {than} {text(ours)}: {mend}"


def check_versions(
    data: bytes, capability: Capability | None = None, *, what: str = "The flash image"
) -> None:
    """Raise `FlashImageError` if the directory in `data`, called `what`, is sound but of another
    format version than this program's, or for another register map or capability.

    What holds no sound directory passes: it is damaged, or no flash image.
    """
    head = dict(zip(DIRECTORY_WORDS, sound_directory(data) or (), strict=False))
    numbers = (
        ("format_version", FORMAT_VERSION, "has format version", str),
        ("map_version", REGISTER_MAP.version, "was made for register map", version_text),
    )
    for name, ours, is_, text in numbers:
        held = head.get(name, ours)
        if held != ours:
            line = compare(f"{what} {is_}", held, ours, older=IMAGE_ANEW, text=text)
            raise FlashImageError(line)
    if capability is not None:
        ours = capability_crc(capability)
        if head.get("capability_crc", ours) != ours:
            raise FlashImageError(
                f"{what} was made for hardware of another capability: {IMAGE_ANEW}"
            )


def sound_directory(data: bytes) -> tuple[int, ...] | None:
    """The words of a directory of any version; None if there is none, or a damaged one."""
    block = data[DIRECTORY : DIRECTORY + DIRECTORY_BYTES]
    if len(block) < _LEAST_DIRECTORY:
        return None
    magic, _, size = struct.unpack_from("<3I", block)
    if magic != MAGIC or size % 4 or not _LEAST_DIRECTORY <= size <= len(block):
        return None
    if zlib.crc32(block[: size - 4]) != int.from_bytes(block[size - 4 : size], "little"):
        return None
    return struct.unpack_from(f"<{size // 4}I", block)


def explain_boot(device: "Device") -> str:
    """What a device's boot error means. Where versions differ, the directory in its flash is read
    to tell which side is older."""
    info = device.info
    general = explain_boot_error(info.boot_error)
    if info.boot_error not in (BootError.FORMAT, BootError.HARDWARE):
        return general
    words = device.read(FLASH_BASE + DIRECTORY, _HEAD_WORDS)
    head = dict(zip(DIRECTORY_WORDS, words, strict=False))
    if head["magic"] != MAGIC:
        return general
    if info.boot_error == BootError.HARDWARE:
        held = head["map_version"]
        if held == info.map_version:
            return general
        return compare(
            "the flash image was made for register map",
            held,
            info.map_version,
            older=FLASH_ANEW,
            newer=FLASH_ANEW,
            than="the bitstream's",
            text=version_text,
        )
    held = head["format_version"]
    if held == FORMAT_VERSION:
        return (
            f"the network in flash has format version {held}, as this program's, but the firmware "
            f"beside it knows another one: {FLASH_ANEW}"
        )
    return compare(
        "the network in flash has format version",
        held,
        FORMAT_VERSION,
        older=FLASH_ANEW,
        newer=f"{RENEW_PROGRAM}, then {FLASH_ANEW}",
    )


def ignored_lesson(device: "Device") -> str | None:
    """Why a device does not use what its flash holds of earlier lessons; None where it does, or
    where there is nothing.

    Of a slot of another version, only the magic is believed.
    """
    info = device.info
    if not info.ready or info.learned:
        return None
    network = [info.words[f"network_hash{word}"] for word in range(2)]
    foreign = None
    for start in LEARNED_SLOTS:
        words = device.read(FLASH_BASE + start, len(LEARNED_WORDS))
        slot = dict(zip(LEARNED_WORDS, words, strict=True))
        version = learned_version(slot["magic"])
        if version is None:
            continue
        told = "The lesson saved on the board is ignored: it"
        if version != LEARNED_VERSION:
            foreign = compare(
                f"{told} has version", version, LEARNED_VERSION, older=_TEACH_ANEW,
                newer=_TEACH_ANEW,
            )  # fmt: skip
            continue
        owner = [slot["network_hash0"], slot["network_hash1"]]
        if owner == network:
            return None
        if slot["classes"]:
            first = b"".join(word.to_bytes(4, "little") for word in owner).hex()
            foreign = foreign or (
                f"{told} belongs to another network ({first[:12]}, not {info.network_hash[:12]}): "
                f"{_TEACH_ANEW}"
            )
    return foreign
