"""Networks without some of their maps, by the oracle's own arithmetic."""

import numpy as np

from model.integers import oracle


def run_without(network, masks, images):
    """The oracle's results where the maps of `masks` may not win: S = −∞ in the competition."""
    value = images.astype(np.int64)
    tensors = [oracle.Records(value, np.zeros_like(value))]
    for layer, mask in zip(network.convs, masks, strict=True):
        total = oracle.accumulate(layer, tensors)
        found = oracle.requantise(total, layer.multiplier, layer.shift, layer.activation_bits)
        key = np.where(mask, -(2**62), total if layer.order == "before" else found)
        found = np.where(mask, 0, found)
        found = (found > 0).astype(np.int64) if layer.binary else found
        tensors.append(oracle.winner_takes_all(key, found, layer.group_size))
    last = network.classifier
    size = network.tensors[last.source].group_size
    pooled = oracle.expand(tensors[last.source], size).sum((1, 2))
    return tensors[1:], pooled @ last.weights.astype(np.int64).T + last.bias
