"""The conformance set: what it covers, that the RTL computes it, and the faults that it sees."""

import re
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import signed
from amaranth.lib import data

from hw.boards import find_board
from hw.capability import OPERAND_BITS, Capability
from hw.engine import drain
from hw.engine.layout import table_fields
from hw.plan import make_plan
from sim.conformance import FEATURES, conformance_set, coverage, verify_conformance
from sim.model import compile_model
from tests.hw.engine.helpers import CAPABILITY as TINY
from tests.sim.helpers import GENERIC

BOARD = find_board("icebreaker").capability


@pytest.mark.parametrize("capability", [BOARD, GENERIC], ids=["icebreaker", "generic"])
def test_every_feature_is_covered(capability):
    plans = [make_plan(network, capability) for network in conformance_set(capability)]
    found = coverage(plans)
    assert found.missing == ()
    assert found.features == tuple(FEATURES)


def test_fields_at_their_limits():
    """Every field of the layer table that no memory of the board limits goes from end to end."""
    found = coverage(make_plan(network, BOARD) for network in conformance_set(BOARD)).fields
    assert set(found) == {name for word in table_fields(BOARD) for name, _ in word}
    switches = (
        "image", "projection", "projection_image", "identity", "before", "binary", "wide",
        "classifier", "final",
    )  # fmt: skip
    for name in switches:
        assert found[name] == (0, 1), name
    sizes = ("kernel_height", "kernel_width", "input_height", "input_width")
    for name in sizes:
        assert found[name] == (0, 2**BOARD.size_bits - 1), name
    assert found["start_y"] == found["start_x"] == (-(2**BOARD.size_bits) + 1, 0)
    assert found["exponent"] == (0, OPERAND_BITS - 1)
    assert found["stride"] == (0, 15)
    assert found["tile_lanes"] == (0, BOARD.lanes - 1)
    assert found["lane_cycles"] == (0, 3)
    assert found["last_drain_cycles"][1] == found["drain_cycles"][1] == 4 * BOARD.lanes - 1
    assert found["maximum"] == (1, 2**BOARD.activation_bits - 1)
    assert found["groups"] == found["projection_groups"] == (0, 255)
    assert found["group"] == (1, BOARD.largest_group)
    assert found["output_group"] == (0, BOARD.logit_words - 1)
    # 504 channels of two slices: 63 tiles of eight.
    assert found["tiles"] == (0, 62)
    # The last eighth of the weights, the upper half of the records, the last parameters.
    assert found["weights"][1] > BOARD.weight_words * 7 / 8
    assert found["output"][1] >= BOARD.bank_words * BOARD.records_per_word
    assert found["parameters"][1] > BOARD.parameter_words - 9


def test_the_same_each_time():
    first, second = conformance_set(TINY), conformance_set(TINY)
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        for layer, again in zip(one.layers, other.layers, strict=True):
            assert (layer.weights == again.weights).all() and (layer.bias == again.bias).all()


def test_too_small_for_everything():
    """What a capability has no room for is said, not passed over."""
    capability = replace(TINY, layer_entries=4, image_bytes=64)
    networks = conformance_set(capability)
    found = coverage(make_plan(network, capability) for network in networks)
    assert {"64 classes and more", "negative residual factor"} <= set(found.missing)
    assert set(found.missing) | set(found.features) == set(FEATURES)
    assert not set(found.missing) & set(found.features)


def test_images_change_the_outcome():
    """No network decides alike, with equal logits, on all images: that would test little."""
    from model import oracle
    from sim.networks import images_for

    for number, network in enumerate(conformance_set(BOARD)):
        logits = oracle.run(network, images_for(network, number, 4)).logits
        assert len(np.unique(logits, axis=0)) > 1, network.name


def test_on_the_boards_rtl(ice40_model):
    result = verify_conformance(ice40_model)
    assert result.mismatch is None
    assert result.networks == len(conformance_set(BOARD)) and result.frames == 2 * result.networks
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
    "negative lines": {"edit": without_sign(r"! \\\$signal\$\d+ \[7:6\]")},
    "classes from 64 on": {"index_bits": 6},
    "sign of the residual factor": {"unsigned_factor": True},
}


def compile_faulty(fault, monkeypatch, cache, capability=BOARD):
    if "index_bits" in fault:
        monkeypatch.setattr(drain, "INDEX_BITS", fault["index_bits"])
    if fault.get("unsigned_factor"):
        monkeypatch.setattr(drain, "parameter_layout", _unsigned_factor)
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
