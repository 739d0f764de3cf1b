"""Where things lie: the processor's memory, and what the flash holds from which address on."""

import zlib
from dataclasses import dataclass

from hw.capability import SLICE_BITS, Capability
from hw.register_map import REGISTER_MAP

__all__ = [
    "COPY_DISTANCE",
    "FIRMWARE_BYTES",
    "FIRMWARE_COPIES",
    "FLASH_BASE",
    "FLASH_SIZE",
    "Memory",
    "firmware_copy",
    "processor_memory",
]

FLASH_BASE = 0x0100_0000
"""Byte address at which the processor reads the flash."""

FLASH_SIZE = 0x0100_0000
"""Bytes that 24 bits of flash address reach."""

FIRMWARE_BYTES = 0x2000
"""Bytes of a copy of the firmware, that the hardware loads to the start of the processor's memory;
the last 4 are the CRC-32 of the others."""

COPY_DISTANCE = 0x4000
"""Bytes between the copies; a power of two, since one address bit chooses between them."""

FIRMWARE_COPIES = (0x02_0000, 0x02_0000 + COPY_DISTANCE)
"""Flash addresses of both copies."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The processor's memory: byte address of its start, and its bytes."""

    start: int
    size: int


def processor_memory(capability: Capability) -> Memory:
    """Where the processor's memory lies: behind the networks' weights, in the weight window.

    Raises `ValueError` if the capability has none, or less than a firmware slot and as much again
    for data.
    """
    word = capability.lanes * SLICE_BITS // 8
    memory = Memory(
        start=REGISTER_MAP.window("WEIGHTS").base + capability.weight_words * word,
        size=capability.processor_words * word,
    )
    if memory.size < 2 * FIRMWARE_BYTES:
        raise ValueError(
            f"The processor's memory must have at least {2 * FIRMWARE_BYTES} bytes, "
            f"not {memory.size}"
        )
    return memory


def firmware_copy(code: bytes) -> bytes:
    """A copy of the firmware as the flash holds it: code, erased bytes, and their CRC-32.

    The first instruction is the code's first word. Raises `ValueError` if it is too long.
    """
    room = FIRMWARE_BYTES - 4
    if len(code) > room:
        raise ValueError(f"The firmware must have at most {room} bytes, not {len(code)}")
    filled = code.ljust(room, b"\xff")
    return filled + zlib.crc32(filled).to_bytes(4, "little")
