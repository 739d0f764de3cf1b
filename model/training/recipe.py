"""How a network is trained: the recipe's numbers, checked, and the recipes with a name."""

import math
from dataclasses import dataclass
from typing import Any

from model.dham.activation import Temperature, positive_integer

__all__ = ["OPTIMISERS", "PRECISIONS", "RECIPES", "Recipe"]

OPTIMISERS = ("muon", "sgd")
PRECISIONS = ("bf16", "fp32")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Shares are parts of all training steps, 0 to 1.

    A checkpoint that lacks a field counts as having its default: a new field's default must leave
    the old recipes as they were.

    Raises `ValueError` or `TypeError` for what cannot be trained with.
    """

    epochs: int = 60
    batch: int = 128  # of all processes together
    optimiser: str = "muon"  # of the convolutions' weights; "sgd": of everything alike
    learning_rate: float = 0.01  # at its highest, of the convolutions' weights
    other_rate: float = 0.1  # by Muon, of everything else, which SGD trains
    warmup: float = 0.05  # share in which it rises linearly; it then falls linearly to 0
    steps_down: tuple[float, ...] = ()  # instead: constant, and divided by 10 at these shares
    momentum: float = 0.95  # of the convolutions' weights, Nesterov's
    other_momentum: float = 0.9  # of the rest, Nesterov's
    weight_decay: float = 5e-4  # of the classifier's weights; by Muon the others are normalised
    label_smoothing: float = 0.0
    t_initial: float = 1.0  # temperature of σ_t at the first step
    t_final: float = 100.0  # and at the last one before the winner-takes-all
    soft: float = 0.4  # share of the training with σ_t; σ_WTA after it
    quantise: float = 0.4  # share after which weights and activations are rounded; 1: never
    freeze: float = 0.95  # share after which batch statistics stay as they are
    precision: str = "bf16"  # of activations in training, and of their gradients
    distil: float = 0.5  # α, the teacher's part in the loss; without a teacher it is not used
    distil_temperature: float = 4.0  # T of the teacher's and the student's softmax
    statistics: int = 0  # batches over which they are measured before freezing, or at the end

    def __post_init__(self):
        for name, known in (("optimiser", OPTIMISERS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name.capitalize()} must be {' or '.join(known)}, not {getattr(self, name)}"
                )
        positive_integer(self.epochs, "Epochs")
        positive_integer(self.batch, "Batch")
        if self.statistics:
            positive_integer(self.statistics, "Batches of statistics")
        for name in ("warmup", "soft", "quantise", "freeze", "distil"):
            self.check(name, 0 <= getattr(self, name) <= 1, "a share from 0 to 1")
        for name in ("momentum", "other_momentum", "label_smoothing"):
            self.check(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("learning_rate", "other_rate", "distil_temperature"):
            self.check(name, 0 < getattr(self, name) < math.inf, "positive")
        self.check("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0")
        if not all(0 <= share <= 1 for share in self.steps_down):
            raise ValueError(f"Steps down must be shares from 0 to 1, not {self.steps_down}")
        Temperature(initial=self.t_initial, final=self.t_final, steps=1)
        if self.soft > self.quantise:
            raise ValueError(
                f"The soft share {self.soft:g} must not exceed {self.quantise:g}, at "
                "which quantisation begins: it needs the winner-takes-all"
            )

    def check(self, name: str, right: bool, expected: str) -> None:
        """Raise `ValueError` where a field is wrong; nan is never right."""
        if not right:
            words = name.replace("_", " ").capitalize()
            raise ValueError(f"{words} must be {expected}, not {getattr(self, name):g}")

    @property
    def rates(self) -> tuple[float, float]:
        """Highest learning rates: of the convolutions' weights, and of the rest."""
        other = self.other_rate if self.optimiser == "muon" else self.learning_rate
        return self.learning_rate, other

    def rate(self, share: float) -> float:
        """Learning rate at a share of the training, in parts of the highest."""
        if self.steps_down:
            return 0.1 ** sum(share >= at for at in self.steps_down)
        if share < self.warmup:
            return max(share / self.warmup, 1e-2)
        return max((1 - share) / max(1 - self.warmup, 1e-9), 1e-3)


FLOATING: dict[str, Any] = {"t_final": 1000.0, "soft": 1.0, "quantise": 1.0, "freeze": 1.0}
RECIPES = {
    "default": Recipe(),
    # These stay in floating point and write no network file. `float` is a short one by Muon;
    # `paper` has the epochs, rates and temperatures of arXiv 2012.01509, section 5.
    "float": Recipe(epochs=10, learning_rate=0.02, **FLOATING),
    "paper": Recipe(
        epochs=300,
        optimiser="sgd",
        learning_rate=0.1,
        momentum=0.9,
        steps_down=(1 / 3, 2 / 3),
        warmup=0,
        **FLOATING,
    ),
}
