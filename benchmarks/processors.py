"""RISC-V cores that install with pip, side by side: `python -m benchmarks.processors`.

Every core is wrapped alike, as one Wishbone initiator (`hw.bus.wishbone`). Three measurements:

- *size and clock*: the core in a small frame of shift registers, placed and routed on the board's
  device; what the frame alone takes is measured too, and subtracted;
- *speed*: cycles of one RV32I program in Verilator, on memories of different latencies. The
  program's results are compared with Python's own, its instructions counted by an interpreter;
- *upkeep*: version, licence and last upstream commit, as the installed wheel tells them.

The result is printed as a table, or as JSON with `--json`.
"""

import importlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Elaboratable,
    Instance,
    Module,
    Mux,
    ResetSignal,
    Signal,
)
from amaranth.lib import io, wiring
from amaranth.lib.wiring import Out
from cobs import cobs

from hw.boards import find_board
from hw.bus.wishbone import Signature
from hw.families.ice40.blocks import PLLClock
from hw.families.ice40.pll import solve_pll
from hw.flow import steps as flow
from hw.flow.tools import Toolchain
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console

__all__ = ["CORES", "LATENCIES", "Core", "build_program", "execute", "expected", "main", "simulate"]

#: Cycles after the one in which `stb` rises until `ack`: a block RAM's, and the project's bus.
LATENCIES = (1, 4)

_BOARD = "icebreaker"
_MEMORY = 0x4000  # bytes from address 0; code first, stack last
_OUTPUT, _HALT = 0x8000_0000, 0x8000_0004  # a word stored there is a result; ends the program
_BYTES, _WORDS, _SEED = 600, 48, 0x2545_F491
_LIMIT = 50_000_000  # cycles, or instructions, after which a program has gone astray
_MASK = 0xFFFF_FFFF

_PROGRAM = """
typedef unsigned char u8;
typedef unsigned int u32;
#define FUNCTION __attribute__((noinline)) static
#define OUTPUT (*(volatile u32 *)%(output)#xu)
#define HALT (*(volatile u32 *)%(halt)#xu)
enum { BYTES = %(bytes)d, WORDS = %(words)d };

static u8 plain[BYTES], coded[BYTES + BYTES / 254 + 1], back[BYTES];
static const u32 table[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

__attribute__((naked, used, section(".start"))) void _start(void) {
    __asm__("li sp, %(memory)d\\n\\tcall main");
}

FUNCTION u32 next(u32 x) {
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    return x;
}

FUNCTION u32 encode(u8 *to, const u8 *from, u32 count) {
    u8 *code = to, *at = to + 1;
    for (u32 i = 0; i < count; ++i) {
        if (from[i]) *at++ = from[i];
        if (!from[i] || (at - code == 255 && i + 1 < count)) *code = at - code, code = at++;
    }
    *code = at - code;
    return at - to;
}

FUNCTION u32 decode(u8 *to, const u8 *from, u32 count) {
    u8 *at = to;
    const u8 *end = from + count;
    while (from < end) {
        u8 code = *from++;
        for (u8 i = 1; i < code; ++i) *at++ = *from++;
        if (code < 255 && from < end) *at++ = 0;
    }
    return at - to;
}

FUNCTION u32 checksum(const u8 *from, u32 count) {
    u32 crc = ~0u;
    while (count--) {
        crc ^= *from++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

FUNCTION u32 multiply(u32 a, u32 b) {
    u32 product = 0;
    for (; b; a <<= 1, b >>= 1)
        if (b & 1) product += a;
    return product;
}

void main(void) {
    u32 x = %(seed)#xu;
    for (u32 i = 0; i < BYTES; ++i) x = next(x), plain[i] = x & 0x700 ? x : 0;
    u32 length = encode(coded, plain, BYTES);
    OUTPUT = length;
    OUTPUT = checksum(coded, length);
    length = decode(back, coded, length);
    OUTPUT = length;
    OUTPUT = checksum(back, length);
    u32 sum = 0;
    for (u32 i = 0; i < WORDS; ++i) {
        u32 factor = next(x);
        sum += multiply(x, factor);
        x = factor;
    }
    OUTPUT = sum;
    for (;;) HALT = 0;
}
"""

_LINKER = """\
ENTRY(_start)
SECTIONS {
    . = 0;
    .text : { *(.start) *(.text*) *(.rodata*) *(.data*) *(.sdata*) }
    .bss : { *(.bss*) *(.sbss*) }
    /DISCARD/ : { *(.comment) *(.riscv.attributes) *(.eh_frame*) }
}
"""

