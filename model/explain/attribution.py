"""Which maps carried a class: exactly for the classifier, by shares for the layers before it.

**The classifier is exact.** A logit is an integer sum over the records (v, k) of its source tensor,

    logit[o] = bias[o] + Σ over pixels and groups  weights[o, g·ℓ + k] · v

so that every record's term is its contribution, of either sign, and all of them with the bias add
up to the logit. The same holds for the margin, the difference of two logits.

**The layers before it are a choice.** A record that lives got its value from the sum S of its
winner; the losers of its group left no trace. S is itself a sum, of weight times value over the
records that were read, of bias and residual. The record's relevance is handed back in proportion
to these terms, along the path of the winners: a term z gets z / S of it, the bias keeps its own.
This is the basic rule of layer-wise relevance propagation (Bach et al., "On pixel-wise explanations
for non-linear classifier decisions by layer-wise relevance propagation", PLoS ONE 10(7), 2015). It
needs no stabiliser, because S of a record that lives is at least 1. Nothing is lost or made on the
way, and what the biases keep is reported. It is computed in 64-bit floating point, and checked to
add up.

What it does not say: a map that came close and lost gets nothing; where large terms of both signs
nearly cancel, the shares of both are large; and a share is not an effect, for without a winner
another map of its group would have won.
"""

from dataclasses import dataclass

import numpy as np

from model.integers import oracle
from model.network import Network

__all__ = ["Explanation", "Layer", "Target", "explain", "maps_of"]

TOLERANCE = 1e-9  # of what is handed back, relative to all that is handed on


@dataclass(frozen=True)
class Layer:
    """Relevance of one tensor's records, for one target.

    ``records`` [H, W, G] is the relevance itself, in units of the logit, ``winners`` [H, W, G] the
    map of its group that each is of; ``pixels`` [H, W] and ``maps`` [C] are its sums; ``kept`` is
    what the biases of the layer that made the records keep of it.
    """

    records: np.ndarray
    winners: np.ndarray
    pixels: np.ndarray
    maps: np.ndarray
    kept: float


@dataclass(frozen=True)
class Target:
    """What is explained: a logit, or its margin over another one.

    ``total`` = ``bias`` + sum of ``contributions`` [H, W, G], exact integers, over the records of
    the classifier's source. ``tensors[i]`` is tensor i's relevance, the image first.
    """

    kind: str
    total: int
    bias: int
    contributions: np.ndarray
    tensors: tuple[Layer, ...]


@dataclass(frozen=True)
class Explanation:
    """A decision of `network` on `image` [H, W, C] uint8, and what carried it.

    ``records[i]`` are tensor i's, the image first; ``value`` and ``winner`` [H, W, G] int64.
    ``decided`` is the network's class, ``chosen`` the explained one, ``runner`` the best of the
    others (None in a network of one class). ``targets``: the logit and, with a runner, the margin.
    """

    network: Network
    image: np.ndarray
    records: tuple[oracle.Records, ...]
    logits: np.ndarray
    decided: int
    chosen: int
    runner: int | None
    targets: tuple[Target, ...]


def explain(network: Network, image: np.ndarray, chosen: int | None = None) -> Explanation:
    """Explain class number `chosen` (by default, the one decided for) on one `image` [H, W, C]."""
    result = oracle.run(network, image[None])
    value = image.astype(np.int64)
    records = (
        oracle.Records(value, np.zeros_like(value)),
        *(oracle.Records(r.value[0], r.winner[0]) for r in result.records),
    )
    logits, decided = result.logits[0], int(result.decisions[0])
    chosen = decided if chosen is None else chosen
    others = [o for o in range(len(logits)) if o != chosen]
    runner = max(others, key=lambda o: (logits[o], -o)) if others else None
    targets = [_target(network, records, logits, "logit", chosen, None)]
    if runner is not None:
        targets.append(_target(network, records, logits, "margin", chosen, runner))
    return Explanation(network, image, records, logits, decided, chosen, runner, tuple(targets))


