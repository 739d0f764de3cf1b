"""The conformance set: what it covers, that the RTL computes it, and the faults that it sees."""

import re
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import signed
from amaranth.lib import data

from hw.boards import find_board
from hw.capability import Capability
from hw.compile.plan import make_plan
from hw.engine.drain import layouts, sums
from hw.layer_entry import entry_shapes
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
    shapes = entry_shapes(BOARD)
    assert list(found) == list(shapes)
    whole = (
        "image", "projection", "projection_image", "identity", "before", "binary", "wide",
        "classifier", "final", "exponent", "kernel_height", "kernel_width", "input_height",
        "input_width", "stride", "tile_lanes", "lane_cycles", "groups", "projection_groups",
    )  # fmt: skip
    for name in whole:
        assert found[name] == (shapes[name].least, shapes[name].most), name
    # A kernel has one tap inside at least.
    assert found["start_y"][0] == found["start_x"][0] == shapes["start_y"].least + 1
    assert found["last_drain_cycles"][1] == found["drain_cycles"][1] == 4 * BOARD.lanes
    assert found["maximum"] == (1, shapes["maximum"].most)
    assert found["group"] == (1, BOARD.largest_group)
    assert found["output_group"] == (1, BOARD.logit_words)
    # 504 channels of two slices: 63 tiles of eight.
    assert found["tiles"] == (1, 63)
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
    from model.integers import oracle
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
