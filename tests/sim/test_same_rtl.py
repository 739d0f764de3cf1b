"""The RTL that is verified is the RTL that is synthesised, module by module."""

import re

import pytest

from hw import flow
from hw.boards import find_board
from hw.tools import Toolchain
from sim.rtl import elaborate, write_verilog

pytest.importorskip("amaranth_boards")


def modules(verilog, prefix):
    """Lines of each module below `prefix`, in order of the alphabet, as is its list of ports, and
    without the numbers that only keep names apart."""
    found = {}
    for name, body in re.findall(
        r"^module \\?(\S+) ?\((.*?)^endmodule", verilog, re.MULTILINE | re.DOTALL
    ):
        if not name.startswith(prefix):
            continue
        body = body.replace(prefix, "")
        body = re.sub(r"\\\$auto\$\S+|\$\d+(\$\d+)?", "$", body)
        ports, _, body = body.partition(");")
        body = sorted(ports.replace(" ", "").split(",")) + sorted(body.splitlines())
        found[re.sub(r"\$\d+", "", name[len(prefix) :])] = body
    return found


def test_board_and_simulation_have_the_same_modules(tmp_path):
    board = find_board("icebreaker")
    tools = Toolchain()
    clock = board.default_clock_mhz
    work = flow.Workspace(directory=tmp_path)
    with tools.exported():
        flow.elaborate(board, board.make_top(board.capability, clock), work)
        flow.to_verilog(tools, work)
        design = elaborate(board.capability, clock_hz=board.clock_hz(clock), baud=1_000_000)
        simulated = write_verilog(design, tmp_path, tools).read_text("utf-8")
    built = modules((tmp_path / "top.v").read_text("utf-8"), "top.core.")
    verified = modules(simulated, "core.")
    assert {"device.engine.array", "device.engine.drain", "bridge"} <= built.keys()
    assert built.keys() == verified.keys()
    for name, text in built.items():
        assert text == verified[name], name
