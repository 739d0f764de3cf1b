"""The DHAM activation and its temperature (Gripon, Lassance, Boukli Hacene, arXiv 2012.01509).

The feature maps are split into groups of ℓ consecutive maps; at each pixel only the largest of a
group survives. Training goes there little by little: at a temperature near 0 the activation is a
ReLU, at an infinite one the winner-takes-all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from model.common.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Temperature", "dham", "group_size_of", "winner_takes_all"]


def positive_integer(value: object, what: str) -> int:
    """The value, if it is a positive integer; else an error that says what is wrong."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be a positive integer, not {value!r}")
    if value < 1:
        raise ValueError(f"{what} must be a positive integer, not {value}")
    return value


def group_size_of(
    channels: int, *, group_size: int | None = None, groups: int | None = None
) -> int:
    """Group size ℓ of a layer, given by ℓ itself or by the number of groups c = channels / ℓ.

    Raises `ValueError` where it does not divide the channels.
    """
    positive_integer(channels, "Number of channels")
    if (group_size is None) == (groups is None):
        raise ValueError("Give either the group size or the number of groups")
    if group_size is not None:
        if channels % positive_integer(group_size, "Group size"):
            raise ValueError(f"Group size {group_size} does not divide {channels} channels")
        return group_size
    if channels % positive_integer(groups, "Number of groups"):
        raise ValueError(f"Number of groups {groups} does not divide {channels} channels")
    return channels // groups


def split(z: Tensor, group_size: int) -> Tensor:
    """[N, C, ...] to [N, C / ℓ, ℓ, ...]."""
    group_size_of(z.shape[1], group_size=group_size)
    return z.unflatten(1, (-1, group_size))


def winner_takes_all(rank: Tensor, group_size: int) -> Tensor:
    """1 where `rank` [N, C, ...] is its group's first maximum, else 0: boolean, same shape.

    First means lowest index. The paper's formula keeps every tied maximum, which integers, where
    ties are common, do not survive: the hardware stores one winner per group.
    """
    grouped = split(rank, group_size)
    winner = grouped.argmax(2, keepdim=True)  # the first, on every device that matters: see tests
    index = torch.arange(group_size, device=rank.device)
    return (index.view(-1, *[1] * (rank.dim() - 2)) == winner).flatten(1, 2)


def dham(
    z: Tensor, group_size: int, temperature: float | Tensor | None = None, *, binary: bool = False
) -> Tensor:
    """σ_t(z), or σ_WTA(z) where `temperature` is None; z and result are [N, C, ...].

    σ_t(z) = softmax(t σ(z)) / max(softmax(t σ(z))) · σ(z) per group, with σ = ReLU, and no gradient
    through the softmax. The quotient is computed as exp(t (σ(z) - max σ(z))), which cannot
    overflow. `binary` puts 1 in place of the surviving value, with the gradient of the value.
    """
    value = z.relu()
    with torch.no_grad():
        if temperature is None:
            share = winner_takes_all(value, group_size).to(z.dtype)
        else:
            if not isinstance(temperature, torch.Tensor) and not 0 <= temperature < math.inf:
                raise ValueError(f"Temperature must be a number from 0, not {temperature:g}")
            grouped = split(value, group_size)
            best = grouped.amax(2, keepdim=True)
            share = torch.exp(temperature * (grouped - best)).flatten(1, 2)
    result = share * value
    if binary:
        result = result + (share * (value > 0) - result).detach()
    return result


class Temperature:
    """t grows exponentially from `initial` to `final`, one step per training step.

    Parameters
    ----------
    initial, final : float
        Temperatures of the first and of the last step, 0 < initial <= final.
    steps : int
        Number of training steps.
    """

    def __init__(self, *, initial: float, final: float, steps: int):
        for what, value in (("Initial", initial), ("Final", final)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{what} temperature must be positive, not {value:g}")
        if initial > final:
            raise ValueError(f"Initial temperature {initial:g} exceeds the final one, {final:g}")
        self.initial, self.final = initial, final
        self.steps = positive_integer(steps, "Number of steps")

    def __call__(self, step: int) -> float:
        """Temperature at training step 0, 1, ...; it stays at the final one afterwards."""
        if self.steps == 1:
            return self.final
        share = min(step, self.steps - 1) / (self.steps - 1)
        return self.initial * (self.final / self.initial) ** share
