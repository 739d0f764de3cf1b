"""The networks of the conformance set: the same each time, and none that decides nothing."""

import numpy as np

from hw.boards import find_board
from model.integers import oracle
from sim.conformance_networks import conformance_set
from sim.networks import images_for
from tests.hw.engine.helpers import CAPABILITY as TINY

BOARD = find_board("icebreaker").capability


def test_the_same_each_time():
    first, second = conformance_set(TINY), conformance_set(TINY)
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        for layer, again in zip(one.layers, other.layers, strict=True):
            assert (layer.weights == again.weights).all() and (layer.bias == again.bias).all()


def test_images_change_the_outcome():
    """No network decides alike, with equal logits, on all images: that would test little."""
    for number, network in enumerate(conformance_set(BOARD)):
        logits = oracle.run(network, images_for(network, number, 4)).logits
        assert len(np.unique(logits, axis=0)) > 1, network.name
