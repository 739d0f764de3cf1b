"""The RTL that is verified is the RTL that is synthesised, module by module."""

import re

import pytest

from hw.boards import find_board
from hw.flow import steps as flow
from hw.flow.tools import Toolchain
from sim.rtl import TOP, elaborate, write_verilog

pytest.importorskip("amaranth_boards")


def modules(verilog, device):
    """Lines of each module below `device`, in order of the alphabet, as is its list of ports, and
    without the numbers that only keep names apart."""
    found = {}
    for name, body in re.findall(
        r"^module \\?(\S+) ?\((.*?)^endmodule", verilog, re.MULTILINE | re.DOTALL
    ):
        if not name.startswith(f"{device}."):
            continue
        body = body.replace(f"{device}.", "")
        body = re.sub(r"\\\$auto\$\S+|\$\d+(\$\d+)?", "$", body)
        ports, _, body = body.partition(");")
        body = sorted(re.sub(r"\s", "", ports).split(",")) + sorted(body.splitlines())
        found[re.sub(r"\$\d+", "", name[len(device) + 1 :])] = body
    return found


def find_device(verilog):
    """Name of the module that holds the engine, wherever the board's design has it."""
    (name,) = re.findall(r"^module \\(\S+)\.engine ", verilog, re.MULTILINE)
    return name


def test_board_and_simulation_have_the_same_modules(tmp_path):
    board = find_board("icebreaker")
    tools = Toolchain()
    clock = board.default_clock_mhz
    work = flow.Workspace(directory=tmp_path)
    with tools.exported():
        flow.elaborate(board, board.make_top(board.capability, clock), work)
        flow.to_verilog(tools, work)
        design = elaborate(board.capability, clock_hz=board.clock_hz(clock))
        simulated = write_verilog(design.rtlil, TOP, tmp_path, tools).read_text("utf-8")
    board_verilog = (tmp_path / "top.v").read_text("utf-8")
    built = modules(board_verilog, find_device(board_verilog))
    verified = modules(simulated, TOP)
    assert {"engine.array", "engine.drain", "csr", "windows"} <= built.keys()
    assert built.keys() == verified.keys()
    del built["decoder"]  # on a board it leads to more than the device: `tests/hw` sees to it
    for name, text in built.items():
        assert text == verified[name], name
