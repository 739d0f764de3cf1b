"""Builds the program that runs on the device, as one copy in flash.

The compiler is that of the `ziglang` wheel, or a RISC-V gcc on PATH. The same sources and the same
compiler give the same bytes, whatever the folder.

`python -m firmware.compile [--board icebreaker] [--compiler zig|gcc] [--output FILE]`
"""

import shutil
import struct
import sys
import tempfile
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from firmware.header import c_header, check_capability, firmware_script
from hw.boards import BOARDS, DEFAULT_BOARD, find_board
from hw.capability import Capability
from hw.soc.addresses import FIRMWARE_BYTES, firmware_copy, processor_memory
from model.common import children
from model.common.errors import Parser, UserError, run_cli
from model.common.files import check_output, write

__all__ = ["COMPILERS", "SOURCES", "Firmware", "build", "compile_firmware"]

SOURCES = Path(__file__).parent / "device"

COMPILERS = ("zig", "gcc")

_ERASED = b"\xff"

_GCCS = ("riscv32-unknown-elf-gcc", "riscv64-unknown-elf-gcc", "riscv-none-elf-gcc")

_FLAGS = (
    "-std=c11", "-Os", "-g0", "-Wall", "-Wextra", "-Werror",
    "-ffreestanding", "-fno-stack-protector", "-fno-pic",
    "-fno-unwind-tables", "-fno-asynchronous-unwind-tables",
    "-fno-delete-null-pointer-checks",  # the registers begin at address 0
    "-ffunction-sections", "-msave-restore", "-mrelax",
)  # fmt: skip

_ZIG_FLAGS = (
    "-target", "riscv32-freestanding-none", "-mcpu=generic_rv32-a-c-d-f-m",
    "-fno-sanitize=undefined",
    "-fno-optimize-sibling-calls",  # the shared epilogues are shorter
    # What -Oz means to clang, and zig takes for -Os: a function is inlined where that is shorter.
    "-mllvm", "-force-attribute=minsize", "-mllvm", "-inline-threshold=-50",
)  # fmt: skip

# To gcc nothing lies at the addresses of registers.
_GCC_FLAGS = ("-march=rv32i", "-mabi=ilp32", "-Wno-array-bounds")


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """The program of a device, and what it takes.

    Parameters
    ----------
    copy : bytes
        One copy for the flash (`hw.soc.addresses.firmware_copy`).
    firmware_bytes : int
        Bytes of the firmware, with its CRC-32.
    data_bytes, learned_bytes, stack_bytes : int
        Of the processor's memory behind it: variables, room for learned classes, stack.
    """

    copy: bytes
    firmware_bytes: int
    data_bytes: int
    learned_bytes: int
    stack_bytes: int

    @property
    def summary(self) -> str:
        """One line: each part's bytes against its room."""
        return (
            f"firmware {self.firmware_bytes} of {FIRMWARE_BYTES} bytes; "
            f"memory: {self.data_bytes} bytes of data, {self.learned_bytes} for learned classes, "
            f"{self.stack_bytes} of stack"
        )


def build(capability: Capability, directory: Path, *, compiler: str = "zig") -> Firmware:
    """Compile and link into `directory`, which is made.

    Parameters
    ----------
    capability : Capability
        What the bitstream is built for.
    directory : Path
        Gets the generated header, linker script, objects, and `firmware.elf`.
    compiler : str
        One of `COMPILERS`.

    Raises
    ------
    UserError
        No compiler; a capability that the firmware is not written for; the program is too large.
    """
    check_capability(capability)
    directory.mkdir(parents=True, exist_ok=True)
    write(directory / "constants.h", c_header(capability))
    write(directory / "firmware.ld", firmware_script(capability))
    tools = _Tools(compiler, directory)

    program = tools.program("firmware", sorted(one.name for one in SOURCES.glob("*.[cS]")))
    code = program.load()
    size = len(code) + 4
    if size > FIRMWARE_BYTES:
        raise UserError(
            f"The firmware has {size} bytes, {size - FIRMWARE_BYTES} more than its room"
        )
    symbols = program.symbols()
    memory = processor_memory(capability)
    return Firmware(
        copy=firmware_copy(code),
        firmware_bytes=size,
        data_bytes=symbols["bss_end"] - symbols["bss_start"],
        learned_bytes=symbols["learned_end"] - symbols["learned"],
        stack_bytes=memory.start + memory.size - symbols["learned_end"],
    )


def compile_firmware(capability: Capability, *, compiler: str = "zig") -> bytes:
    """One copy for the flash. Raises as `build`."""
    with tempfile.TemporaryDirectory() as folder:
        return build(capability, Path(folder), compiler=compiler).copy