# Data is valid with `ack` alone, and `stb` must drop after it: what the project's bus asks for.
_HARNESS = """
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include "Vtop.h"

static int fail(const char *text) { return fprintf(stderr, "ERROR: %%s\\n", text), 1; }

int main(int, char **arguments) {
    static uint32_t memory[%(memory)d / 4];
    FILE *file = fopen(arguments[1], "rb");
    if (!file || !fread(memory, 1, sizeof memory, file)) return fail("no program");
    const unsigned latency = atoi(arguments[2]);
    const int reset = 4;
    Vtop top;
    unsigned waited = 0;
    bool answered = false;
    for (int cycle = -reset; cycle < %(limit)d; ++cycle) {
        top.clk = 0, top.rst = cycle < 0, top.ack = 0, top.dat_r = 0x9e3779b9u * cycle;
        top.eval();
        const bool request = cycle >= 0 && top.cyc && top.stb;
        if (request && answered) return fail("stb did not drop after ack");
        answered = request && waited == latency;
        waited = request && !answered ? waited + 1 : 0;
        if (answered) {
            const uint32_t address = top.adr * 4u, data = top.dat_w;
            if (address < %(memory)d) {
                uint32_t &word = memory[address / 4];
                if (top.we)
                    for (int lane = 0; lane < 4; ++lane)
                        if (top.sel >> lane & 1)
                            word = (word & ~(255u << 8 * lane)) | (data & 255u << 8 * lane);
                top.dat_r = word;
            } else if (top.we && address == %(output)#xu) {
                printf("%%u\\n", data);
            } else if (top.we && address == %(halt)#xu) {
                return printf("%%d\\n", cycle + 1), 0;
            } else {
                return fail("access outside of the memory");
            }
            top.ack = 1;
            top.eval();
        }
        top.clk = 1;
        top.eval();
    }
    return fail("the program did not end");
}
"""
_NAMES = {
    "memory": _MEMORY, "output": _OUTPUT, "halt": _HALT, "limit": _LIMIT,
    "bytes": _BYTES, "words": _WORDS, "seed": _SEED,
}  # fmt: skip


def _next(x):
    """Marsaglia's 32-bit xorshift, as the program has it."""
    x ^= x << 13 & _MASK
    x ^= x >> 17
    return x ^ (x << 5 & _MASK)


def expected() -> list[int]:
    """The results of the program: lengths and CRCs of the coded and plain bytes, the products."""
    x, plain = _SEED, bytearray()
    for _ in range(_BYTES):
        x = _next(x)
        plain.append(x & 0xFF if x & 0x700 else 0)
    coded = cobs.encode(bytes(plain))
    total = 0
    for _ in range(_WORDS):
        factor = _next(x)
        total += x * factor
        x = factor
    return [len(coded), zlib.crc32(coded), len(plain), zlib.crc32(plain), total & _MASK]


def build_program(directory: Path) -> bytes:
    """Compile the program with the C compiler of the wheel `ziglang`; its bytes, from address 0."""
    _import("ziglang", "ziglang")
    (directory / "program.c").write_text(_PROGRAM % _NAMES, "utf-8")
    (directory / "program.ld").write_text(_LINKER, "utf-8")
    target = "-target riscv32-freestanding-none -mcpu=generic_rv32-a-c-d-f-m"
    options = "-Os -nostdlib -ffreestanding -fno-builtin -T program.ld"
    for words in (
        f"cc {target} {options} program.c -o program.elf",
        "objcopy -O binary program.elf program.bin",
    ):
        command = [sys.executable, "-m", "ziglang", *words.split()]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"The program did not compile: {done.stderr.strip() or words}")
    return (directory / "program.bin").read_bytes()


