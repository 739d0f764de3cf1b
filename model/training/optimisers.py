"""What steps a network's weights: Muon or SGD for the convolutions, SGD for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model.common.lazy import torch
from model.training.recipe import Recipe

if TYPE_CHECKING:
    from model.dham.resnet import ResNet

__all__ = ["optimisers"]


def optimisers(network: ResNet, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """Of the convolutions' weights, and of the rest."""
    matrices = [layer.get_parameter("weight") for layer in network.layers]
    decayed: dict[str, Any] = {
        "params": [network.classifier.weight],
        "weight_decay": recipe.weight_decay,
    }
    vectors: dict[str, Any] = {"params": [p for p in network.parameters() if p.dim() == 1]}
    rate, other_rate = recipe.rates
    keywords: dict[str, Any] = {"lr": rate, "momentum": recipe.momentum}
    if recipe.optimiser == "muon":
        first: torch.optim.Optimizer = torch.optim.Muon(matrices, weight_decay=0.0, **keywords)
    else:
        first = torch.optim.SGD(
            matrices, weight_decay=recipe.weight_decay, nesterov=True, **keywords
        )
    rest = torch.optim.SGD(
        [vectors, decayed], lr=other_rate, momentum=recipe.other_momentum, nesterov=True
    )
    return first, rest
