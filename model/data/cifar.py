"""CIFAR-10 and CIFAR-100 in their official binary versions, held in memory as bytes; CIFAR-FS.

A file is a row of records: one label byte (CIFAR-100: two, coarse and fine; the fine one is used),
then the red, green and blue planes of a 32×32 image. Source: A. Krizhevsky, "Learning multiple
layers of features from tiny images", 2009, and https://www.cs.toronto.edu/~kriz/cifar.html.
CIFAR-FS is a split of CIFAR-100's classes into 64, 16 and 20 for few-shot learning (Bertinetto et
al., "Meta-learning with differentiable closed-form solvers", 2019).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.common.errors import UserError, nearest
from model.common.lazy import torch
from model.network import Network

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CLASSES",
    "DATA_SETS",
    "FEW_SHOT_PARTS",
    "DataSet",
    "Images",
    "augment",
    "check_files",
    "check_input",
    "classes_of",
    "data_set_of",
    "few_shot_classes",
    "pack",
    "read_few_shot",
    "read_test",
    "read_training",
    "to_input",
]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLASSES_100 = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
    crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse
    mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy
    porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
    snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television
    tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()
)
TRAINING_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
RECORDS = 10_000  # in each file of CIFAR-10; files of CIFAR-100 hold a multiple of it
PIXELS = 3 * 32 * 32  # bytes of an image
FEW_SHOT_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What the files of one data set are called and hold.

    Attributes
    ----------
    title, archive, folder : str
        Its name, the archive's URL, and the folder that the archive unpacks to.
    classes : tuple of str
        In label order.
    training, test : Mapping
        File name to its number of records, in units of `RECORDS`.
    labels : tuple of int
        For each label byte of a record, the number of its values; the last byte is the class.
    """

    title: str
    archive: str
    folder: str
    classes: tuple[str, ...]
    training: Mapping[str, int]
    test: Mapping[str, int]
    labels: tuple[int, ...]

    @property
    def record(self) -> int:
        """Bytes of a record: labels, then the red, green and blue planes."""
        return len(self.labels) + PIXELS

    @property
    def how_to_get(self) -> str:
        return f"get {self.archive}, unpack it, and give its folder {self.folder} with --data"


DATA_SETS = {
    "cifar10": DataSet(
        title="CIFAR-10",
        archive="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        folder="cifar-10-batches-bin",
        classes=CLASSES,
        training=dict.fromkeys(TRAINING_FILES, 1),
        test=dict.fromkeys(TEST_FILES, 1),
        labels=(10,),
    ),
    "cifar100": DataSet(
        title="CIFAR-100",
        archive="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        folder="cifar-100-binary",
        classes=CLASSES_100,
        training={"train.bin": 5},
        test={"test.bin": 1},
        labels=(20, 100),
    ),
}


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes
    ----------
    pixels : Tensor
        uint8 [N, 32, 32, 3], raw values.
    labels : Tensor
        int64 [N], 0 to the number of classes − 1.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Images:
        """The first `count` images; all of them if it is None."""
        return Images(self.pixels[:count], self.labels[:count])

    def to(self, device: torch.device) -> Images:
        return Images(self.pixels.to(device), self.labels.to(device))


def find(data_set: str) -> DataSet:
    """The description of `data_set`; ``UserError`` lists the known ones."""
    if data_set not in DATA_SETS:
        raise UserError(f"Data set {data_set!r}: {nearest(data_set, list(DATA_SETS))}")
    return DATA_SETS[data_set]


def data_set_of(classes: Sequence[str]) -> str:
    """The name in `DATA_SETS` of the one with these classes, in this order."""
    for name, data in DATA_SETS.items():
        if tuple(classes) == data.classes:
            return name
    raise unknown_classes(len(classes))


def classes_of(count: int) -> tuple[str, ...]:
    """The names of so many classes, CIFAR-FS's base classes among them: a checkpoint has none."""
    for names in (*(data.classes for data in DATA_SETS.values()), few_shot_classes("train")):
        if len(names) == count:
            return names
    raise unknown_classes(count)


def unknown_classes(count: int) -> UserError:
    known = ", ".join(f"{data.title} ({len(data.classes)})" for data in DATA_SETS.values())
    return UserError(f"The {count} classes are not those of a known data set: {known}")


def check_input(network: Network, file: str) -> None:
    """Refuse, with ``UserError``, a `network` that takes other images than the data sets'."""
    if tuple(network.input_shape) != (32, 32, 3) or network.input_bits != 8:
        raise UserError(
            f"{file} takes images of {'x'.join(map(str, network.input_shape))}, "
            f"{network.input_bits} bits; those of CIFAR are 32x32x3, 8 bits"
        )


def check_file(path: Path, data: DataSet, units: int) -> None:
    """Refuse, with ``UserError``, a missing file and one that has not `units` · `RECORDS` records.

    The file is not read.
    """
    what = f"{data.title} file {path}"
    if not path.is_file():
        raise UserError(f"{what} is missing: {data.how_to_get}")
    found, size = path.stat().st_size, data.record * RECORDS * units
    if found != size:
        state = "truncated" if found < size else "too long"
        raise UserError(f"{what} is {state}: {found} bytes instead of {size}: {data.how_to_get}")


def check_files(folder: str | Path, data_set: str = "cifar10") -> None:
    """Check all files of a data set, training and test, by their sizes alone: before long work.

    "cifar-fs" are the files of CIFAR-100. Raises the ``UserError`` that reading them would raise.
    """
    data = find("cifar100" if data_set == "cifar-fs" else data_set)
    folder = find_folder(folder, data)
    for name, units in {**data.training, **data.test}.items():
        check_file(folder / name, data, units)


