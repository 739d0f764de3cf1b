"""Few-shot accuracy on CIFAR-FS by nearest mean.

SimpleShot (Wang, Chao, Weinberger, van der Maaten, arXiv 1911.04623): the features of a network
that never saw the novel classes; k images of each of n of them, the *support*, give n means; every
other image, a *query*, takes the class of the nearest mean. Three variants transform the features
first: UN leaves them, L2N divides each by its length, CL2N subtracts the mean feature of the base
classes before it does so. Means are not divided by their length. Table 4 of arXiv 2012.01509:
5-way 5-shot, 10,000 episodes, all 595 other images of a class as its queries.

How 10,000 episodes of 3,000 images take seconds: |x − m|² is compared by x·m − |m|²/2, and the
images of a class meet the means of all episodes with that class in one matrix product. Everything
is float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from model.common.errors import nearest
from model.common.lazy import torch, without_gradients
from model.data.cifar import to_input
from model.integers.reference import logits
from model.network import Network
from model.training.checkpoint import BATCH

if TYPE_CHECKING:
    from model.dham.resnet import ResNet

__all__ = [
    "VARIANTS",
    "Draw",
    "Result",
    "decide",
    "draws",
    "features_of",
    "few_shot",
    "pooled",
    "transform",
    "used",
]

VARIANTS = ("UN", "L2N", "CL2N")
BLOCK = 500  # episodes at once


@dataclass(frozen=True)
class Result:
    """Accuracy over episodes, in percent: the mean, and half of its 95 % confidence interval."""

    mean: float
    interval: float


@dataclass(frozen=True)
class Draw:
    """Episodes: E of them, each of n ways, k shots, q queries a class.

    Attributes
    ----------
    classes : Tensor
        int64 [E, n]: the classes, each once in an episode.
    support, queries : Tensor
        int64 [E, n, k] and [E, n, q]: images by their place among those of their class. Queries
        are None where all images that are not support are asked.
    """

    classes: torch.Tensor
    support: torch.Tensor
    queries: torch.Tensor | None


def draws(
    sizes: Sequence[int],
    *,
    ways: int = 5,
    shots: int = 5,
    queries: int | None = None,
    episodes: int = 10_000,
    seed: int = 0,
) -> Iterator[Draw]:
    """Random episodes in blocks, on the CPU: the same by seed for any features and any device.

    `sizes` are the number of images of each class. Raises ``ValueError`` where classes or images
    do not suffice.
    """
    counts = (("Ways", ways), ("Shots", shots), ("Queries", queries), ("Episodes", episodes))
    for what, value in counts:
        if value is not None and value < 1:
            raise ValueError(f"{what} must be a positive integer, not {value}")
    if ways > len(sizes):
        raise ValueError(f"{ways} ways need as many classes, but there are {len(sizes)}")
    needed = shots + (1 if queries is None else queries)
    if min(sizes) < needed:
        raise ValueError(
            f"{shots} shots and {needed - shots} queries need {needed} images of each class, "
            f"but a class has {min(sizes)}"
        )
    number = torch.tensor(sizes)
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, episodes, BLOCK):
        count = min(BLOCK, episodes - first)
        classes = torch.rand(count, len(sizes), generator=generator).topk(ways).indices
        keys = torch.rand(count, ways, max(sizes), generator=generator)
        keys[torch.arange(max(sizes)) >= number[classes][:, :, None]] = -1  # places without image
        picked = keys.topk(shots + (queries or 0)).indices
        asked = None if queries is None else picked[:, :, shots:]
        yield Draw(classes, picked[:, :, :shots], asked)


def used(labels: torch.Tensor, **sampling: Any) -> torch.Tensor:
    """Which images episodes ask for: int64, ascending; `sampling` is what `draws` is given."""
    sizes = labels.bincount()
    places = torch.arange(int(sizes.max()))
    asked = torch.zeros(len(sizes), len(places), dtype=torch.bool)
    for draw in draws(sizes.tolist(), **sampling):
        if draw.queries is None:  # all images of a class: support, and the others
            asked[draw.classes.unique()] = True
        else:
            picked = torch.cat([draw.support, draw.queries], 2)
            asked[draw.classes[:, :, None].expand_as(picked), picked] = True
    there = places < sizes[:, None]
    return labels.argsort(stable=True)[asked[there]].sort().values


def decide(table: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Nearest mean of every image of each episode's classes, support included.

    Parameters
    ----------
    table : Tensor
        float64 [classes, images, D]: features of the images of each class.
    draw : Draw
        The episodes, on the same device.

    Returns
    -------
    Tensor
        int16 [E, n, images]: which of the n means, the lowest index of the nearest.
    """
    count, ways = draw.classes.shape
    means = table[draw.classes[:, :, None], draw.support].mean(2)  # [E, n, D]
    offset = means.square().sum(2) / 2  # [E, n]
    found = torch.empty(count, ways, table.shape[1], dtype=torch.int16, device=table.device)
    for number, features in enumerate(table):
        episode, way = (draw.classes == number).nonzero(as_tuple=True)
        if len(episode):
            score = means[episode].flatten(0, 1) @ features.T  # [e · n, images]
            score = score.unflatten(0, (-1, ways)) - offset[episode][:, :, None]
            found[episode, way] = _first_maximum(score)
    return found