def _target(network, records, logits, kind, chosen, runner):
    last = network.classifier
    weights, bias = last.weights.astype(np.int64)[chosen], int(last.bias[chosen])
    total = int(logits[chosen])
    if runner is not None:
        weights = weights - last.weights.astype(np.int64)[runner]
        bias, total = bias - int(last.bias[runner]), total - int(logits[runner])
    source = network.tensors[last.source]
    contributions = weights[maps_of(records[last.source], source)] * records[last.source].value
    if bias + int(contributions.sum()) != total:
        raise RuntimeError(
            f"Contributions add up to {bias + int(contributions.sum())}, not to the {kind} {total}"
        )
    return Target(kind, total, bias, contributions, _hand_back(network, records, contributions))


def maps_of(records, tensor):
    """Number of the map that each record is of: [H, W, G]."""
    return np.arange(tensor.groups) * tensor.group_size + records.winner


def _hand_back(network, records, contributions):
    """Relevance of every tensor, the image first, from that of the classifier's source."""
    tensors = network.tensors
    relevance = [np.zeros((t.height, t.width, t.channels)) for t in tensors]  # dense, by map
    batch = [oracle.Records(r.value[None], r.winner[None]) for r in records]
    dense = [oracle.expand(r, t.group_size)[0] for r, t in zip(batch, tensors, strict=True)]
    last = network.classifier.source
    at = maps_of(records[last], tensors[last])
    np.put_along_axis(relevance[last], at, contributions.astype(float), 2)
    kept = [0.0] * len(tensors)
    for index in reversed(range(len(network.convs))):
        layer, got = network.convs[index], relevance[index + 1]
        total = oracle.accumulate(layer, batch)[0]
        share = np.divide(got, total, out=np.zeros_like(got), where=got != 0)
        kept[index + 1] = float((share * layer.bias).sum())
        given = _hand_back_layer(layer, dense, relevance, share)
        lost = abs(got.sum() - given - kept[index + 1])
        if lost > TOLERANCE * max(np.abs(got).sum(), 1):
            raise RuntimeError(f"Relevance of {layer.name} does not add up: {lost:g} is lost")
    return tuple(
        Layer(
            records=np.take_along_axis(part, maps_of(r, t), 2),
            winners=r.winner,
            pixels=part.sum(2),
            maps=part.sum((0, 1)),
            kept=bias,
        )
        for part, r, t, bias in zip(relevance, records, tensors, kept, strict=True)
    )


def _hand_back_layer(layer, dense, relevance, share):
    """Add term · `share` [H, W, Cout] to the relevance of what was read; returns their sum.

    Every tap is one statement, as in the oracle.
    """
    height, width, _ = share.shape
    _, kernel_height, kernel_width, _ = layer.weights.shape
    top, bottom, left, right = layer.padding
    source = np.pad(dense[layer.source], ((top, bottom), (left, right), (0, 0)))
    padded = np.zeros(source.shape)
    for ky in range(kernel_height):
        for kx in range(kernel_width):
            rows = slice(ky, ky + (height - 1) * layer.stride + 1, layer.stride)
            columns = slice(kx, kx + (width - 1) * layer.stride + 1, layer.stride)
            padded[rows, columns] += source[rows, columns] * (share @ layer.weights[:, ky, kx])
    inside = padded[top : padded.shape[0] - bottom, left : padded.shape[1] - right]
    relevance[layer.source] += inside
    given = inside.sum()
    if layer.projection is not None:
        shortcut = layer.projection
        rows = slice(0, (height - 1) * shortcut.stride + 1, shortcut.stride)
        columns = slice(0, (width - 1) * shortcut.stride + 1, shortcut.stride)
        part = dense[shortcut.source][rows, columns] * (share @ shortcut.weights)
        part = part * 2.0**shortcut.exponent
        relevance[shortcut.source][rows, columns] += part
        given += part.sum()
    if layer.identity is not None:
        part = dense[layer.identity.source] * layer.identity.factor * share
        relevance[layer.identity.source] += part
        given += part.sum()
    return given
