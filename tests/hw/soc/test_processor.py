# amaranth: UnusedElaboratable=no
"""`hw.soc.processor`: its Verilog is there, and what stands between it and the bus.

SERV itself runs in the simulated board; here a testbench moves its pins.
"""

import re

import pytest
from amaranth.hdl import ClockSignal, Elaboratable, Module, Signal, Value

from hw.soc import processor
from hw.soc.processor import Processor, verilog_files
from model.common.errors import UserError
from tests.hw.bus.helpers import simulate

START = 0x0102_0000


class Pins(Elaboratable):
    """In place of `Instance`: keeps what it is given."""

    last = None

    def __init__(self, name, **arguments):
        self.name, self.arguments = name, arguments
        self.inputs = {}
        type(self).last = self

    def elaborate(self, platform):
        m = Module()
        for name, value in self.arguments.items():
            if name.startswith("i_") and not isinstance(value, ClockSignal):
                value = Value.cast(value)
                self.inputs[name[2:]] = pin = Signal(len(value), name=name)
                m.d.comb += pin.eq(value)
        return m


def bench(monkeypatch, testbench):
    """Run `testbench(ctx, dut, pins)`, with `pins` by SERV's names."""
    monkeypatch.setattr(processor, "Instance", Pins)
    dut = Processor(reset_address=START)

    async def run(ctx):
        serv = Pins.last
        pins = serv.inputs | {
            name[2:]: value for name, value in serv.arguments.items() if name.startswith("o_")
        }
        await testbench(ctx, dut, pins)

    simulate(dut, testbenches=[run])


def test_fetch(monkeypatch):
    async def testbench(ctx, dut, pins):
        bus = dut.bus
        # What the data side shows meanwhile must not count.
        ctx.set(pins["o_dbus_we"], 1)
        ctx.set(pins["o_dbus_sel"], 0b0010)
        ctx.set(pins["o_dbus_adr"], 0x1234)
        assert not ctx.get(bus.cyc) and not ctx.get(bus.stb)
        ctx.set(pins["o_ibus_adr"], START + 8)
        ctx.set(pins["o_ibus_cyc"], 1)
        assert ctx.get(bus.cyc) and ctx.get(bus.stb) and not ctx.get(bus.we)
        assert ctx.get(bus.adr) == (START + 8) // 4 and ctx.get(bus.sel) == 0b1111
        ctx.set(bus.dat_r, 0xDEAD_BEEF)
        for answer in (bus.ack, bus.err):  # it knows no errors
            ctx.set(answer, 1)
            assert ctx.get(pins["i_ibus_ack"]) and not ctx.get(pins["i_dbus_ack"])
            assert ctx.get(pins["i_ibus_rdt"]) == 0xDEAD_BEEF
            ctx.set(answer, 0)
            assert not ctx.get(pins["i_ibus_ack"])

    bench(monkeypatch, testbench)


@pytest.mark.parametrize("write", [0, 1])
@pytest.mark.parametrize("select", [0b1111, 0b0011, 0b1000])
def test_data(monkeypatch, write, select):
    async def testbench(ctx, dut, pins):
        bus = dut.bus
        ctx.set(pins["o_dbus_adr"], 0x0021_C01C)
        ctx.set(pins["o_dbus_dat"], 0x0123_4567)
        ctx.set(pins["o_dbus_sel"], select)
        ctx.set(pins["o_dbus_we"], write)
        ctx.set(pins["o_dbus_cyc"], 1)
        assert ctx.get(bus.cyc) and ctx.get(bus.stb) and ctx.get(bus.we) == write
        assert ctx.get(bus.adr) == 0x0021_C01C // 4
        # Subordinates refuse reads of a part, which SERV picks itself.
        assert ctx.get(bus.sel) == (select if write else 0b1111)
        assert ctx.get(bus.dat_w) == 0x0123_4567
        ctx.set(bus.dat_r, 0x89AB_CDEF)
        for answer in (bus.ack, bus.err):
            ctx.set(answer, 1)
            assert ctx.get(pins["i_dbus_ack"]) and not ctx.get(pins["i_ibus_ack"])
            assert ctx.get(pins["i_dbus_rdt"]) == 0x89AB_CDEF
            ctx.set(answer, 0)

    bench(monkeypatch, testbench)


def test_a_fetch_that_reset_ends_does_not_become_a_write(monkeypatch):
    async def testbench(ctx, dut, pins):
        ctx.set(dut.hold, 1)
        assert ctx.get(pins["i_rst"])
        ctx.set(pins["o_dbus_we"], 1)  # of the instruction before
        assert not ctx.get(dut.bus.cyc) and not ctx.get(dut.bus.we)

    bench(monkeypatch, testbench)


def test_what_serv_is_built_with(monkeypatch):
    """The parameters and pins that it is given are its own, and no input is forgotten."""

    async def nothing(ctx, dut, pins):
        pass

    bench(monkeypatch, nothing)
    serv = Pins.last
    assert serv.arguments["p_RESET_PC"] == START
    text = {path.stem: path.read_text() for path in verilog_files()}[serv.name]
    head = text[: text.index(");")]
    parameters = re.findall(r"parameter\s+(?:\[[^\]]*\]\s*)?(\w+)", head)
    given = {name[2:] for name in serv.arguments if name.startswith("p_")}
    assert given <= set(parameters)
    # Ports between `ifdef` and `endif` are not there.
    ports = re.sub(r"`ifdef.*?`endif", "", head, flags=re.S)
    for direction, prefix in (("input", "i_"), ("output", "o_")):
        named = set(re.findall(rf"{direction}\s+wire\s+(?:\[[^\]]*\]\s*)?(\w+)", ports))
        ours = {name[2:] for name in serv.arguments if name.startswith(prefix)}
        assert ours <= named, ours - named
        if direction == "input":
            assert named == ours, named - ours


def test_every_module_of_serv_is_there():
    """Of the files that a build reads: each module that one uses is in another."""
    text = "\n".join(path.read_text() for path in verilog_files())
    text = re.sub(r"//.*|/\*.*?\*/", "", text, flags=re.M)
    modules = set(re.findall(r"^module\s+(\w+)", text, re.M))
    assert {path.stem for path in verilog_files()} == modules
    used = set(re.findall(r"^\s*(serv_\w+)\s*(?:#|\w+\s*\()", text, re.M))
    assert used and used <= modules, used - modules


@pytest.mark.parametrize("where", [None, "no origin"])
def test_without_its_wheel(monkeypatch, where):
    found = None if where is None else type("Spec", (), {"origin": None})()
    monkeypatch.setattr(processor.util, "find_spec", lambda name: found)
    with pytest.raises(UserError) as caught:
        verilog_files()
    assert str(caught.value) == (
        "The processor SERV is missing: run `pip install pythondata-cpu-serv` (or `make demo`, "
        "which installs everything)"
    )


@pytest.mark.parametrize("address", [2, -4, 1 << 32])
def test_wrong_reset_address(address):
    text = f"Reset address must be a multiple of 4 below 2**32, not {address:#x}"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Processor(reset_address=address)
