"""The layer table's entries, of layers whose addresses are counted by hand."""

import numpy as np

from hw.compile.entries import layer_entry
from hw.compile.places import Place
from model.network import Identity, Projection
from tests.hw.compile.helpers import SMALL, conv, network

WRAP = 2**SMALL.record_address_bits
#: Record address of the first record of bank 1: 256 words of 4 records.
BANK = 1024


def test_of_the_image():
    """8 x 8 x 2 bytes, a window of 3 x 3 that begins in the padding."""
    entry = layer_entry(network(conv()), 0, {1: Place(1, 8, 64)}, SMALL, weights=3, parameters=5)
    assert (entry.image, entry.classifier, entry.final, entry.projection, entry.identity) == (
        1, 0, 0, 0, 0,
    )  # fmt: skip
    assert entry.source == WRAP - 16 - 2  # a line and a pixel before the first byte
    assert (entry.kernel_x_step, entry.kernel_return) == (2, 16 - 2 * 2)
    assert entry.line_return == 16 - 7 * 2
    assert (entry.start_y, entry.last_y, entry.stride) == (-1, 6, 1)
    assert entry.output == BANK + 4 * 8
    assert (entry.weights, entry.parameters) == (3, 5)
    # Eight channels a pixel; order `after`: each channel's sum takes the requantiser 4 cycles.
    assert (entry.tiles, entry.tile_lanes, entry.lane_cycles) == (1, 8, 4)
    assert (entry.drain_cycles, entry.last_drain_cycles) == (64, 32)


def test_of_a_shortcut_and_a_residual():
    made = network(
        conv("a"),
        conv("b", 1, 8),
        conv(
            "c", 2, 8,
            projection=Projection(source=0, stride=1, exponent=0, weights=np.ones((8, 2), int)),
            identity=Identity(source=1, factor=np.full(8, 1)),
        ),
    )  # fmt: skip
    places = {1: Place(1, 0, 64), 2: Place(0, 0, 64), 3: Place(0, 64, 64)}
    entry = layer_entry(made, 2, places, SMALL, weights=0, parameters=0)
    # Four groups a pixel are one word of four records.
    assert (entry.kernel_x_step, entry.groups, entry.group) == (4, 4, 2)
    assert (entry.projection, entry.projection_image, entry.projection_source) == (1, 1, 0)
    assert (entry.projection_x_step, entry.projection_return) == (2, 2)
    assert (entry.projection_groups, entry.projection_group, entry.tile_step) == (2, 1, 2)
    assert (entry.identity, entry.identity_source, entry.identity_group) == (1, BANK, 2)


def test_of_a_classifier():
    """One window over all of its input; logits in the last 16 words of bank 1."""
    entry = layer_entry(network(conv()), 1, {1: Place(0, 0, 64)}, SMALL, weights=18, parameters=8)
    assert (entry.classifier, entry.final, entry.image, entry.before) == (1, 1, 0, 1)
    assert (entry.kernel_height, entry.kernel_width, entry.start_y, entry.last_y) == (8, 8, 0, 0)
    assert (entry.weight_step, entry.tile_step) == (0, 8)
    assert entry.output == BANK + 4 * (256 - 16)
    assert (entry.output_group, entry.lane_cycles, entry.last_drain_cycles) == (4, 1, 4)
