"""The words that a host loads: each slice where the hardware reads it."""

from dataclasses import replace

import numpy as np
import pytest

from hw.compile.plan import ClassifierPlace, make_plan
from tests.hw.compile.helpers import SMALL, conv, network
from tests.hw.engine.helpers import plans


def test_weights_lie_where_the_walk_reads_them():
    """Slice by slice: word (tile, tap, group, winner), lane (channel, slice)."""
    for plan in plans(6, 2100):
        capability = plan.capability
        halves = plan.weights.reshape(-1, capability.bus_words_per_weight_word)
        lanes = [
            [int(half) >> 4 * lane & 15 for half in word for lane in range(8)] for word in halves
        ]
        first = 0
        for index, layer in enumerate(plan.network.layers):
            slices = 1 if layer.weight_bits <= 4 else 2
            per_tile = capability.lanes // slices
            taps = layer.weights.reshape(layer.channels, -1)
            if layer.projection is not None:
                taps = np.concatenate([taps, layer.projection.weights], axis=1)
            for channel in range(layer.channels):
                tile, lane = divmod(channel, per_tile)
                for number, weight in enumerate(taps[channel].tolist()):
                    word = lanes[first + tile * taps.shape[1] + number]
                    found = word[slices * lane : slices * lane + slices]
                    value = found[0] if slices == 1 else found[0] | found[1] << 4
                    assert value == weight % (1 << 4 * slices)
            first += plan.layers[index].weight_words
        assert first == len(lanes)


def test_overlapping_tiles():
    """Three tiles of 8 channels, 2 words apart: what they share is there once."""
    rows = np.zeros((48, 8), np.int64)
    for output in range(48):
        tile, lane = divmod(output, 16)
        for channel in range(8):
            rows[output, channel] = (2 * tile + channel + lane) % 3
    made = network(conv(), classes=48, weights=rows)
    capability = replace(SMALL, logit_words=64)
    whole = make_plan(made, capability)
    plan = make_plan(made, capability, ClassifierPlace(tile_step=2))
    assert whole.layers[-1].weight_words == 24 and plan.layers[-1].weight_words == 12
    assert plan.layers[-1].entry == replace(whole.layers[-1].entry, tile_step=2)
    first = 2 * plan.layers[-1].entry.weights
    tiles = [plan.weights[first + 4 * tile :][:16] for tile in range(3)]
    assert (np.concatenate(tiles) == whole.weights[first:]).all()
    rows[20, 3] += 1
    with pytest.raises(ValueError) as caught:
        make_plan(network(conv(), classes=48, weights=rows), capability,
                  ClassifierPlace(tile_step=2))  # fmt: skip
    assert str(caught.value) == "Tiles of the classifier differ where they overlap, 2 words on"
