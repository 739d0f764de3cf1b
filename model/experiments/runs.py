"""What is trained: settings, and trainings identified by their content.

A training's name says all in which it differs from the usual (`resnet8-w32-l2-s0`), so that
experiments that need the same training share it. Torch is needed only to train it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from model.common.errors import UserError, nearest
from model.data.cifar import DATA_SETS, few_shot_classes
from model.dham.shapes import NETWORKS, Shape, shape_of
from model.training.trainer import RECIPES, Recipe

__all__ = ["DATA_TITLES", "NETWORK_TITLES", "Setting", "Training", "divides", "possible"]

DATA_TITLES = {name: data.title for name, data in DATA_SETS.items()} | {"cifar-fs": "CIFAR-FS"}
NETWORK_TITLES = {
    name: name.replace("resnet", "ResNet-").replace("dham", "dham") for name in NETWORKS
}
BITS = {"weight_bits": 4, "activation_bits": 4, "stem_bits": 4, "classifier_bits": 8}


def classes_of(data_set: str) -> int:
    if data_set == "cifar-fs":
        return len(few_shot_classes("train"))
    if data_set not in DATA_SETS:
        raise UserError(f"Data set {data_set!r}: {nearest(data_set, list(DATA_TITLES))}")
    return len(DATA_SETS[data_set].classes)


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training; together with the data it determines its result on a given machine.

    Attributes
    ----------
    recipe_name : str
        The recipe of `RECIPES` that `recipe` began as.
    images, held_out : int or None
        At most so many training and validation images; None: all of them.
    teacher : Training or None
        Whose logits it learns from as well, by the recipe's `distil` and `distil_temperature`.
    split : int
        Images of the whole training set that are held out for validation.
    """

    network: str
    width: int
    shape: Shape
    data_set: str
    recipe_name: str
    recipe: Recipe
    seed: int
    split: int = 5_000
    images: int | None = None
    held_out: int | None = None
    teacher: "Training | None" = None

    @property
    def name(self) -> str:
        """Of its files: network, width, ℓ, whatever differs from the usual, and the seed."""
        shape = self.shape
        parts = [self.network, f"w{self.width}", sizes_text(shape)]
        if shape.order != "after":
            parts.append(shape.order)
        if shape.binary:
            parts.append("binary")
        bits = {key: getattr(shape, key) for key in BITS}
        if self.recipe.quantise < 1 or bits != BITS:
            parts.append("b" + "".join(map(str, bits.values())))
        if self.data_set != "cifar10":
            parts.append(self.data_set.replace("-", ""))
        if self.recipe_name != "float":
            parts.append(self.recipe_name)
        parts += recipe_texts(self.recipe, RECIPES[self.recipe_name])
        if self.teacher is not None:
            other = self.teacher
            same = (other.network, other.width) == (self.network, self.width)
            whose = "" if same else f"{other.network}-w{other.width}-"
            parts.append(f"from-{whose}{sizes_text(other.shape)}")
        if self.images is not None:
            parts.append(f"n{self.images}")
        return "-".join([*parts, f"s{self.seed}"])


