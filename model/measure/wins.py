"""Which feature map of each group wins how often.

A pixel where a group is silent (its value is 0) counts for none of its maps; how many those are is
counted beside. Counts come from the integer reference of a network file (`network_wins`) or from
the activations of a trained torch network (`torch_wins`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from model.common.errors import UserError, nearest
from model.common.lazy import torch, without_gradients
from model.data.cifar import Images
from model.integers.reference import Reference
from model.network import Network

__all__ = ["Wins", "count_wins", "network_wins", "records_of", "torch_wins"]


def records_of(activation: torch.Tensor, group_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(values, winners) [N, H, W, G] of a layer's output [N, C, H, W]: the first maximum, if > 0.

    A silent group has value 0 and winner 0.
    """
    if activation.dim() != 4 or activation.shape[1] % group_size:
        raise ValueError(
            f"Activations must be [N, C, H, W] with C a multiple of {group_size}, "
            f"not {list(activation.shape)}"
        )
    grouped = activation.unflatten(1, (-1, group_size)).permute(0, 3, 4, 1, 2)  # [N, H, W, G, ℓ]
    values = grouped.amax(-1).clamp(min=0)
    winners = grouped.argmax(-1)  # the first: see the tests of model.dham.activation
    return values, torch.where(values > 0, winners, 0)