def read_file(path: Path, data: DataSet, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, 32, 32, 3] and labels uint8 [N] of one file, N = `units` · `RECORDS`."""
    check_file(path, data, units)
    what = f"{data.title} file {path}"
    records = np.fromfile(path, np.uint8).reshape(-1, data.record)
    for column, count in enumerate(data.labels):
        highest = records[:, column].max()
        if highest >= count:
            raise UserError(f"{what} has label {highest}, not 0 to {count - 1}: {data.how_to_get}")
    planes = records[:, len(data.labels) :].reshape(-1, 3, 32, 32)
    labels = records[:, len(data.labels) - 1]
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def find_folder(folder: str | Path, data: DataSet) -> Path:
    """The folder with the files of `data`: `folder` itself, or the one of its name inside."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"Data folder {folder} does not exist: {data.how_to_get}")
    if (folder / data.folder).is_dir():
        return folder / data.folder
    if not any((folder / name).exists() for name in (*data.training, *data.test)):
        for other in DATA_SETS.values():
            places = (folder / other.folder, *(folder / name for name in other.training))
            if any(place.exists() for place in places):
                raise UserError(
                    f"Data folder {folder} holds {other.title}, not {data.title}: {data.how_to_get}"
                )
    return folder


def read(folder: str | Path, data: DataSet, files: Mapping[str, int]) -> Images:
    """All images of `files`, one after the other."""
    folder = find_folder(folder, data)
    parts = [read_file(folder / name, data, units) for name, units in files.items()]
    return Images(
        torch.from_numpy(np.concatenate([pixels for pixels, _ in parts])),
        torch.from_numpy(np.concatenate([labels for _, labels in parts]).astype(np.int64)),
    )


def read_training(
    folder: str | Path, data_set: str = "cifar10", *, seed: int = 0, validation: int = 5_000
) -> tuple[Images, Images]:
    """The 50,000 training images as (training, validation), split by `seed`.

    The split's seed is 0 in every choice, whatever the seed of the training.
    """
    data = find(data_set)
    images = read(folder, data, data.training)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    parts = order[validation:], order[:validation]
    training, held_out = (Images(images.pixels[part], images.labels[part]) for part in parts)
    return training, held_out


def read_test(folder: str | Path, data_set: str = "cifar10") -> Images:
    """The 10,000 test images: read once, at the end."""
    data = find(data_set)
    return read(folder, data, data.test)


@cache
def few_shot_split() -> dict[str, tuple[str, ...]]:
    text = Path(__file__).with_name("cifar_fs.json").read_text("utf-8")
    return {part: tuple(names) for part, names in json.loads(text).items()}


def few_shot_classes(part: str) -> tuple[str, ...]:
    """Names of the classes of CIFAR-FS's `part`: 64 of train, 16 of validation, 20 of test."""
    if part not in FEW_SHOT_PARTS:
        raise UserError(f"Part {part!r} of CIFAR-FS: {nearest(part, FEW_SHOT_PARTS)}")
    return few_shot_split()[part]


def read_few_shot(folder: str | Path, part: str) -> Images:
    """All 600 images of each class of CIFAR-FS's `part`, out of both files of CIFAR-100.

    Labels count the classes of `few_shot_classes(part)`, from 0. Images are in the files' order,
    training file first.
    """
    names = few_shot_classes(part)
    data = DATA_SETS["cifar100"]
    images = read(folder, data, {**data.training, **data.test})
    number = torch.full((len(data.classes),), -1)
    number[[data.classes.index(name) for name in names]] = torch.arange(len(names))
    labels = number[images.labels]
    chosen = labels >= 0
    return Images(images.pixels[chosen], labels[chosen])


def pack(pixels: Tensor) -> Tensor:
    """uint8 [N, 32, 32, 3] padded by 4 zeros on every side, a pixel a word: int32 [N, 40, 40]."""
    padded = torch.nn.functional.pad(pixels, (0, 1, 4, 4, 4, 4))
    return padded.contiguous().view(torch.int32).squeeze(-1)


def augment(packed: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
    """Random crop by up to 4 pixels on every side, and random horizontal flip.

    Parameters
    ----------
    packed : Tensor
        int32 [N, 40, 40]: all images, by `pack`.
    index : Tensor
        int64 [B]: the images of this batch.
    generator : torch.Generator
        On the CPU, whatever the device: the same crops everywhere. A GPU gets them out of pinned
        memory, so that the CPU need not wait for the copy.

    Returns
    -------
    Tensor
        uint8 [B, 32, 32, 3].
    """
    count, device = len(index), packed.device
    pinned = device.type == "cuda"
    drawn = torch.randint(0, 9 * 9 * 2, (count,), generator=generator, pin_memory=pinned)
    draw = drawn.to(device, non_blocking=True)
    line = torch.arange(32, device=device)
    rows = (draw % 9)[:, None] + line
    columns = (draw // 9 % 9)[:, None] + torch.where((draw // 81 == 1)[:, None], 31 - line, line)
    place = (index * 1600)[:, None, None] + (rows * 40)[:, :, None] + columns[:, None, :]
    return packed.view(-1)[place].view(torch.uint8).view(count, 32, 32, 4)[..., :3]


def to_input(pixels: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """uint8 [N, H, W, 3] to raw values 0 to 255 [N, 3, H, W], float32 or `dtype`, channels last.

    No mean is subtracted: zero padding would then be wrong at the borders.
    """
    return pixels.to(dtype or torch.float32).contiguous().permute(0, 3, 1, 2)
