"""The C header of constants, and the linker script, of the program that runs on the device.

Nothing is typed twice: registers come from `hw.register_map`, the memory from `hw.soc.addresses`,
widths from the capability, numbers of the protocol and of the flash from `firmware.protocol`,
`firmware.frames` and `firmware.layout`.

`python -m firmware.header --board icebreaker [--output FILE]`
"""

from pathlib import Path

from firmware import frames, layout, protocol
from hw.boards import BOARDS, DEFAULT_BOARD, find_board
from hw.bus.export import to_c
from hw.capability import Capability
from hw.layer_entry import ENTRY_WORDS as LAYER_WORDS
from hw.register_map import REGISTER_MAP
from hw.soc.accelerator import ADDRESS_WIDTH
from hw.soc.addresses import FLASH_BASE, processor_memory
from hw.soc.stream import CRC_RESIDUE
from hw.soc.stream_registers import COUNT_BITS
from model.common.errors import Parser, UserError, run_cli
from model.common.files import check_output, write_or_print

__all__ = [
    "FIRMWARE_VERSION",
    "LANES",
    "STACK_BYTES",
    "c_header",
    "check_capability",
    "firmware_script",
]

FIRMWARE_VERSION = (1, 0)
"""Major and minor version, as INFO and the banner tell them."""

LANES = 16
"""Lanes of the engines that the firmware knows: 8 weights of 8 bits in a weight word."""

STACK_BYTES = 512
"""Bytes that are kept free for the stack: on the simulated board, all commands took at most 320."""

_LEAST_LEARNED_BYTES = 4096
"""Least bytes that are left for learned classes."""

_GP_OFFSET = 0x400
"""From the data's start to where gp points: code right before it is in its reach, too."""


def check_capability(capability: Capability) -> None:
    """Raise `UserError` if the firmware cannot be built for `capability`."""
    if capability.lanes != LANES:
        raise UserError(
            f"The firmware is written for engines of {LANES} lanes, not {capability.lanes}"
        )
    if capability.bias_bits > 32 or capability.multiplier_bits >= 32:
        raise UserError(
            "The firmware is written for biases of at most 32 and multipliers of at most 31 bits, "
            f"not {capability.bias_bits} and {capability.multiplier_bits}"
        )
    try:
        processor_memory(capability)
    except ValueError as error:
        raise UserError(f"The firmware cannot be built: {error}") from error