def _first_maximum(score):
    """Lowest index of the largest along dimension 1: several times faster than argmax here."""
    best, found = score[:, 0], torch.zeros_like(score[:, 0], dtype=torch.int16)
    for way in range(1, score.shape[1]):
        better = score[:, way] > best
        best = torch.maximum(best, score[:, way])
        found = found.masked_fill_(better, way)
    return found


def few_shot(
    features: torch.Tensor,
    labels: torch.Tensor,
    *,
    base_mean: torch.Tensor | None = None,
    variant: str = "CL2N",
    ways: int = 5,
    shots: int = 5,
    queries: int | None = None,
    episodes: int = 10_000,
    seed: int = 0,
    advance: Callable[[int], object] | None = None,
) -> Result:
    """Mean accuracy of nearest class mean over random episodes.

    Parameters
    ----------
    features : Tensor
        [N, D], of images of the novel classes.
    labels : Tensor
        int64 [N], 0 to the number of classes − 1, each class present.
    base_mean : Tensor
        [D], the mean feature of the base classes: for CL2N alone.
    variant : str
        "UN", "L2N" or "CL2N".
    queries : int
        Of each class in an episode; None: all its images that are not support.
    seed : int
        The same episodes for all features and variants.
    advance : callable
        Called with the number of episodes after each block.

    Returns
    -------
    Result
        Percent; the interval is 1.96 · standard deviation of an episode's accuracy / √episodes.
    """
    table, sizes = _by_class(transform(features, variant, base_mean), labels)
    place = torch.arange(table.shape[1], device=table.device)
    shares = []
    rounds = draws(
        sizes.tolist(), ways=ways, shots=shots, queries=queries, episodes=episodes, seed=seed
    )
    for drawn in rounds:
        moved = (None if t is None else t.to(table.device) for t in vars(drawn).values())
        draw = Draw(*moved)  # type: ignore[arg-type]
        right = decide(table, draw) == torch.arange(ways, device=table.device)[:, None]
        if draw.queries is not None:
            shares.append(right.gather(2, draw.queries).double().mean((1, 2)).cpu())
        else:
            asked = place < sizes.to(table.device)[draw.classes][:, :, None]
            asked = asked.scatter(2, draw.support, False)
            shares.append(((right & asked).sum((1, 2)) / asked.sum((1, 2)).double()).cpu())
        if advance is not None:
            advance(len(draw.classes))
    accuracy = 100 * torch.cat(shares)
    interval = 1.96 * float(accuracy.std(correction=0)) / len(accuracy) ** 0.5
    return Result(float(accuracy.mean()), interval)


def transform(
    features: torch.Tensor, variant: str, base_mean: torch.Tensor | None = None
) -> torch.Tensor:
    """`features` [N, D] as the variant wants them, in float64. A feature of length 0 stays 0."""
    if variant not in VARIANTS:
        raise ValueError(f"Variant {variant!r}: {nearest(variant, VARIANTS)}")
    found = features.double()
    if not bool(found.isfinite().all()):
        raise ValueError("Features must be finite numbers")
    if variant == "CL2N":
        if base_mean is None:
            raise ValueError("Variant CL2N needs the mean feature of the base classes")
        found = found - base_mean.to(found)
    if variant != "UN":
        length = found.norm(dim=1, keepdim=True)
        found = torch.where(length > 0, found / length, 0.0)
    return found


def _by_class(features, labels):
    """Features [classes, images, D], padded with zeros, and each class's number of images."""
    if len(features) != len(labels) or len(labels) == 0:
        raise ValueError(f"{len(features)} features need as many labels, not {len(labels)}")
    sizes = labels.bincount().cpu()
    if int(sizes.min()) == 0:
        raise ValueError(f"Class {int(sizes.argmin())} has no images")
    order = labels.argsort(stable=True)
    first = (sizes.cumsum(0) - sizes).to(labels.device)
    row = labels[order]
    place = torch.arange(len(labels), device=labels.device) - first[row]
    table = features.new_zeros(len(sizes), int(sizes.max()), features.shape[1])
    table[row.to(table.device), place.to(table.device)] = features[order.to(features.device)]
    return table, sizes


def pooled(
    network: Network, images: np.ndarray, progress: Callable[[int], None] | None = None
) -> torch.Tensor:
    """Mean over the pixels of what the classifier reads, by the integer reference.

    `images` are uint8 [N, H, W, C], the result is float64 [N, channels of the last layer];
    `progress` is called with the number of images after each batch.
    """
    source = network.tensors[network.classifier.source]
    # A classifier that passes each channel's sum on: its logits are the sums.
    sums = replace(
        network.classifier,
        weights=np.eye(source.channels, dtype=np.int64),
        bias=np.zeros(source.channels, np.int64),
    )
    changed = replace(network, layers=(*network.convs, sums), classes=(), golden=None)
    return torch.from_numpy(logits(changed, images, progress=progress)).double() / source.pixels


@without_gradients
def features_of(
    network: ResNet,
    pixels: torch.Tensor,
    device: torch.device,
    progress: Callable[[int], None] = lambda count: None,
) -> torch.Tensor:
    """As `pooled`, float [N, C], of a network in torch, in evaluation, on `device`."""
    found = []
    for part in pixels.split(BATCH):
        found.append(network.features(to_input(part.to(device))))
        progress(len(part))
    return torch.cat(found)
