"""Pruning of feature maps by how rarely they win, beside magnitude and chance.

A removed map never wins: the rest of its group competes without it. Its filter is then never
needed, and where a whole group is gone, neither are the weights that read it. Nothing is trained
afterwards. That rarely winning maps might be pruned is future work named in arXiv 2012.01509.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from model.common.lazy import torch
from model.data.cifar import Images, to_input
from model.integers.reference import Reference
from model.measure.multiplications import skeleton
from model.measure.wins import network_wins, torch_wins
from model.network import Classifier, Conv, Network
from model.network.count import taps

if TYPE_CHECKING:
    from model.dham.resnet import ResNet

__all__ = [
    "CRITERIA",
    "SCOPES",
    "Masks",
    "choose",
    "cost",
    "curve",
    "curve_of",
    "prune",
    "right_decisions",
    "scores",
]

CRITERIA = ("wins", "magnitude", "random")
SCOPES = ("layer", "global")
BATCH = 250  # images at once through a ResNet
REFERENCE_BATCH = 50  # and through the integer reference, which is fastest so
NEVER = -1e6  # β of a removed map, where an activation of 1 is 1

Either = TypeVar("Either", "ResNet", Network)
Masks = list[np.ndarray]  # for each convolution bool [Cout], true where the map is removed


def scores(
    network: ResNet | Network, criterion: str, images: Images | None = None, seed: int = 0
) -> list[np.ndarray]:
    """For each convolution, how much each map is worth, float64 [Cout]; the least goes first.

    ``wins``: share of the pixels of `images` at which the map has a record of its own, a value
    above 0 (for ℓ = 1: at which it is active). ``magnitude``: L1 norm of its filter, projection
    included, over the mean of its layer. ``random``: drawn by `seed`.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"Criterion must be one of {', '.join(CRITERIA)}, not {criterion!r}")
    if criterion == "wins":
        if images is None or len(images) == 0:
            raise ValueError("Ranking by wins needs at least one image")
        return _wins(network, images)
    if criterion == "magnitude":
        norms = _filter_norms(network)
        return [norm / max(norm.mean(), 1e-12) for norm in norms]
    draw = np.random.default_rng(seed)
    return [draw.random(len(norm)) for norm in _filter_norms(network)]


def _wins(network, images):
    if isinstance(network, Network):
        found = network_wins(network, images)
    else:
        from model.dham.resnet import evaluating

        layers = [(layer.name, layer.group_size) for layer in network.layers]
        device = next(network.parameters()).device
        with evaluating(network):
            found = torch_wins(
                lambda pixels: network.activations(to_input(pixels.to(device))),
                layers,
                images,
                network.shape.classes,
            )
    return [layer.per_map().double().numpy() / layer.pixels() for layer in found]


def _filter_norms(network):
    if isinstance(network, Network):
        norms = []
        for layer in network.convs:
            norm = np.abs(layer.weights).sum((1, 2, 3)).astype(np.float64)
            if layer.projection is not None:
                shortcut = layer.projection
                norm += np.abs(shortcut.weights).sum(1) * 2.0**shortcut.exponent
            norms.append(norm)
        return norms
    # One matrix holds the filter and, where there is one, the projection.
    return [layer.weight.detach().abs().sum(1).double().cpu().numpy() for layer in network.layers]


def choose(scores: Sequence[np.ndarray], share: float, scope: str = "layer") -> Masks:
    """The maps to remove: `share` (0 to below 1) of each layer's, or of all maps together.

    The number is rounded down; of equal scores the later map goes first; one map of every layer
    stays in any case.
    """
    if not 0 <= share < 1:
        raise ValueError(f"Share to prune must be from 0 to below 1, not {share:g}")
    if scope not in SCOPES:
        raise ValueError(f"Scope must be layer or global, not {scope!r}")
    masks = [np.zeros(len(layer), bool) for layer in scores]
    if scope == "layer":
        for layer, mask in zip(scores, masks, strict=True):
            mask[_least_first(layer)[: _count(share, len(layer))]] = True
        return masks
    # Every layer's best map is kept out of the draw.
    candidates = [
        (score, -index, -number)
        for number, row in enumerate(scores)
        for index, score in enumerate(row)
        if index != _least_first(row)[-1]
    ]
    for _, place, number in sorted(candidates)[: _count(share, sum(map(len, scores)))]:
        masks[-number][-place] = True
    return masks