def execute(image: bytes, limit: int = _LIMIT) -> tuple[list[int], int]:
    """Run RV32I code from address 0; returns its results, and how many instructions it took.

    Raises ValueError at what RV32I has not, at a wrong address, and after `limit` instructions.
    FENCE does nothing; ECALL and EBREAK are refused: the cores have nowhere to trap to.

    Source: The RISC-V Instruction Set Manual, volume I, chapter 2 (RV32I 2.1).
    """
    memory = bytearray(_MEMORY)
    memory[: len(image)] = image
    registers, pc = [0] * 32, 0
    outputs: list[int] = []

    def signed(value, bits=32):
        return value - (1 << bits) if value >> (bits - 1) & 1 else value

    def place(address, size):
        if address % size or address + size > _MEMORY:
            raise ValueError(f"Access to {address:#x} at {pc:#x}: misaligned, or no memory")
        return slice(address, address + size)

    for count in range(1, limit + 1):
        word = int.from_bytes(memory[place(pc, 4)], "little")
        opcode, funct3, funct7 = word & 0x7F, word >> 12 & 7, word >> 25
        rd, a, b = word >> 7 & 31, registers[word >> 15 & 31], registers[word >> 20 & 31]
        immediate = signed(word >> 20, 12)
        link, target, value = pc + 4, pc + 4, None
        illegal = ValueError(f"Instruction {word:#010x} at {pc:#x} is none of RV32I")
        if opcode == 0x37:  # LUI
            value = word & 0xFFFF_F000
        elif opcode == 0x17:  # AUIPC
            value = pc + (word & 0xFFFF_F000)
        elif opcode == 0x6F:  # JAL
            offset = word >> 21 & 0x3FF | (word >> 20 & 1) << 10 | (word >> 12 & 0xFF) << 11
            value, target = link, pc + 2 * signed(offset | (word >> 31) << 19, 20)
        elif opcode == 0x67 and funct3 == 0:  # JALR
            value, target = link, (a + immediate) & ~1
        elif opcode == 0x63 and funct3 not in (2, 3):  # branches
            offset = word >> 8 & 15 | (word >> 25 & 63) << 4 | (word >> 7 & 1) << 10
            x, y = (a, b) if funct3 & 2 or funct3 < 2 else (signed(a), signed(b))
            if (x < y if funct3 & 4 else x == y) != bool(funct3 & 1):
                target = pc + 2 * signed(offset | (word >> 31) << 11, 12)
        elif opcode == 0x03 and funct3 in (0, 1, 2, 4, 5):  # loads
            size = 1 << (funct3 & 3)
            value = int.from_bytes(memory[place((a + immediate) & _MASK, size)], "little")
            value = value if funct3 & 4 else signed(value, 8 * size)
        elif opcode == 0x23 and funct3 < 3:  # stores
            address = (a + signed(funct7 << 5 | rd, 12)) & _MASK
            if address == _HALT:
                return outputs, count
            if address == _OUTPUT:
                outputs.append(b)
            else:
                size = 1 << funct3
                memory[place(address, size)] = (b & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        elif opcode in (0x13, 0x33):  # arithmetic
            shift = funct3 in (1, 5)
            if opcode == 0x13:
                b = word >> 20 & 31 if shift else immediate & _MASK
            alternative = (opcode == 0x33 or shift) and funct7 == 0x20
            allowed = (0, 5) if opcode == 0x33 else (5,)
            if (opcode == 0x33 or shift) and funct7 and not (alternative and funct3 in allowed):
                raise illegal
            value = (
                a - b if alternative else a + b,
                a << (b & 31),
                signed(a) < signed(b),
                a < b,
                a ^ b,
                (signed(a) if alternative else a) >> (b & 31),
                a | b,
                a & b,
            )[funct3]
        elif opcode != 0x0F:  # all but FENCE
            raise illegal
        if value is not None and rd:
            registers[rd] = value & _MASK
        pc = target & _MASK
    raise ValueError(f"The program did not end within {limit} instructions")


def _import(name, wheel):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{name} is missing: run `pip install {wheel}`") from error


class _Initiator(wiring.Component):
    """A core as the project's bus sees it: member `bus`, Out(wishbone.Signature(30)).

    `parameters` are those of its Verilog module; nothing of it but the bus is connected.
    """

    def __init__(self, **parameters):
        self._parameters = {f"p_{name}": value for name, value in parameters.items()}
        super().__init__({"bus": Out(Signature(addr_width=30))})


class _Wires(_Initiator):
    """No core at all: every output is an input, so that the frame keeps all of its cells."""

    def elaborate(self, platform):
        m, bus = Module(), self.bus
        m.d.comb += [
            Cat(bus.adr, bus.we, bus.stb).eq(bus.dat_r),
            bus.dat_w.eq(bus.dat_r),
            Cat(bus.sel, bus.cyc).eq(Cat(bus.ack, bus.dat_r)),
        ]
        return m


class _Serv(_Initiator):
    """SERV with its register file in block RAM; its two buses are never busy at once."""

    def elaborate(self, platform):
        m, bus = Module(), self.bus
        fetch, fetch_address = Signal(), Signal(32)
        access, address, write, select = Signal(), Signal(32), Signal(), Signal(4)
        m.submodules.cpu = Instance(
            "serv_rf_top",
            **self._parameters,
            i_clk=ClockSignal(),
            i_i_rst=ResetSignal(),
            i_i_timer_irq=0,
            o_o_ibus_adr=fetch_address,
            o_o_ibus_cyc=fetch,
            i_i_ibus_rdt=bus.dat_r,
            i_i_ibus_ack=bus.ack & fetch,
            o_o_dbus_adr=address,
            o_o_dbus_dat=bus.dat_w,
            o_o_dbus_sel=select,
            o_o_dbus_we=write,
            o_o_dbus_cyc=access,
            i_i_dbus_rdt=bus.dat_r,
            i_i_dbus_ack=bus.ack & ~fetch,
            i_i_ext_rd=0,
            i_i_ext_ready=0,
        )
        m.d.comb += [
            bus.cyc.eq(fetch | access),
            bus.stb.eq(bus.cyc),
            bus.adr.eq(Mux(fetch, fetch_address, address) >> 2),
            bus.we.eq(write & ~fetch),
            bus.sel.eq(Mux(bus.we, select, 0b1111)),
        ]
        return m


class _PicoRV32(_Initiator):
    """PicoRV32 by its native interface: `mem_valid` to `mem_ready` is a Wishbone transfer.

    `picorv32_wb` would add a register to each output, and a cycle to each transfer.
    """

    def elaborate(self, platform):
        m, bus = Module(), self.bus
        address, strobes = Signal(32), Signal(4)
        m.submodules.cpu = Instance(
            "picorv32",
            **self._parameters,
            i_clk=ClockSignal(),
            i_resetn=~ResetSignal(),
            o_mem_valid=bus.stb,
            i_mem_ready=bus.ack,
            o_mem_addr=address,
            o_mem_wdata=bus.dat_w,
            o_mem_wstrb=strobes,
            i_mem_rdata=bus.dat_r,
            i_pcpi_wr=0,
            i_pcpi_rd=0,
            i_pcpi_wait=0,
            i_pcpi_ready=0,
            i_irq=0,
        )
        m.d.comb += [
            bus.cyc.eq(bus.stb),
            bus.adr.eq(address >> 2),
            bus.we.eq(strobes.any()),
            bus.sel.eq(Mux(bus.we, strobes, 0b1111)),
        ]
        return m


class _Sentinel(_Initiator):
    """sentinel-cpu, whose bus is Wishbone already."""

    def elaborate(self, platform):
        m, bus = Module(), self.bus
        m.submodules.cpu = cpu = _import("sentinel_cpu.top", "sentinel-cpu").Top()
        m.d.comb += [getattr(bus, name).eq(getattr(cpu.bus, name))
                     for name in ("adr", "dat_w", "sel", "cyc", "stb", "we")]  # fmt: skip
        m.d.comb += [cpu.bus.dat_r.eq(bus.dat_r), cpu.bus.ack.eq(bus.ack)]
        return m


@dataclass(frozen=True, kw_only=True)
class Core:
    """One row of the table: a core in one configuration.

    ``wheel`` is its package on PyPI, ``make`` makes the initiator, ``verilog`` matches its Verilog
    files below the wheel's folder of data.
    """

    name: str
    wheel: str
    make: Callable[[], wiring.Component]
    verilog: str = ""

    def copy_files(self, directory: Path) -> list[str]:
        """Copy the core's Verilog files to a folder; their names there."""
        if not self.verilog:
            return []
        package = _import(self.wheel.replace("-", "_"), self.wheel)
        found = sorted(Path(package.data_location).glob(self.verilog))
        return [Path(shutil.copy(path, directory)).name for path in found]

    def facts(self) -> dict[str, str]:
        """Version, licence and date of the last upstream commit, as the wheel tells them."""
        package = _import(self.wheel.replace("-", "_"), self.wheel)
        about = metadata.metadata(self.wheel)
        classified = [text for text in about.get_all("Classifier") or () if "License" in text]
        commit = getattr(package, "data_git_msg", "")
        date = re.search(r"Date:\s+\w+ (\w+ \d+) [\d:]+ (\d+)", commit)
        return {
            "version": about["Version"],
            "licence": about["License"] or classified[0].rpartition(" :: ")[2],
            "upstream": " ".join(date.groups()) if date else "not told",
        }


_SERV = {"wheel": "pythondata-cpu-serv", "verilog": "rtl/*.v"}
_PICORV32 = {"wheel": "pythondata-cpu-picorv32", "verilog": "picorv32.v"}
# Two read ports stay: with one, yosys finds no block RAM, and the registers become flip-flops.
_BARE = {
    "ENABLE_COUNTERS": 0, "ENABLE_COUNTERS64": 0, "TWO_STAGE_SHIFT": 0, "CATCH_MISALIGN": 0,
    "CATCH_ILLINSN": 0,
}  # fmt: skip

CORES: tuple[Core, ...] = (
    Core(name="SERV", **_SERV, make=lambda: _Serv(WITH_CSR=0)),
    Core(name="SERV, PRE_REGISTER=0", **_SERV, make=lambda: _Serv(WITH_CSR=0, PRE_REGISTER=0)),
    Core(name="SERV, CSRs and interrupt", **_SERV, make=lambda: _Serv(WITH_CSR=1)),
    Core(name="PicoRV32, smallest", **_PICORV32, make=lambda: _PicoRV32(**_BARE)),
    Core(name="PicoRV32, as it comes", **_PICORV32, make=lambda: _PicoRV32()),
    Core(name="sentinel-cpu", wheel="sentinel-cpu", make=lambda: _Sentinel()),
)
_FRAME = Core(name="frame", wheel="", make=lambda: _Wires())


class _Frame(Elaboratable):
    """A core between two shift registers, at the clock of the PLL: nothing is optimised away.

    The core's inputs are shifted in from `uart.rx`; its outputs are loaded in parallel while the
    button is pressed, and shifted out to `uart.tx`.
    """

    def __init__(self, core, board, clock_mhz):
        self._core = core
        self._resource = board.clock_resource
        self._pll = solve_pll(
            input_hz=round(board.input_clock_mhz * 1e6), output_hz=board.clock_hz(clock_mhz)
        )

    def elaborate(self, platform):
        m, bus = Module(), self._core.bus
        m.domains.sync = ClockDomain()
        m.submodules.clock = PLLClock(settings=self._pll, resource=self._resource)
        m.submodules.core = self._core
        uart = platform.request("uart", dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.submodules.load = load = io.Buffer("i", platform.request("button", dir="-"))
        outputs = Cat(bus.adr, bus.dat_w, bus.sel, bus.we, bus.stb)
        incoming, outgoing = Signal(33), Signal(len(outputs))
        m.d.sync += [
            incoming.eq(Cat(rx.i, incoming)),
            outgoing.eq(Mux(load.i, outputs, outgoing >> 1)),
        ]
        m.d.comb += [Cat(bus.dat_r, bus.ack).eq(incoming), tx.o.eq(outgoing[0])]
        return m


def _lay_out(core, board, seeds, tools, work):
    """Place and route a core in its frame; a list of `flow.PlacedDesign`."""
    clock_mhz = board.default_clock_mhz
    flow.elaborate(board, _Frame(core.make(), board, clock_mhz), work)
    files = core.copy_files(work.directory)
    script = [f"read_verilog {name}" for name in files]
    script += ["read_rtlil top.il", "synth_ice40 -device u -no-rw-check -top top -json top.json"]
    (work.directory / "synthesis.ys").write_text("\n".join(script) + "\n", "utf-8")
    work.run(tools, "yosys", ["synthesis.ys"], "synthesis.log")
    return [
        flow.place_and_route(tools, board, work, seed=seed, clock_mhz=clock_mhz) for seed in seeds
    ]


def simulate(core, image, tools, work):
    """Run the program on each memory of `LATENCIES`; a dict of latency to cycles.

    Raises `UserError`, status 1, if the core breaks the rules of the bus or computes wrongly.
    """
    folder = work.directory
    (folder / "program.bin").write_bytes(image)
    (folder / "main.cpp").write_text(_HARNESS % _NAMES, "utf-8")
    cpu = core.make()
    ports = {name: (getattr(cpu.bus, name), None) for name in cpu.bus.signature.members}
    text = rtlil.convert(cpu, name="top", ports=ports, emit_src=False)
    (folder / "core.il").write_text(text, "utf-8")
    script = "read_rtlil core.il\nproc -nomux -norom\nmemory_collect\n"
    (folder / "verilog.ys").write_text(f"{script}write_verilog -norename -noattr core.v\n", "utf-8")
    work.run(tools, "yosys", ["verilog.ys"], "verilog.log")
    files = core.copy_files(folder)
    options = "--cc --exe --build -O3 -MAKEFLAGS OPT_GLOBAL=-O0 -Wno-fatal -Wno-lint -Wno-style"
    options += " --x-initial fast --top-module top --Mdir model -o model"
    with tools.exported():
        work.run(tools, "verilator", [*options.split(), "core.v", *files, "main.cpp"], "model.log")
    cycles = {}
    for latency in LATENCIES:
        command = [folder / "model" / "model", "program.bin", str(latency)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"{core.name} failed in simulation: {done.stderr.strip()}", status=1)
        *results, cycles[latency] = map(int, done.stdout.split())
        _check(core.name, results)
    return cycles


def _check(name, results):
    if results != expected():
        raise UserError(f"{name} computed {results}, not {expected()}", status=1)


def measure(seeds, tools, progress):
    """Everything measured, as a dict fit for JSON."""
    board = find_board(_BOARD)
    with tempfile.TemporaryDirectory() as folder:

        def workspace(name):
            directory = Path(folder, re.sub(r"\W+", "-", name))
            directory.mkdir()
            return flow.Workspace(directory=directory)

        image = build_program(workspace("program").directory)
        results, instructions = execute(image)
        _check("The interpreter", results)
        progress(f"program: {len(image)} bytes, {instructions} instructions")
        frame = _lay_out(_FRAME, board, seeds[:1], tools, workspace("frame"))[0].resources
        progress(f"frame: {frame['lc']} LCs")
        rows = []
        for core in CORES:
            layouts = _lay_out(core, board, seeds, tools, workspace(f"{core.name} layout"))
            cycles = simulate(core, image, tools, workspace(f"{core.name} model"))
            fmax = [layout.fmax_mhz for layout in layouts]
            used = layouts[0].resources
            rows.append({
                "core": core.name,
                **core.facts(),
                "lc": used["lc"] - frame["lc"],
                "ebr": used["ebr"] - frame["ebr"],
                "fmax_mhz": [round(one, 2) for one in fmax],
                "worst_mhz": round(min(fmax), 2),
                "median_mhz": round(statistics.median(fmax), 2),
                "cycles": cycles,
                "cpi": {name: round(count / instructions, 2) for name, count in cycles.items()},
            })  # fmt: skip
            progress(f"{core.name}: {rows[-1]['lc']} LCs, {rows[-1]['worst_mhz']} MHz")
    return {
        "board": board.name,
        "clock_mhz": board.default_clock_mhz,
        "program": {"bytes": len(image), "instructions": instructions},
        "frame": frame,
        "cores": rows,
        "tools": {name: tools.version(name) for name in ("yosys", "nextpnr-ice40", "verilator")}
        | {"ziglang": metadata.version("ziglang")},
    }


def _print(result):
    clock = result["clock_mhz"]
    table = Table(
        *("Core", "Licence", "Version", "Upstream", "LCs", "EBRs", "Fmax, MHz (worst; all)"),
        *(f"CPI, ack after {latency}" for latency in LATENCIES),
        f"ms at its clock, at most {clock:g} MHz",
        title=f"{result['board']}, {clock:g} MHz asked",
        left=4,
    )
    for row in result["cores"]:
        table.add(
            row["core"],
            row["licence"],
            row["version"],
            row["upstream"],
            row["lc"],
            row["ebr"],
            f"{row['worst_mhz']:.2f}; {', '.join(f'{one:.2f}' for one in row['fmax_mhz'])}",
            *(f"{row['cpi'][latency]:.2f}" for latency in LATENCIES),
            f"{row['cycles'][LATENCIES[-1]] / min(clock, row['worst_mhz']) / 1e3:.2f}",
        )
    table.show(console())


@run_cli
def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(prog="python -m benchmarks.processors")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 1 to N")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--native-tools", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        raise UserError(f"Seeds must be a positive integer, not {arguments.seeds}")

    def progress(line):
        print(line, file=sys.stderr, flush=True)

    tools = Toolchain(native=arguments.native_tools, progress=progress)
    result = measure(range(1, arguments.seeds + 1), tools, progress)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        _print(result)
    return 0


if __name__ == "__main__":
    main()
