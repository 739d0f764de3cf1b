"""The Verilog of the design has the memories that describe themselves, or the simulation stops."""

import pytest

from hw.boards import find_board
from hw.flow.tools import Toolchain
from sim.rtl import TOP, check_memories, elaborate, write_verilog
from tests.hw.engine.helpers import CAPABILITY as INFERRED

CAPABILITIES = {"generic": INFERRED, "ice40": find_board("icebreaker").capability}
CHANGES = {  # of a line of Verilog, in one memory of each region
    "generic": [
        ("reg [31:0] half0 ", "reg [30:0] half0 "),
        ("reg [15:0] high ", "reg [15:0] upper "),
        ("reg [15:0] words [255:0]", "reg [15:0] words [127:0]"),
        ("reg [31:0] bank1 [511:0]", "reg [31:0] bank1 [1023:0]"),
    ],
    "ice40": [
        ("SB_SPRAM256KA spram3 (", "SB_SPRAM256KA other (") ,
        ("module \\device.engine.image ", "module \\device.engine.picture "),
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=CAPABILITIES)
def made(request, tmp_path_factory):
    design = elaborate(CAPABILITIES[request.param], clock_hz=36_000_000)
    tools = Toolchain()
    with tools.exported():
        path = write_verilog(design.rtlil, TOP, tmp_path_factory.mktemp("rtl"), tools)
    return request.param, design, path.read_text("utf-8")


def test_every_region_has_its_memories(made):
    _, design, verilog = made
    check_memories(design, verilog)
    regions = {memory.region for memory in design.memories}
    assert regions == {"weights", "parameters", "image", "layers", "activations"}
    assert len({memory.path for memory in design.memories}) == len(design.memories)


def test_a_memory_that_is_not_as_described(made):
    family, design, verilog = made
    for right, wrong in CHANGES[family]:
        changed = verilog.replace(right, wrong, 1)
        assert changed != verilog, right
        with pytest.raises(ValueError, match=r"^Verilog must have memory device\.engine\."):
            check_memories(design, changed)
