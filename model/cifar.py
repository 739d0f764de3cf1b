"""CIFAR-10 in its official binary version, held in memory as bytes, and its augmentation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.errors import UserError

__all__ = ["CLASSES", "Images", "augment", "pack", "read_test", "read_training", "to_input"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAINING_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
RECORD = 1 + 3 * 32 * 32  # label, then red, green and blue planes
RECORDS = 10_000  # in each file
HOW_TO_GET = (
    "get https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, unpack it, and give "
    "its folder cifar-10-batches-bin with --data"
)


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes
    ----------
    pixels : Tensor
        uint8 [N, 32, 32, 3], raw values.
    labels : Tensor
        int64 [N], 0 to 9.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.labels.to(device))


def read_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [10000, 32, 32, 3] and labels uint8 [10000] of one file."""
    if not path.is_file():
        raise UserError(f"CIFAR-10 file {path} is missing: {HOW_TO_GET}")
    raw = np.fromfile(path, np.uint8)
    if raw.size != RECORD * RECORDS:
        state = "truncated" if raw.size < RECORD * RECORDS else "too long"
        raise UserError(
            f"CIFAR-10 file {path} is {state}: {raw.size} bytes instead of "
            f"{RECORD * RECORDS}: {HOW_TO_GET}"
        )
    records = raw.reshape(RECORDS, RECORD)
    if records[:, 0].max() >= len(CLASSES):
        raise UserError(
            f"CIFAR-10 file {path} has label {records[:, 0].max()}, not 0 to 9: {HOW_TO_GET}"
        )
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0]


def read(folder: str | Path, names: tuple[str, ...]) -> Images:
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"Data folder {folder} does not exist: {HOW_TO_GET}")
    if (folder / "cifar-10-batches-bin").is_dir():
        folder = folder / "cifar-10-batches-bin"
    pixels, labels = zip(*(read_file(folder / name) for name in names), strict=True)
    return Images(
        torch.from_numpy(np.concatenate(pixels)),
        torch.from_numpy(np.concatenate(labels).astype(np.int64)),
    )


def read_training(
    folder: str | Path, *, seed: int = 0, validation: int = 5_000
) -> tuple[Images, Images]:
    """The 50,000 training images as (training, validation), split by `seed`.

    The split's seed is 0 in every choice, whatever the seed of the training.
    """
    images = read(folder, TRAINING_FILES)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    parts = order[validation:], order[:validation]
    training, held_out = (Images(images.pixels[part], images.labels[part]) for part in parts)
    return training, held_out


def read_test(folder: str | Path) -> Images:
    """The 10,000 test images: read once, at the end."""
    return read(folder, TEST_FILES)


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
        On the CPU, whatever the device: the same crops everywhere.

    Returns
    -------
    Tensor
        uint8 [B, 32, 32, 3].
    """
    count, device = len(index), packed.device
    draw = torch.randint(0, 9 * 9 * 2, (count,), generator=generator).to(device)
    line = torch.arange(32, device=device)
    rows = (draw % 9)[:, None] + line
    columns = (draw // 9 % 9)[:, None] + torch.where((draw // 81 == 1)[:, None], 31 - line, line)
    place = (index * 1600)[:, None, None] + (rows * 40)[:, :, None] + columns[:, None, :]
    return packed.view(-1)[place].view(torch.uint8).view(count, 32, 32, 4)[..., :3]


def to_input(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 [N, H, W, 3] to raw values 0 to 255 [N, 3, H, W], channels last.

    No mean is subtracted: zero padding would then be wrong at the borders.
    """
    return pixels.to(dtype).contiguous().permute(0, 3, 1, 2)