class _Tools:
    """A compiler and a linker that work in one folder."""

    def __init__(self, compiler: str, directory: Path):
        self._directory = directory
        if compiler == "zig":
            if util.find_spec("ziglang") is None:
                raise UserError(
                    "The C compiler is missing: run `pip install -c constraints.txt -e .`, or give "
                    "--compiler gcc where a RISC-V gcc is on PATH"
                )
            zig = [sys.executable, "-m", "ziglang"]
            self._compile = [*zig, "cc", *_ZIG_FLAGS]
            self._link = [*zig, "ld.lld", "--relax-gp"]
        elif compiler == "gcc":
            found = next((path for name in _GCCS if (path := shutil.which(name))), None)
            if found is None:
                raise UserError(f"None of these compilers is on PATH: {', '.join(_GCCS)}")
            self._compile = [found, *_GCC_FLAGS]
            self._link = [found, *_GCC_FLAGS, "-nostdlib", "-nostartfiles"]
        else:
            raise UserError(f"Compiler must be {' or '.join(COMPILERS)}, not {compiler!r}")
        self._gc = "--gc-sections" if compiler == "zig" else "-Wl,--gc-sections,--build-id=none"

    def program(self, name: str, sources: list[str]) -> "_Elf":
        """Compile `sources` of the device's folder, and link them by NAME.ld."""
        objects = [f"{Path(one).stem}.o" for one in sources]
        for source, made in zip(sources, objects, strict=True):
            self._run([
                *self._compile, *_FLAGS, "-I.", f"-I{SOURCES}",
                f"-ffile-prefix-map={SOURCES}=.",
                f"-ffile-prefix-map={self._directory.resolve()}=.",
                "-c", str(SOURCES / source), "-o", made,
            ])  # fmt: skip
        self._run([*self._link, self._gc, "-T", f"{name}.ld", *objects, "-o", f"{name}.elf"])
        return _Elf((self._directory / f"{name}.elf").read_bytes())

    def _run(self, command: list[str]) -> None:
        result = children.capture(command, cwd=self._directory)
        if result.returncode:
            text = result.stderr.strip() or f"exit status {result.returncode}"
            lines = text.splitlines()
            first = next((one for one in lines if "error" in one.lower()), lines[0])
            raise UserError(f"The firmware does not build: {first}")


class _Elf:
    """What of a 32-bit little-endian ELF file is needed (TIS ELF specification 1.2)."""

    def __init__(self, data: bytes):
        self._data = data
        if data[:6] != b"\x7fELF\x01\x01":
            raise UserError("The linker did not make a 32-bit little-endian ELF file")

    def _table(self, offset_at: int, sizes_at: int, layout: str) -> list[tuple]:
        (offset,) = struct.unpack_from("<I", self._data, offset_at)
        size, count = struct.unpack_from("<HH", self._data, sizes_at)
        return [struct.unpack_from(layout, self._data, offset + size * i) for i in range(count)]

    def load(self) -> bytes:
        """What is loaded, by physical address, from the lowest on; gaps are erased flash."""
        parts = [
            (physical, self._data[offset : offset + size])
            for kind, offset, _, physical, size in self._table(28, 42, "<IIIII")
            if kind == 1 and size
        ]
        start = min(physical for physical, _ in parts)
        end = max(physical + len(part) for physical, part in parts)
        image = bytearray(_ERASED * (end - start))
        for physical, part in parts:
            image[physical - start : physical - start + len(part)] = part
        return bytes(image)

    def symbols(self) -> dict[str, int]:
        """Address of each symbol."""
        sections = self._table(32, 46, "<IIIIIIIIII")
        found = {}
        for _, kind, _, _, offset, size, link, *_ in sections:
            if kind != 2:  # the symbol table
                continue
            names = sections[link][4]
            for at in range(offset, offset + size, 16):
                name, value = struct.unpack_from("<II", self._data, at)
                text = self._data[names + name : self._data.index(b"\0", names + name)]
                found[text.decode()] = value
        return found


def main(argv=None):
    parser = Parser(prog="python -m firmware.compile", description=__doc__.split("\n")[0])
    parser.add_argument("--board", default=DEFAULT_BOARD.name, help=f"one of {', '.join(BOARDS)}")
    parser.add_argument("--compiler", default="zig", choices=COMPILERS)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the copy for the flash")
    options = parser.parse_args(argv)
    if options.output is not None:
        check_output(options.output, "The firmware")
    with tempfile.TemporaryDirectory() as folder:
        firmware = build(
            find_board(options.board).capability, Path(folder), compiler=options.compiler
        )
    print(firmware.summary)
    if options.output is not None:
        write(options.output, firmware.copy)


if __name__ == "__main__":
    run_cli(main)()
