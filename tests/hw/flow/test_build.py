"""`hw.flow.build`: the tools of a build are found before its work."""

from hw.boards import find_board
from hw.flow.build import find_tools


class Tools:
    """Remembers what was looked for."""

    def __init__(self):
        self.found = []

    def find(self, name):
        self.found.append(name)

    def environment(self):
        self.found.append("verilator")


def test_every_tool_is_looked_for():
    tools = Tools()
    find_tools(find_board("icebreaker"), tools)
    assert tools.found == ["yosys", "nextpnr-ice40", "icepack", "verilator"]


def test_a_build_that_is_not_verified_needs_no_simulator():
    tools = Tools()
    find_tools(find_board("icebreaker"), tools, verify=False)
    assert tools.found == ["yosys", "nextpnr-ice40", "icepack"]
