"""The project's own pictures: same bytes everywhere, in the shape that a network takes."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from firmware.drawings import DRAWINGS, draw, drawings
from model import zoo
from model.network import load


@pytest.fixture(scope="module")
def network():
    return load(zoo.find(None))


def test_pictures_are_the_same_everywhere(network):
    """The digest of the seven: whoever changes a drawing changes it here."""
    found = drawings(network)
    assert [len(one) for one in found] == [32 * 32 * 3] * len(DRAWINGS)
    assert len(set(found)) == len(DRAWINGS) == 7
    digest = hashlib.sha256(b"".join(found)).hexdigest()
    assert digest.startswith("8aa3a528642076bc")


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("height, width", [(32, 32), (7, 13), (64, 48), (1, 1)])
def test_shapes(name, height, width):
    picture = draw(name, height, width)
    assert picture.shape == (height, width, 3) and picture.dtype == np.uint8
    if height > 7:
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_pixels_are_means(network):
    """A picture of half the size is the mean of the larger one's pixels, but for rounding."""
    large, half = draw("frog", 64, 64).astype(int), draw("frog", 32, 32).astype(int)
    mean = large.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(mean - half).mean() < 1


def test_grey_and_dark(network):
    """Grey by ITU-R BT.601; an input of fewer bits takes the upper ones."""
    grey = drawings(replace(network, input_shape=(32, 32, 1)))
    colour = np.frombuffer(drawings(network)[0], np.uint8).reshape(-1, 3).astype(int)
    right = (299 * colour[:, 0] + 587 * colour[:, 1] + 114 * colour[:, 2] + 500) // 1000
    assert list(grey[0]) == right.tolist()
    dark = drawings(replace(network, input_bits=3))
    assert list(dark[2]) == [value >> 5 for value in drawings(network)[2]]


def test_inputs_that_are_no_pictures(network):
    for channels in (2, 4):
        assert drawings(replace(network, input_shape=(32, 32, channels))) == ()
