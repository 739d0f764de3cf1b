"""Where things lie: the processor's memory, and what the flash holds from which address on."""

from dataclasses import dataclass

from hw.capability import SLICE_BITS, Capability
from hw.regmap import REGISTER_MAP

__all__ = [
    "COPY_DISTANCE",
    "FIRMWARE_BYTES",
    "FIRMWARE_COPIES",
    "FLASH_BASE",
    "FLASH_SIZE",
    "Memory",
    "processor_memory",
]

FLASH_BASE = 0x0100_0000
"""Byte address at which the processor reads the flash."""

FLASH_SIZE = 0x0100_0000
"""Bytes that 24 bits of flash address reach."""

FIRMWARE_BYTES = 0x2000
"""Most bytes of the firmware in the processor's memory, with 4 bytes of CRC-32 at their end."""

COPY_DISTANCE = 0x4000
"""Bytes between the copies; a power of two, since one address bit chooses between them."""

FIRMWARE_COPIES = (0x02_0000, 0x02_0000 + COPY_DISTANCE)
"""Flash addresses of both copies: the program that starts it, then the firmware."""


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
