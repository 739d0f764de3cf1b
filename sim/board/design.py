"""Verilog of the simulated board: `hw.soc.soc.Soc`, as it is on the board, and power-on noise.

The generator and the passes that write the Verilog are the build's, as in `sim.rtl`.
"""

import re
from pathlib import Path

from amaranth.hdl._ir import PortDirection

from hw.boards import Board
from hw.bus.uart import divisor_for
from hw.engine.engine import Engine
from hw.families import find_family
from hw.flow.tools import Toolchain
from hw.soc.processor import verilog_files
from hw.soc.soc import Soc
from sim.model import simulated_cells
from sim.rtl import convert, ports_of, write_verilog

__all__ = ["TOP", "divisor", "verilog"]

TOP = "board"
"""Name of the Verilog module with everything in it."""

_SOC = "soc"
_RESET_BITS = 4

# The reset that the board makes while its PLL locks. As an input of what is simulated it would
# cost a fifth of the speed: all logic that it reaches would be evaluated twice a cycle.
_WRAPPER = """\
`timescale 1ns / 1ps
module {top} (
{ports}
);
  reg [{bits}:0] started = 0;
  always @(posedge clk) if (!started[{bits}]) started <= started + 1;
  {soc} {soc} (.rst(!started[{bits}]), {connections});
endmodule
"""

# What a real chip holds after power-on is not known: neither the SPRAMs' content (Lattice
# TN1314), nor that of block RAMs which the bitstream does not set, the processor's registers.
_NOISE = "\n  initial for (int n = 0; n < {depth}; n++) {name}[n] = {bits}'($urandom);\n"


def divisor(board: Board, clock_hz: int) -> int:
    """Clock cycles of a bit on the UART."""
    return divisor_for(clock_hz=clock_hz, baud=board.baud(clock_hz))


def verilog(board: Board, clock_hz: int, directory: Path, tools: Toolchain) -> dict[str, str]:
    """Verilog files by name: the SoC, the processor, models of hard blocks, and the wrapper.

    yosys works in `directory`.

    Raises
    ------
    UserError
        A tool is missing or fails.
    ValueError
        The design has not the memories that it should have.
    """
    soc = Soc(
        engine=Engine(board.capability),
        capability=board.capability,
        clock_hz=clock_hz,
        baud=board.baud(clock_hz),
    )
    ports = ports_of(soc)
    text, _ = convert(soc, ports, _SOC)
    written = write_verilog(text, _SOC, directory, tools)
    files = {path.name: path.read_text("utf-8") for path in verilog_files()}
    files["soc.v"] = written.read_text("utf-8")
    family = find_family(board.family)
    if cells := simulated_cells(family):
        if (block := family.weight_block) is not None:
            declared = rf"reg \[{block.bits - 1}:0\] {block.array} \[0:{block.depth - 1}\];"
            cells = _noisy(cells, declared, block.array, block.depth, block.bits)
        files["cells.v"] = cells
    files["board.v"] = _wrapper(ports)
    # 32 registers of 32 bits, two at a time: no CSRs.
    files["serv_rf_ram.v"] = _noisy(
        files["serv_rf_ram.v"], r"reg \[width-1:0\]\s+memory \[0:depth-1\];", "memory", 512, 2
    )
    return files


def _wrapper(ports):
    lines = ["  input clk"]
    for name, (value, direction) in ports.items():
        way = "input" if direction is PortDirection.Input else "output"
        lines.append(f"  {way} [{len(value) - 1}:0] {name}")
    return _WRAPPER.format(
        top=TOP,
        soc=_SOC,
        bits=_RESET_BITS,
        ports=",\n".join(lines),
        connections=", ".join(f".{name}({name})" for name in ("clk", *ports)),
    )


def _noisy(text, declaration, name, depth, bits):
    """Verilog in which a memory starts with noise."""
    noise = _NOISE.format(name=name, depth=depth, bits=bits)
    text, count = re.subn(declaration, lambda found: found[0] + noise, text)
    if count != 1:
        raise ValueError(f"Verilog must have one memory {name}, not {count}")
    return text
