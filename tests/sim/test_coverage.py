"""What the conformance set covers, and that what it leaves out is said."""

from dataclasses import replace

import numpy as np
import pytest

from hw.boards import find_board
from hw.compile.plan import make_plan
from hw.layer_entry import entry_shapes
from model.integers import oracle
from sim.conformance_networks import conformance_set
from sim.coverage import FEATURES, RECORD_FEATURES, coverage
from sim.networks import images_for
from tests.hw.engine.helpers import CAPABILITY as TINY
from tests.sim.helpers import GENERIC

BOARD = find_board("icebreaker").capability


@pytest.mark.parametrize("capability", [BOARD, GENERIC], ids=["icebreaker", "generic"])
def test_every_feature_is_covered(capability):
    networks = conformance_set(capability)
    plans = [make_plan(network, capability) for network in networks]
    values = [values_of(network, number) for number, network in enumerate(networks)]
    found = coverage(plans, values)
    assert found.missing == ()
    assert found.features == (*FEATURES, *RECORD_FEATURES)
    assert coverage(plans).missing == tuple(RECORD_FEATURES), "without records none is counted"


def values_of(network, number):
    """Values of the records of the frames that `sim.conformance` runs."""
    images = images_for(network, number, 2)
    return [layer.value for layer in oracle.run(network, images).records]


#: Records that are not zero in the words of one window; what the window exercises.
WINDOWS = {
    (4, 3, 2): (),
    (1, 0, 1): ("word of zeros that is dropped",),
    (1, 0): ("window that ends with a word of zeros",),
    (0, 0): ("word of zeros that is dropped", "window of zeros"),
    (2, 2, 2, 2): ("words that wait in a full queue",),
    (2, 2, 1, 2, 2): (),
}


@pytest.mark.parametrize("words", WINDOWS)
def test_features_of_records(words):
    counts = np.array(words).reshape(-1, 1)
    found = tuple(name for name, test in RECORD_FEATURES.items() if test(counts))
    assert found == WINDOWS[words]


def test_fields_at_their_limits():
    """Every field of the layer table that no memory of the board limits goes from end to end."""
    found = coverage([make_plan(network, BOARD) for network in conformance_set(BOARD)]).fields
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


def test_too_small_for_everything():
    """What a capability has no room for is said, not passed over."""
    capability = replace(TINY, layer_entries=4, image_bytes=64)
    networks = conformance_set(capability)
    found = coverage([make_plan(network, capability) for network in networks])
    assert {"64 classes and more", "negative residual factor"} <= set(found.missing)
    assert set(found.missing) | set(found.features) == {*FEATURES, *RECORD_FEATURES}
    assert not set(found.missing) & set(found.features)
