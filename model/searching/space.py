"""What `model.search` may draw: the ℓ of every layer, and what a network of them costs."""

import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from model.common.errors import UserError
from model.dham.shapes import Shape, shape_of

__all__ = ["Costs", "DoesNotFit", "Space"]


class DoesNotFit(UserError):
    """Raised by a cost for a network that its hardware cannot run; the text is the reason."""


class Costs:
    """The cost of networks, asked once for each: infinite where one does not fit, and why."""

    def __init__(self, cost: Callable[[Shape], float]):
        self.cost = cost
        self.known: dict[Shape, float] = {}
        self.reasons: dict[Shape, str] = {}

    def __call__(self, shape: Shape) -> float:
        if shape not in self.known:
            try:
                self.known[shape] = self.cost(shape)
            except DoesNotFit as error:
                self.known[shape], self.reasons[shape] = math.inf, str(error)
        return self.known[shape]


@dataclass(frozen=True)
class Space:
    """What ℓ may be in each layer, in growing order."""

    name: str
    width: int | None
    classes: int
    layers: tuple[str, ...]
    choices: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(name, *, width, sizes, classes):
        if not sizes or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in sizes):
            raise UserError(f"Group sizes must be positive integers, not {list(sizes)}")
        try:
            plain = shape_of(name, width=width, group_sizes=(1,), classes=classes)
        except ValueError as error:
            raise UserError(str(error)) from None
        found = []
        for layer in plain.convolutions():
            found.append(tuple(s for s in sorted(set(sizes)) if layer.channels % s == 0))
            if not found[-1]:
                raise UserError(
                    f"No ℓ of {', '.join(map(str, sizes))} divides the {layer.channels} feature "
                    f"maps of {layer.name}"
                )
        names = tuple(layer.name for layer in plain.convolutions())
        return Space(name, width, classes, names, tuple(found))

    def shape(self, group_sizes: Sequence[int]) -> Shape:
        return shape_of(
            self.name, width=self.width, classes=self.classes, group_sizes=tuple(group_sizes)
        )

    @property
    def cheapest(self) -> list[int]:
        """The largest ℓ of every layer: fewest multiplications, fewest cycles."""
        return [some[-1] for some in self.choices]

    def up_to(self, size: int) -> "Space":
        """Without any larger ℓ, but for the smallest of a layer."""
        return replace(
            self, choices=tuple(tuple(c for c in s if c <= size) or s[:1] for s in self.choices)
        )

    def possible(self, cost: Costs) -> "Space":
        """Without any ℓ that is beyond the hardware, whatever it is in the other layers.

        A network of larger ℓ throughout needs no more memory. So the largest ℓ whose `cheapest`
        fits is the largest that the hardware has, and where none fits, nothing does: then raises
        ``UserError``.
        """
        reasons: dict[str, str] = {}
        for size in sorted(set().union(*self.choices), reverse=True):
            space = self.up_to(size)
            shape = self.shape(space.cheapest)
            if math.isfinite(cost(shape)):
                return space
            reason = cost.reasons.get(shape, "its cost is infinite")
            # Alike but for its numbers, the reason of a larger ℓ says it better.
            reasons.setdefault(re.sub(r"\d+", "", reason), f"{reason} (ℓ = {size})")
        raise UserError(f"No network fits: {'; '.join(reasons.values())}")

    def uniform(self, cost: Costs, budget) -> list[int] | None:
        """The smallest ℓ that is possible in every layer and within the budget."""
        shared = set(self.choices[0]).intersection(*self.choices)
        for size in sorted(shared):
            if cost(self.shape([size] * len(self.layers))) <= budget:
                return [size] * len(self.layers)
        return None

    def random(self, draw: random.Random, cost: Costs, budget) -> list[int]:
        """A random network within the budget.

        It begins as the cheapest. Layer by layer, in random order, its ℓ becomes what is drawn, or
        the next larger one that keeps the network within.
        """
        found = self.cheapest
        for layer in draw.sample(range(len(found)), len(found)):
            choices = self.choices[layer]
            for size in choices[draw.randrange(len(choices)) :]:
                tried = [*found[:layer], size, *found[layer + 1 :]]
                if cost(self.shape(tried)) <= budget:
                    found = tried
                    break
        return found

    def sizes(self, places) -> list[int]:
        return [choices[place] for choices, place in zip(self.choices, places, strict=True)]

    def suggest(self, trial) -> list[int]:
        """ℓ of every layer, proposed by Optuna as a place in the layer's list."""
        return self.sizes(
            trial.suggest_int(layer, 0, len(choices) - 1) if len(choices) > 1 else 0
            for layer, choices in zip(self.layers, self.choices, strict=True)
        )

    def places(self, group_sizes) -> dict[str, int]:
        return {
            layer: choices.index(size)
            for layer, choices, size in zip(self.layers, self.choices, group_sizes, strict=True)
            if len(choices) > 1
        }