def c_header(capability: Capability) -> str:
    """The header, for one capability. Raises `UserError` as `check_capability`."""
    check_capability(capability)
    memory = processor_memory(capability)
    groups = {
        "Memory (hw.soc.addresses)": {
            "MEMORY_START": memory.start,
            "MEMORY_SIZE": memory.size,
            "BUS_BYTES": 4 << ADDRESS_WIDTH,
            "FLASH_BASE": FLASH_BASE,
        },
        "Stream (hw.soc.stream)": {
            "CRC_RESIDUE": CRC_RESIDUE,
            "DMA_MOST_WORDS": (1 << COUNT_BITS) - 1,
        },
        "Capability": {
            "LANES": capability.lanes,
            "ACCUMULATOR_BITS": capability.accumulator_bits,
            "MULTIPLIER_BITS": capability.multiplier_bits,
            "BIAS_BITS": capability.bias_bits,
            "IMAGE_BYTES": capability.image_bytes,
            "LOGIT_WORDS": capability.logit_words,
            "LAYER_ENTRIES": capability.layer_entries,
            "LAYER_WORDS": LAYER_WORDS,
            "CAPABILITY_WORDS": (
                REGISTER_MAP.register("LOGIT_WORDS").offset - REGISTER_MAP.register("ARRAY").offset
            )
            // 4
            + 1,
        },
        "Flash (firmware.layout)": {
            "FLASH_OFFSET": layout.flash_offset(capability),
            "SECTOR_BYTES": layout.SECTOR_BYTES,
            "DIRECTORY": layout.DIRECTORY,
            "DIRECTORY_BYTES": layout.DIRECTORY_BYTES,
            "LEARNED_SLOT_0": layout.LEARNED_SLOTS[0],
            "LEARNED_SLOT_1": layout.LEARNED_SLOTS[1],
            "LEARNED_BYTES": layout.LEARNED_BYTES,
            "LEARNED_MAGIC": layout.LEARNED_MAGIC,
            "MAGIC": layout.MAGIC,
            "FORMAT_VERSION": layout.FORMAT_VERSION,
            "DIRECTORY_WORDS": len(layout.DIRECTORY_WORDS),
            **_indices("WORD", layout.DIRECTORY_WORDS),
            "ENTRY_WORDS": len(layout.ENTRY_WORDS),
            **_indices("ENTRY", layout.ENTRY_WORDS),
            **_members("SECTION", layout.Section),
            **_members("HEAD", layout.Head),
        },
        "Protocol (firmware.protocol, firmware.frames)": {
            "FIRMWARE_MAJOR": FIRMWARE_VERSION[0],
            "FIRMWARE_MINOR": FIRMWARE_VERSION[1],
            "PROTOCOL_VERSION": protocol.PROTOCOL_VERSION,
            "REPLY": protocol.REPLY,
            "CLASSIFY_LEARNED": protocol.CLASSIFY_LEARNED,
            "CLASSIFY_MORE": protocol.CLASSIFY_MORE,
            "LABEL_BYTES": protocol.LABEL_BYTES,
            "MAX_FEATURES": protocol.MAX_FEATURES,
            "MAX_LEARNED": protocol.MAX_LEARNED,
            "MAX_READ_WORDS": protocol.MAX_READ_WORDS,
            "INFO_WORDS": len(frames.INFO_FIELDS),
            **_indices("INFO", frames.INFO_FIELDS),
            "INFO_NAME_BYTES": frames.INFO_NAME_BYTES,
            **_members("COMMAND", protocol.Command),
            **_members("STATUS", protocol.Status),
            **_members("ERROR", protocol.BootError),
            **_members("COUNTER", protocol.Counter),
            "COUNTERS": len(protocol.Counter),
        },
    }
    lines = ["/* Constants of the device. Generated by `firmware.header`. Do not edit. */"]
    lines += ["#ifndef CONSTANTS_H", "#define CONSTANTS_H", ""]
    for title, values in groups.items():
        lines.append(f"/* {title} */")
        lines += [f"#define {name} {value:#x}u" for name, value in values.items()]
        lines.append("")
    names = ", ".join(f'"{one.name.lower().replace("_", " ")}"' for one in protocol.BootError)
    lines += ["/* What the banner says of each boot error */", f"#define ERROR_NAMES {names}", ""]
    return "\n".join(lines) + to_c(REGISTER_MAP) + "\n#endif /* CONSTANTS_H */\n"


def _indices(prefix, names):
    return {f"{prefix}_{name.upper()}": index for index, name in enumerate(names)}


def _members(prefix, kind):
    return {f"{prefix}_{one.name}": int(one) for one in kind}


_DISCARD = "/DISCARD/ : { *(.eh_frame*) *(.comment) *(.note*) *(.riscv.attributes) }"


def firmware_script(capability: Capability) -> str:
    """Linker script of the firmware: code from the memory's start, data behind it, then stack."""
    memory = processor_memory(capability)
    end = memory.start + memory.size
    return f"""/* Generated by `firmware.header`. Do not edit. */
ENTRY(_start)
MEMORY {{
  RAM (rwx) : ORIGIN = {memory.start:#x}, LENGTH = {memory.size:#x}
}}
PHDRS {{ program PT_LOAD; }}
SECTIONS {{
  .text : {{
    KEEP(*(.start)) *(.text*) *(.rodata*) *(.srodata*) *(.data*) *(.sdata*) . = ALIGN(4);
  }} > RAM :program
  .bss (NOLOAD) : {{
    bss_start = .; __global_pointer$ = . + {_GP_OFFSET:#x};
    *(.bss*) *(.sbss*) *(COMMON) . = ALIGN(4); bss_end = .;
  }} > RAM
  learned = .;
  memory_end = {end:#x};
  learned_end = memory_end - {STACK_BYTES};
  ASSERT(learned_end >= learned + {_LEAST_LEARNED_BYTES}, "too little memory is left")
  {_DISCARD}
}}
"""


def main(argv=None):
    parser = Parser(prog="python -m firmware.header", description=__doc__.split("\n")[0])
    parser.add_argument("--board", default=DEFAULT_BOARD.name, help=f"one of {', '.join(BOARDS)}")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    options = parser.parse_args(argv)
    text = c_header(find_board(options.board).capability)
    output = None if options.output is None else check_output(options.output, "The header")
    write_or_print(output, text)


if __name__ == "__main__":
    run_cli(main)()
