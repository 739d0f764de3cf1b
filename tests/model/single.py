"""Networks of one convolution on one pixel, whose sums a test controls."""

import numpy as np

from model.network import Classifier, Conv, Network, validate


def single(weights, *, bias=0, multiplier=1, shift=1, group_size=1, order="after", **more):
    """One 1x1 convolution of one pixel, whose S a test controls."""
    channels = len(weights)
    conv = Conv(
        name=more.pop("name", "conv"),
        source=0,
        weights=np.asarray(weights).reshape(channels, 1, 1, -1),
        weight_bits=8,
        stride=1,
        padding=(0, 0, 0, 0),
        bias=np.broadcast_to(bias, channels).astype(np.int64),
        multiplier=np.broadcast_to(multiplier, channels).astype(np.int64),
        shift=np.broadcast_to(shift, channels).astype(np.int64),
        group_size=group_size,
        activation_bits=more.pop("bits", 8),
        order=order,
        **more,
    )
    classifier = Classifier(
        name="end",
        source=1,
        weights=np.eye(channels, dtype=np.int64),
        weight_bits=2,
        bias=np.zeros(channels, np.int64),
    )
    network = Network(
        name="single",
        input_shape=(1, 1, conv.weights.shape[3]),
        layers=(conv, classifier),
        classes=tuple(map(str, range(channels))),
    )
    validate(network)
    return network
