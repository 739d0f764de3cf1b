"""How much of everything: quick (does it run?), cpu (a laptop trains it), full (the paper's)."""

from dataclasses import dataclass, replace
from typing import Any

from model.dham.shapes import Shape
from model.experiments.runs import Setting, Training
from model.training.recipe import Recipe

__all__ = ["SCALES", "Scale"]

TEMPERATURES = tuple((t, u) for u in (100.0, 1000.0, 10000.0) for t in (0.1, 1.0, 10.0))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything; `note` stands in every output.

    Attributes
    ----------
    settings : tuple of Setting
        For tables 1 to 3; tables 4 and 5 derive theirs from it.
    split, images, held_out : int
        As in `Training`; `test` caps the test images.
    episodes, queries : int
        Of few-shot evaluation; None asks all images that are not support.
    layers : int
        Layers whose wins are drawn.
    widths, pareto_group_sizes : tuple of int
        Of the Pareto front.
    bits : tuple of int or None
        Of weights and activations on the Pareto front; None is floating point.
    shares : tuple of float
        Of the feature maps pruned; `ranked` validation images rank them.
    budgets : tuple of int
        ℓ whose multiplications are the budget of the search of ℓ per layer.
    trials, trial_epochs : int
        Of that search: networks tried, and how long each is trained.
    """

    name: str
    note: str
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    group_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    groups: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    temperatures: tuple[tuple[float, float], ...] = TEMPERATURES
    temperature_group_sizes: tuple[int, ...] = (2, 4)
    split: int = 5_000
    images: int | None = None
    held_out: int | None = None
    test: int | None = None
    episodes: int = 10_000
    queries: int | None = None
    layers: int = 3
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    widths: tuple[int, ...] = (16, 24, 32, 48)
    pareto_group_sizes: tuple[int, ...] = (1, 2, 4)
    bits: tuple[int | None, ...] = (None, 4)
    shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    ranked: int = 1_000
    budgets: tuple[int, ...] = (2, 4)
    trials: int = 20
    trial_epochs: int = 3

    def training(
        self, setting: Setting, shape: Shape, recipe: Recipe, seed: int, **more
    ) -> Training:
        """A training in `setting` at this scale; `more` replaces fields of `Training`."""
        given: dict[str, Any] = {
            "network": setting.network,
            "width": shape.stem,
            "shape": shape,
            "data_set": setting.data_set,
            "recipe_name": setting.recipe,
            "recipe": recipe,
            "seed": seed,
            "split": self.split,
            "images": self.images,
            "held_out": self.held_out,
        }
        return Training(**(given | more))


SMALL = Setting(network="resnet8", width=32, data_set="cifar10", recipe="float", epochs=10)
SCALES: dict[str, Scale] = {
    "quick": Scale(
        name="quick",
        note="QUICK RUN: a smaller network, fewer images and epochs. It shows that everything "
        "runs; its numbers are no results.",
        settings=(replace(SMALL, width=16, epochs=2, batch=64),),
        seeds=(0, 1),
        group_sizes=(1, 2),
        groups=(4, 8),
        temperatures=((1.0, 100.0), (1.0, 1000.0)),
        temperature_group_sizes=(2,),
        images=2_048,
        held_out=500,
        test=500,
        episodes=200,
        queries=15,
        layers=1,
        severities=(1, 5),
        widths=(8, 16),
        pareto_group_sizes=(1, 2),
        shares=(0.0, 0.5),
        ranked=200,
        budgets=(2,),
        trials=3,
        trial_epochs=1,
    ),
    "cpu": Scale(
        name="cpu",
        note="Small scale: a network and a recipe that a CPU trains, not the paper's.",
        settings=(SMALL,),
        group_sizes=(1, 2, 4, 8),
        groups=(1, 2, 4, 8, 16, 32),
    ),
    "full": Scale(
        name="full",
        note="Full scale: the paper's networks, data and recipe.",
        settings=(
            Setting(network="resnet18", width=64, data_set="cifar10", recipe="paper", epochs=300),
            Setting(network="resnet50", width=64, data_set="cifar100", recipe="paper", epochs=300),
        ),
        widths=(32, 48, 64, 96),
        trial_epochs=15,
    ),
}