def count_wins(
    values: torch.Tensor,
    winners: torch.Tensor,
    group_size: int,
    labels: torch.Tensor,
    classes: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Wins of each map, and silent pixels of each group, over one batch.

    Parameters
    ----------
    values, winners : Tensor
        [N, H, W, G], the records of one layer.
    labels : Tensor
        int64 [N], each image's class, 0 to `classes` − 1.

    Returns
    -------
    counts : Tensor
        int64 [classes, G, ℓ]: pixels that a map won.
    silent : Tensor
        int64 [classes, G]: pixels where the group's value is 0.
    """
    if values.dim() != 4 or values.shape != winners.shape or len(values) != len(labels):
        raise ValueError(
            f"Values, winners and labels do not fit: {list(values.shape)}, "
            f"{list(winners.shape)}, {list(labels.shape)}"
        )
    groups = values.shape[-1]
    for what, numbers, count in (("Winners", winners, group_size), ("Labels", labels, classes)):
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < count:
            raise ValueError(f"{what} must be 0 to {count - 1}")
    place = labels.view(-1, 1, 1, 1) * groups + torch.arange(groups, device=labels.device)
    place = place.to(values.device).expand(values.shape)
    active = values > 0
    counts = (place * group_size + winners)[active].bincount(
        minlength=classes * groups * group_size
    )
    silent = place[~active].bincount(minlength=classes * groups)
    return counts.view(classes, groups, group_size), silent.view(classes, groups)


@dataclass
class Wins:
    """Wins in one layer, counted batch by batch.

    Attributes
    ----------
    name : str
        The layer's.
    group_size, groups, classes : int
        ℓ, the number of groups, and the number of classes of the images.
    counts, silent : Tensor
        int64 [classes, groups, ℓ] and [classes, groups], as `count_wins` gives them, on the CPU.
    """

    name: str
    group_size: int
    groups: int
    classes: int
    counts: torch.Tensor = field(init=False)
    silent: torch.Tensor = field(init=False)

    def __post_init__(self):
        shape = (self.classes, self.groups, self.group_size)
        self.counts = torch.zeros(shape, dtype=torch.int64)
        self.silent = torch.zeros(shape[:2], dtype=torch.int64)

    def add(self, values: torch.Tensor, winners: torch.Tensor, labels: torch.Tensor) -> None:
        """Count one batch: `values` and `winners` [N, H, W, G], `labels` [N]."""
        counts, silent = count_wins(values, winners, self.group_size, labels, self.classes)
        self.counts += counts.cpu()
        self.silent += silent.cpu()

    def _of(self, counts, label):
        return counts.sum(0) if label is None else counts[label]

    def pixels(self, label: int | None = None) -> int:
        """Pixels of all images, or of those of one class: wins and silence of any one group."""
        return int(self._of(self.counts, label)[0].sum() + self._of(self.silent, label)[0])

    def per_map(self, label: int | None = None) -> torch.Tensor:
        """int64 [C]: pixels that each feature map won, in the order of the maps."""
        return self._of(self.counts, label).flatten()

    def shares(self, label: int | None = None) -> torch.Tensor:
        """float64 [G, ℓ]: share of the group's wins that each map has; 0 for a group without."""
        counts = self._of(self.counts, label).double()
        return counts / counts.sum(1, keepdim=True).clamp(min=1)

    def silent_pixels(self, label: int | None = None) -> torch.Tensor:
        """int64 [G]: pixels where the group is silent."""
        return self._of(self.silent, label)

    def silent_share(self, label: int | None = None) -> torch.Tensor:
        """float64 [G]: share of the pixels where the group is silent."""
        return self.silent_pixels(label).double() / max(self.pixels(label), 1)

    def entropy(self, label: int | None = None) -> torch.Tensor:
        """float64 [G], in bits: 0 where one map wins everywhere, log₂ ℓ where all win alike."""
        shares = self.shares(label)
        return -torch.special.xlogy(shares, shares).sum(1) / math.log(2) + 0.0

    def never(self, label: int | None = None) -> list[int]:
        """Numbers of the feature maps (0 to C − 1) that win nowhere."""
        return (self.per_map(label) == 0).nonzero().flatten().tolist()

    def distance(self, first: int, second: int) -> torch.Tensor:
        """float64 [G]: share of the wins that would have to change maps between two classes."""
        return (self.shares(first) - self.shares(second)).abs().sum(1) / 2


def network_wins(
    network: Network,
    images: Images,
    layers: Sequence[str] | None = None,
    *,
    batch: int = 50,
    advance: Callable[[int], object] | None = None,
) -> list[Wins]:
    """Wins in the convolutions of a network file (all, or those named), by the integer reference.

    Labels must be those of the network's classes; `advance` is called with the number of images
    after each batch.
    """
    names = [layer.name for layer in network.convs]
    for name in layers or ():
        if name not in names:
            raise UserError(f"Layer {name!r}: {nearest(name, names)}")
    found = {
        index: Wins(layer.name, layer.group_size, layer.channels // layer.group_size,
                    len(network.classes))
        for index, layer in enumerate(network.convs)
        if layers is None or layer.name in layers
    }  # fmt: skip
    reference = Reference(network)
    for first in range(0, len(images), batch):
        part = slice(first, first + batch)
        records = reference(images.pixels[part].cpu().numpy()).records
        for index, wins in found.items():
            values, winners = records[index].value, records[index].winner
            labels = images.labels[part].cpu()
            wins.add(torch.from_numpy(values), torch.from_numpy(winners), labels)
        if advance is not None:
            advance(len(images.labels[part]))
    return list(found.values())


@without_gradients
def torch_wins(
    activations: Callable[[torch.Tensor], Sequence[torch.Tensor]],
    layers: Sequence[tuple[str, int]],
    images: Images,
    classes: int,
    *,
    batch: int = 250,
    advance: Callable[[int], object] | None = None,
) -> list[Wins]:
    """Wins in the layers of a trained torch network.

    Parameters
    ----------
    activations : callable
        uint8 [B, H, W, C] to each layer's output [B, C, H, W], the winners' values kept, in order.
    layers : sequence of (str, int)
        Name and ℓ of each of these outputs.
    """
    found: list[Wins] = []
    for first in range(0, len(images), batch):
        outputs = activations(images.pixels[first : first + batch])
        if not found:
            found = [
                Wins(name, size, output.shape[1] // size, classes)
                for (name, size), output in zip(layers, outputs, strict=True)
            ]
        labels = images.labels[first : first + batch]
        for wins, output in zip(found, outputs, strict=True):
            wins.add(*records_of(output, wins.group_size), labels.to(output.device))
        if advance is not None:
            advance(len(labels))
    return found
