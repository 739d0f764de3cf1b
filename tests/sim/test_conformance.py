"""The conformance set: that the RTL computes it, and the faults that it sees."""

import re

import pytest
from amaranth.hdl import signed
from amaranth.lib import data

from hw.boards import find_board
from hw.capability import Capability
from hw.engine.drain import layouts, sums
from sim.conformance import verify_conformance
from sim.conformance_networks import conformance_set
from sim.model import compile_model
from tests.sim.helpers import LONG

BOARD = find_board("icebreaker").capability


def test_on_the_boards_rtl(ice40_model):
    result = verify_conformance(ice40_model)
    assert result.mismatch is None
    assert result.networks == len(conformance_set(BOARD)) and result.frames == 2 * result.networks
    assert result.coverage.missing == ()


def test_in_the_long_pipeline(long_model):
    result = verify_conformance(long_model)
    assert result.mismatch is None
    assert result.networks == len(conformance_set(LONG))
    assert result.coverage.missing == ()


def without_sign(pattern):
    """An edit of the Verilog: of the sign of a coordinate, nothing is left."""

    def edit(verilog):
        text, count = re.subn(pattern, "1'h1", verilog)
        assert count == 1, f"no {pattern} in the Verilog"
        return text

    return edit


FAULTS = {
    "negative columns": {"edit": without_sign(r"! tap_x\[7:6\]")},
    "negative lines": {"edit": without_sign(r"! tap_y\[7:6\]")},
    "classes from 64 on": {"index_bits": 6},
    "sign of the residual factor": {"unsigned_factor": True},
}


def compile_faulty(fault, monkeypatch, cache, capability=BOARD):
    if "index_bits" in fault:
        monkeypatch.setattr(layouts, "INDEX_BITS", fault["index_bits"])
    if fault.get("unsigned_factor"):
        monkeypatch.setattr(sums, "parameter_layout", _unsigned_factor)
    model = compile_model(capability, cache=cache, edit=fault.get("edit"))
    monkeypatch.undo()
    return model


def _unsigned_factor(capability: Capability):
    return data.StructLayout({
        "multiplier": capability.multiplier_bits,
        "bias": signed(capability.bias_bits),
        "factor": capability.factor_bits,
    })  # fmt: skip


@pytest.mark.parametrize(
    "name", [name if name == "negative columns" else pytest.param(name, marks=pytest.mark.slow)
             for name in FAULTS]
)  # fmt: skip
def test_faults_that_the_default_network_does_not_show(tmp_path, monkeypatch, name):
    model = compile_faulty(FAULTS[name], monkeypatch, tmp_path / "cache")
    assert verify_conformance(model).mismatch is not None