def _least_first(layer):
    """Indices by score; of equal scores the highest index first."""
    return np.lexsort((-np.arange(len(layer)), layer))


def _count(share, maps):
    return min(int(share * maps + 1e-9), maps - 1)


def prune(network: Either, masks: Sequence[np.ndarray]) -> Either:
    """A copy of `network` in which the maps of `masks` never win; nothing else changes.

    Of a file's network the filter, bias and factor of a removed map become 0. Its S is then 0 and
    so is Q(0) = 2^(s−1) >> s; in either order another map of the group wins wherever its Q is above
    0, and where none is, the record is (0, 0) anyway. Weights that would read the map become 0 as
    well. No accumulator's bound grows. Golden vectors and metadata are dropped: they are of
    another network.

    Of a `ResNet`, β becomes so low that the sum is below 0 whatever the input; weights stay, for a
    group shares the step of its quantiser.
    """
    maps = [len(mask) for mask in masks]
    if isinstance(network, Network):
        _check_masks(maps, [layer.channels for layer in network.convs])
        return _prune_file(network, masks)
    pruned = copy.deepcopy(network)
    layers: Any = pruned.layers
    _check_masks(maps, [layer.window[0] for layer in layers])
    with torch.no_grad():
        for layer, mask in zip(layers, masks, strict=True):
            layer.beta[torch.from_numpy(mask).to(layer.beta.device)] = NEVER
    return pruned


def _check_masks(given, maps):
    if given != maps:
        raise ValueError(f"Masks are of {given} maps, the network's layers have {maps}")


def _prune_file(network, masks):
    removed = [np.zeros(network.input_shape[2], bool), *masks]  # by tensor

    def cleared(weights, source, mask=None):
        weights = weights.copy()
        weights[..., removed[source]] = 0
        if mask is not None:
            weights[mask] = 0
        return weights

    layers: list[Conv | Classifier] = []
    for layer, mask in zip(network.convs, masks, strict=True):
        projection, identity = layer.projection, layer.identity
        if projection is not None:
            weights = cleared(projection.weights, projection.source, mask)
            projection = replace(projection, weights=weights)
        if identity is not None:
            identity = replace(identity, factor=np.where(mask, 0, identity.factor))
        layers.append(
            replace(
                layer,
                weights=cleared(layer.weights, layer.source, mask),
                bias=np.where(mask, 0, layer.bias),
                projection=projection,
                identity=identity,
            )
        )
    last = network.classifier
    layers.append(replace(last, weights=cleared(last.weights, last.source)))
    return replace(network, layers=tuple(layers), golden=None, metadata={}, sha256=None)


def cost(network: ResNet | Network, masks: Sequence[np.ndarray]) -> tuple[int, int]:
    """(multiplications of one frame, weights) that are left without the maps of `masks`.

    A removed map saves its own products; the products of whoever reads it are saved once its whole
    group is gone, because a group counts once (`model.network.count`).
    """
    if not isinstance(network, Network):
        network = skeleton(network.shape)
    tensors = network.tensors
    live = [np.ones(network.input_shape[2], bool), *(~mask for mask in masks)]
    groups = [
        int(kept.reshape(-1, tensor.group_size).any(1).sum())
        for kept, tensor in zip(live, tensors, strict=True)
    ]
    maps = [int(kept.sum()) for kept in live]
    products = weights = 0
    for index, layer in enumerate(network.convs):
        _, high, wide, _ = layer.weights.shape
        reads = taps(layer, tensors[layer.source]) * groups[layer.source]
        fan_in = high * wide * maps[layer.source]
        if layer.projection is not None:
            reads += tensors[index + 1].pixels * groups[layer.projection.source]
            fan_in += maps[layer.projection.source]
        products += reads * maps[index + 1]
        weights += fan_in * maps[index + 1]
    last = network.classifier
    products += tensors[last.source].pixels * groups[last.source] * last.channels
    return products, weights + maps[last.source] * last.channels


