"""Small RV32I programs for the simulated board, assembled by the C compiler of `ziglang`."""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

from hw.boards import find_board
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import FIRMWARE_COPIES, FLASH_BASE, firmware_copy, processor_memory

__all__ = ["MEMORY", "PRELUDE", "assemble", "image"]

MEMORY = processor_memory(find_board("icebreaker").capability)

# Symbols: NAME is a register's address, NAME_FIELD a field's lowest bit as a mask.
_SYMBOLS = {
    "FLASH_BASE": FLASH_BASE,
    "MEMORY": MEMORY.start,
    "MEMORY_END": MEMORY.start + MEMORY.size,
}
for _register in REGISTER_MAP.registers:
    _SYMBOLS[_register.name] = _register.offset
    for _field in _register.fields:
        _SYMBOLS[f"{_register.name}_{_field.name}"] = 1 << _field.low

PRELUDE = (
    ".option norvc\n.option norelax\n"
    + "".join(f".equ {name}, {value:#x}\n" for name, value in _SYMBOLS.items())
    + """
.macro put register, value          # store a constant in a register of the SoC
  li t5, \\value
  sw t5, \\register(zero)
.endm
.macro send byte                    # send the byte in a register
8: lw t5, UART(zero)
  andi t5, t5, UART_READY
  beqz t5, 8b
  addi t5, \\byte, UART_SEND
  sw t5, UART(zero)
.endm
.macro print character
  li t4, \\character
  send t4
.endm
.macro word value                   # send four bytes of a register, the lowest first
  mv t3, \\value
  .rept 4
  andi t4, t3, 0xFF
  send t4
  srli t3, t3, 8
  .endr
.endm
.globl _start
_start:
"""
)


@functools.cache
def assemble(text: str) -> bytes:
    """Machine code for the start of the processor's memory."""
    with tempfile.TemporaryDirectory() as folder:
        source, linked, code = (Path(folder) / name for name in ("p.S", "p.elf", "p.bin"))
        source.write_text(PRELUDE + text, "utf-8")
        zig = [sys.executable, "-m", "ziglang"]
        subprocess.run(
            [*zig, "cc", "-target", "riscv32-freestanding-none", "-nostdlib",
             "-mcpu=generic_rv32-a-c-d-f-m",
             f"-Wl,--image-base={MEMORY.start:#x}", source, "-o", linked],
            check=True,
        )  # fmt: skip
        subprocess.run([*zig, "objcopy", "-O", "binary", linked, code], check=True)
        return code.read_bytes()


def image(first: str, second: str | None = None, parts: dict[int, bytes] | None = None) -> bytes:
    """A flash with a program as each copy of the firmware (None: none there), and other parts by
    address."""
    pieces = dict(parts or {})
    for place, text in zip(FIRMWARE_COPIES, (first, second), strict=True):
        if text is not None:
            pieces[place] = firmware_copy(assemble(text))
    flash = bytearray(b"\xff" * max(place + len(piece) for place, piece in pieces.items()))
    for place, piece in pieces.items():
        flash[place : place + len(piece)] = piece
    return bytes(flash)
