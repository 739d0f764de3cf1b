"""The register map: where each register lies that the processor sees.

What a register holds is described beside its peripheral, in `hw/soc/NAME_registers.py`. The
hardware (`hw.soc.accelerator`, `hw.soc`), the host tool (`firmware`), the C header, the SVD,
LiteX's csr.csv and `docs/registers.md` all derive from `REGISTER_MAP`; nothing is typed twice.
"""

from hw.bus.registers import RegisterMap
from hw.capability import Capability
from hw.soc import accelerator_registers as accelerator
from hw.soc import boot_registers as boot
from hw.soc import flash_registers as flash
from hw.soc import soc_registers as soc
from hw.soc import stream_registers as stream
from hw.soc.accelerator_registers import capability_words

__all__ = ["ENGINE_MAP", "REGISTER_MAP", "SOC_MAP", "constant_words"]

MAJOR, MINOR = 2, 1
"""Version of the map. Under another major number an old host misreads the device; a larger minor
number only adds."""

_SOC_BASE = 0x80
_PLACES = {
    0x00: accelerator.ID,
    0x04: accelerator.VERSION,
    0x08: accelerator.CLOCK_HZ,
    0x0C: accelerator.ARRAY,
    0x10: accelerator.RECORD,
    0x14: accelerator.ARITHMETIC,
    0x18: accelerator.GEOMETRY,
    0x1C: accelerator.WEIGHT_WORDS,
    0x20: accelerator.ACTIVATION_WORDS,
    0x24: accelerator.PARAMETER_WORDS,
    0x28: accelerator.LAYER_ENTRIES,
    0x2C: accelerator.IMAGE_BYTES,
    0x30: accelerator.LOGIT_WORDS,
    0x40: accelerator.CONTROL,
    0x44: accelerator.STATUS,
    0x48: accelerator.STOP_AFTER,
    0x4C: accelerator.CLASS,
    0x54: accelerator.CYCLES,
    0x80: boot.TIMER,
    0x84: soc.LEDS,
    0x88: soc.BUTTONS,
    0x8C: boot.BOOT,
    0x90: soc.UART,
    0x94: stream.STREAM,
    0x98: stream.CRC,
    0x9C: stream.CRC_FEED,
    0xA0: stream.DMA_TARGET,
    0xA4: stream.DMA,
    0xA8: stream.DMA_STATUS,
    0xAC: flash.FLASH,
}

REGISTER_MAP = RegisterMap(
    name="DHAM",
    doc="Accelerator of deep hetero-associative memories",
    version=MAJOR << 16 | MINOR,
    registers=tuple(register.at(offset) for offset, register in _PLACES.items()),
    windows=accelerator.WINDOWS,
    constants={"IDENTITY": accelerator.IDENTITY, "STOP_NEVER": accelerator.STOP_NEVER},
)


ENGINE_MAP = REGISTER_MAP.part(0, _SOC_BASE)
"""The registers of the accelerator: all that a device without a processor has."""

SOC_MAP = REGISTER_MAP.part(_SOC_BASE, 2 * _SOC_BASE)
"""The registers of what is around it, from offset 0 of their own."""


def constant_words(*, capability: Capability, clock_hz: int) -> dict[str, int]:
    """Dict of register name to word, of every constant register of a device.

    Parameters
    ----------
    capability : Capability
        What the engine is built for.
    clock_hz : int
        Its clock, Hz.
    """
    return {
        "ID": accelerator.IDENTITY,
        "VERSION": REGISTER_MAP.version,
        "CLOCK_HZ": accelerator.CLOCK_HZ.pack(clock_hz=clock_hz),
        **capability_words(capability),
    }