def curve(
    network: Either,
    images_for_ranking: Images,
    images_for_accuracy: Images,
    shares: Sequence[float],
    criterion: str,
    *,
    scope: str = "layer",
    seed: int = 0,
    advance: Callable[[int], object] | None = None,
) -> list[dict]:
    """Accuracy against the share pruned, by one criterion; a row for each share.

    Parameters
    ----------
    network : ResNet or Network
        Trained; it is left as it is. A ResNet is evaluated in its present mode and on its device.
    images_for_ranking : Images
        Wins are counted on them; no other criterion looks at them.
    shares : sequence of float
        Each 0 to below 1.
    scope : str
        ``layer``: the share of every layer; ``global``: of all maps, compared across layers.
    seed : int
        Of the criterion ``random``.
    advance : callable
        Called with the number of images after each batch.

    Returns
    -------
    list of dict
        ``criterion``, ``scope``, ``seed`` (None where nothing is drawn), ``share``, ``removed`` of
        ``maps``, ``right`` of ``images``, ``accuracy`` in percent, ``multiplications``,
        ``weights``.
    """
    if len(images_for_accuracy) == 0:
        raise ValueError("Accuracy needs at least one image")
    found = scores(network, criterion, images_for_ranking, seed)
    return curve_of(network, found, images_for_accuracy, shares, criterion, scope, seed, advance)


def curve_of(
    network: Either,
    found: Sequence[np.ndarray],
    images: Images,
    shares: Sequence[float],
    criterion: str,
    scope: str,
    seed: int,
    advance: Callable[[int], object] | None,
) -> list[dict]:
    """The rows of `curve`, of maps with the scores `found`; accuracy is measured on `images`."""
    rows = []
    for share in shares:
        masks = choose(found, share, scope)
        products, weights = cost(network, masks)
        right = right_decisions(prune(network, masks), masks, images, advance)
        rows.append(
            {
                "criterion": criterion,
                "scope": scope,
                "seed": seed if criterion == "random" else None,
                "share": float(share),
                "removed": int(sum(mask.sum() for mask in masks)),
                "maps": int(sum(map(len, masks))),
                "right": right,
                "images": len(images),
                "accuracy": 100 * right / len(images),
                "multiplications": products,
                "weights": weights,
            }
        )
    return rows


def right_decisions(
    pruned: ResNet | Network,
    masks: Sequence[np.ndarray],
    images: Images,
    advance: Callable[[int], object] | None = None,
) -> int:
    """Number of right decisions on `images`.

    Raises `RuntimeError` if a removed map of a ResNet has won after all.
    """
    right = done = 0
    for decided in _decisions(pruned, masks, images):
        labels = images.labels[done : done + len(decided)].cpu()
        right += int((decided == labels).sum())
        done += len(decided)
        if advance is not None:
            advance(len(decided))
    return right


def _decisions(pruned, masks, images):
    if isinstance(pruned, Network):
        reference = Reference(pruned)
        for first in range(0, len(images), REFERENCE_BATCH):
            part = images.pixels[first : first + REFERENCE_BATCH].cpu().numpy()
            yield torch.from_numpy(reference.logits(part).argmax(axis=1))
        return
    from model.dham.resnet import evaluating

    device = next(pruned.parameters()).device
    with evaluating(pruned):
        for first in range(0, len(images), BATCH):
            outputs = pruned.activations(to_input(images.pixels[first : first + BATCH].to(device)))
            for layer, output, mask in zip(pruned.layers, outputs, masks, strict=True):
                if output[:, torch.from_numpy(mask).to(device)].any():
                    raise RuntimeError(f"A removed map of {layer.name} has won")
            yield pruned.classifier(outputs[-1]).argmax(1).cpu()