def sizes_text(shape: Shape) -> str:
    """Group sizes of all layers in short: l2, c8, l2-dense-sums, or l1_2x4_4x2 layer by layer."""
    sizes, layers = shape.group_sizes, shape.convolutions()
    if len(set(sizes)) == 1:
        return f"l{sizes[0]}"
    counts = {layer.channels // size for layer, size in zip(layers, sizes, strict=True)}
    if len(counts) == 1:
        return f"c{counts.pop()}"
    sums = [layer.shortcut is not None for layer in layers]
    grouped = {size for size, dense in zip(sizes, sums, strict=True) if not dense}
    dense = {size for size, dense in zip(sizes, sums, strict=True) if dense}
    if dense == {1} and len(grouped) == 1:
        return f"l{grouped.pop()}-dense-sums"
    runs: list[list[int]] = []
    for size in sizes:
        if runs and runs[-1][0] == size:
            runs[-1][1] += 1
        else:
            runs.append([size, 1])
    return "l" + "_".join(f"{size}x{n}" if n > 1 else str(size) for size, n in runs)


def recipe_texts(recipe: Recipe, usual: Recipe) -> list[str]:
    """What differs from the usual recipe, each in short."""
    changed = {
        field.name: getattr(recipe, field.name)
        for field in fields(Recipe)
        if getattr(recipe, field.name) != getattr(usual, field.name)
    }
    texts = []
    if "epochs" in changed:
        texts.append(f"e{changed.pop('epochs')}")
    if "batch" in changed:
        texts.append(f"b{changed.pop('batch')}")
    if changed.keys() & {"t_initial", "t_final"}:
        texts.append(f"t{recipe.t_initial:g}-{recipe.t_final:g}")
    for key in sorted(changed.keys() - {"t_initial", "t_final"}):
        texts.append(f"{key.replace('_', '')}{changed[key]}".replace(" ", ""))
    return texts


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A network, its data and its recipe: what one column of a table has in common."""

    network: str
    width: int
    data_set: str
    recipe: str
    epochs: int
    batch: int = 128
    learning_rate: float | None = None  # instead of the recipe's
    dense_sums: bool = False
    binary: bool = False  # winners become 1; a network whose ℓ are all 1 keeps its values
    order: str = "after"

    @property
    def title(self) -> str:
        rate = "" if self.learning_rate is None else f", learning rate {self.learning_rate:g}"
        sums = ", dense after additions" if self.dense_sums else ""
        binary = ", winners binary" if self.binary else ""
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return (
            f"{NETWORK_TITLES[self.network]}, width {self.width}, {DATA_TITLES[self.data_set]}, "
            f"recipe {self.recipe}, {epochs}{rate}{sums}{binary}"
        )

    @property
    def label(self) -> str:
        """Short and unique: what a record carries to say where it belongs."""
        rate = "" if self.learning_rate is None else f"-lr{self.learning_rate:g}"
        sums = "-dense-sums" * self.dense_sums + "-binary" * self.binary
        return (
            f"{self.network}-w{self.width}-{self.data_set}-{self.recipe}-e{self.epochs}"
            f"-b{self.batch}{rate}{sums}-{self.order}"
        )

    def shape(
        self, *, group_size: int | None = None, groups: int | None = None, **options: Any
    ) -> Shape:
        """With ℓ or c alike in all layers; `options` are those of `shape_of`.

        Raises ``ValueError`` where one does not divide a layer's maps.
        """
        given: dict[str, Any] = {
            "width": self.width,
            "order": self.order,
            "dense_sums": self.dense_sums,
            "classes": classes_of(self.data_set),
        }
        if group_size is not None:
            given["group_sizes"] = (group_size,)
        if groups is not None:
            given["groups"] = (groups,)
        shape = shape_of(self.network, **(given | options))
        return replace(shape, binary=self.binary and max(shape.group_sizes) > 1)

    def of_recipe(self, name: str | None = None, **changes) -> Recipe:
        """The recipe (or another by name) with this setting's epochs, batch and rate."""
        own: dict = {"epochs": self.epochs, "batch": self.batch}
        if self.learning_rate is not None:
            own["learning_rate"] = self.learning_rate
        try:
            return replace(RECIPES[name or self.recipe], **(own | changes))
        except ValueError as error:
            raise UserError(str(error)) from None


def divides(setting: Setting, **given: int) -> str | None:
    """None, or why the ℓ or c that is given does not divide every layer's maps."""
    try:
        setting.shape(**given)
    except ValueError as error:
        return str(error)
    return None


def possible(setting: Setting, word: str, numbers: Sequence[int]) -> list[int]:
    """Those ℓ (word "group_size") or c ("groups") that divide every layer's maps."""
    return [n for n in numbers if divides(setting, **{word: n}) is None]
