"""Reader of CIFAR-10's binary version, split and augmentation, on generated files."""

import numpy as np
import pytest
import torch

from model import cifar
from model.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data set of 20 images a file, in the official layout."""
    monkeypatch.setattr(cifar, "RECORDS", 20)
    rng = np.random.default_rng(3)
    for name in (*cifar.TRAINING_FILES, *cifar.TEST_FILES):
        records = rng.integers(0, 256, (20, cifar.RECORD), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        records.tofile(tmp_path / name)
    return tmp_path


def test_planes_become_channels(folder):
    raw = np.fromfile(folder / "test_batch.bin", np.uint8).reshape(20, -1)
    images = cifar.read_test(folder)
    assert images.pixels.shape == (20, 32, 32, 3) and images.pixels.dtype == torch.uint8
    assert images.labels.tolist() == raw[:, 0].tolist()
    for channel, y, x in ((0, 0, 0), (1, 3, 31), (2, 31, 5)):
        expected = raw[:, 1 + channel * 1024 + y * 32 + x]
        assert np.array_equal(images.pixels[:, y, x, channel].numpy(), expected)


def test_folder_above_is_accepted(folder, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    (above / "cifar-10-batches-bin").symlink_to(folder)
    assert len(cifar.read_test(above)) == 20


def test_split_is_fixed_by_seed_and_disjoint(folder):
    training, validation = cifar.read_training(folder, validation=10)
    again, _ = cifar.read_training(folder, validation=10)
    other, _ = cifar.read_training(folder, seed=1, validation=10)
    assert (len(training), len(validation)) == (90, 10)
    assert torch.equal(training.pixels, again.pixels)
    assert not torch.equal(training.pixels, other.pixels)
    everything = {image.numpy().tobytes() for image in (*training.pixels, *validation.pixels)}
    assert len(everything) == 100


@pytest.mark.parametrize(
    "damage, text",
    [
        (lambda path: path.unlink(), "test_batch.bin is missing: get https"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            "is truncated: 61459 bytes instead",
        ),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "is too long"),
        (
            lambda path: path.write_bytes(b"\x0a" + path.read_bytes()[1:]),
            "has label 10, not 0 to 9",
        ),
    ],
)
def test_damaged_files(folder, damage, text):
    damage(folder / "test_batch.bin")
    with pytest.raises(UserError, match=text):
        cifar.read_test(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="does not exist: get https"):
        cifar.read_training(tmp_path / "none")


def test_augmented_images_are_crops_and_flips():
    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    index = torch.arange(60) % 3
    found = cifar.augment(cifar.pack(pixels), index, torch.Generator().manual_seed(5))
    assert found.shape == (60, 32, 32, 3)
    padded = torch.nn.functional.pad(pixels, (0, 0, 4, 4, 4, 4))
    for image, number in zip(found, index, strict=True):
        crops = (padded[number, y : y + 32, x : x + 32] for y in range(9) for x in range(9))
        assert any(torch.equal(image, crop) or torch.equal(image, crop.flip(1)) for crop in crops)
    assert len({image.numpy().tobytes() for image in found}) > 50


def test_augmentation_is_fixed_by_its_generator():
    packed = cifar.pack(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8))
    first, second = (
        cifar.augment(packed, torch.arange(4), torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(first, second)


def test_input_keeps_raw_values():
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    x = cifar.to_input(pixels, torch.bfloat16)
    assert x.shape == (2, 3, 32, 32) and x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x.permute(0, 2, 3, 1).to(torch.uint8), pixels)
