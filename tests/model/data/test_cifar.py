"""Reader of CIFAR-10, CIFAR-100 and CIFAR-FS, split and augmentation, on generated files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from model.common.errors import UserError
from model.data import cifar


def write(folder, name, data, units, labels):
    """A file of `units` × 20 records of random pixels; `labels(i)` gives their label bytes."""
    rng = np.random.default_rng(len(name))
    records = rng.integers(0, 256, (units * 20, data.record), dtype=np.uint8)
    for number, record in enumerate(records):
        record[: len(data.labels)] = labels(number)
    records.tofile(folder / name)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A CIFAR-10 of 20 images a file, in the official layout."""
    monkeypatch.setattr(cifar, "RECORDS", 20)
    data = cifar.DATA_SETS["cifar10"]
    for seed, name in enumerate((*cifar.TRAINING_FILES, *cifar.TEST_FILES)):
        rng = np.random.default_rng(seed)
        records = rng.integers(0, 256, (20, data.record), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        records.tofile(tmp_path / name)
    return tmp_path


@pytest.fixture
def folder_100(tmp_path_factory, monkeypatch):
    """A CIFAR-100 of 100 training and 20 test images: classes 0 to 99, and 5, 10, … 100 − 5."""
    monkeypatch.setattr(cifar, "RECORDS", 20)
    place = tmp_path_factory.mktemp("cifar100")
    data = cifar.DATA_SETS["cifar100"]
    write(place, "train.bin", data, 5, lambda i: (i % 20, i))
    write(place, "test.bin", data, 1, lambda i: (i, 5 * i))
    return place


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


@pytest.mark.parametrize("name", ["data_batch_4.bin", "test_batch.bin"])
@pytest.mark.parametrize(
    "damage, text",
    [
        (Path.unlink, "CIFAR-10 file .* is missing: get https"),
        (lambda path: os.truncate(path, 61459), "is truncated: 61459 bytes instead of 61460: get"),
        (lambda path: os.truncate(path, 61461), "is too long: 61461 bytes instead of 61460: get"),
    ],
)
def test_check_of_all_files_without_reading(folder, monkeypatch, name, damage, text):
    """It says what the readers say, and opens no file."""
    damage(folder / name)
    with pytest.raises(UserError, match=text) as said:
        (cifar.read_test if name == "test_batch.bin" else cifar.read_training)(folder)
    monkeypatch.setattr(np, "fromfile", lambda *_: pytest.fail("a file was read"))
    with pytest.raises(UserError) as caught:
        cifar.check_files(folder)
    assert str(caught.value) == str(said.value)


def test_check_of_the_data_sets(folder, folder_100, tmp_path):
    cifar.check_files(folder)
    for name in ("cifar100", "cifar-fs"):
        cifar.check_files(folder_100, name)
        with pytest.raises(UserError, match="holds CIFAR-10, not CIFAR-100"):
            cifar.check_files(folder, name)
    with pytest.raises(UserError, match="does not exist: get https"):
        cifar.check_files(tmp_path / "none")
    with pytest.raises(UserError, match="Data set 'cifar': did you mean cifar10?"):
        cifar.check_files(folder, "cifar")


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="does not exist: get https"):
        cifar.read_training(tmp_path / "none")


def test_cifar100_has_fine_labels_behind_coarse_ones(folder_100):
    raw = np.fromfile(folder_100 / "test.bin", np.uint8).reshape(20, 2 + 3072)
    images = cifar.read_test(folder_100, "cifar100")
    assert images.labels.tolist() == [5 * i for i in range(20)]
    assert np.array_equal(images.pixels[7, 2, 31, 1].numpy(), raw[7, 2 + 1024 + 2 * 32 + 31])
    assert np.array_equal(
        images.pixels.numpy(), raw[:, 2:].reshape(20, 3, 32, 32).transpose(0, 2, 3, 1)
    )
    training, validation = cifar.read_training(folder_100, "cifar100", validation=30)
    assert (len(training), len(validation)) == (70, 30)
    assert sorted([*training.labels.tolist(), *validation.labels.tolist()]) == list(range(100))


def test_cifar100_splits_like_cifar10(folder_100):
    """The same seed picks the same places of the files, whatever the data set."""
    _, validation = cifar.read_training(folder_100, "cifar100", validation=30)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    assert validation.labels.tolist() == order[:30].tolist()


@pytest.mark.parametrize(
    "place, value, text",
    [(0, 20, "has label 20, not 0 to 19: get https"), (1, 100, "has label 100, not 0 to 99")],
)
def test_cifar100_labels_out_of_range(folder_100, place, value, text):
    raw = bytearray((folder_100 / "test.bin").read_bytes())
    raw[3074 * 4 + place] = value
    (folder_100 / "test.bin").write_bytes(raw)
    with pytest.raises(UserError, match=text):
        cifar.read_test(folder_100, "cifar100")


def test_cifar100_damaged(folder_100):
    path = folder_100 / "train.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="CIFAR-100 file .*train.bin is truncated: 307399 bytes"):
        cifar.read_training(folder_100, "cifar100")
    path.unlink()
    with pytest.raises(UserError, match="train.bin is missing: get .*cifar-100-binary.tar.gz"):
        cifar.read_training(folder_100, "cifar100")


def test_folder_of_the_other_data_set(folder, folder_100, tmp_path_factory):
    with pytest.raises(UserError, match="holds CIFAR-10, not CIFAR-100: get .*cifar-100-binary"):
        cifar.read_test(folder, "cifar100")
    with pytest.raises(UserError, match="holds CIFAR-100, not CIFAR-10: get .*cifar-10-binary"):
        cifar.read_test(folder_100)
    above = tmp_path_factory.mktemp("above")
    (above / "cifar-100-binary").symlink_to(folder_100)
    with pytest.raises(UserError, match="holds CIFAR-100, not CIFAR-10"):
        cifar.read_test(above)
    (above / "cifar-10-batches-bin").symlink_to(folder)
    assert len(cifar.read_test(above)) == len(cifar.read_test(above, "cifar100")) == 20


def test_unknown_data_set(folder):
    with pytest.raises(UserError, match="Data set 'cifar1O': did you mean cifar10?"):
        cifar.read_test(folder, "cifar1O")


def test_data_set_of_classes():
    for name, data in cifar.DATA_SETS.items():
        assert cifar.data_set_of(list(data.classes)) == name
        assert len(set(data.classes)) == len(data.classes) == data.labels[-1]
    with pytest.raises(
        UserError, match="The 3 classes are not those of a known data set: CIFAR-10"
    ):
        cifar.data_set_of(["a", "b", "c"])


def test_classes_by_their_number():
    assert cifar.classes_of(10) == cifar.CLASSES
    assert cifar.classes_of(100) == cifar.DATA_SETS["cifar100"].classes
    assert cifar.classes_of(64) == cifar.few_shot_classes("train")
    with pytest.raises(UserError, match="The 7 classes are not those of a known data set: CIFAR-1"):
        cifar.classes_of(7)


def test_few_shot_split_is_a_partition_of_the_classes():
    parts = [cifar.few_shot_classes(part) for part in cifar.FEW_SHOT_PARTS]
    assert [len(part) for part in parts] == [64, 16, 20]
    assert sorted(name for part in parts for name in part) == list(
        cifar.DATA_SETS["cifar100"].classes
    )
    stored = json.loads((Path(cifar.__file__).parent / "cifar_fs.json").read_text())
    assert tuple(stored) == cifar.FEW_SHOT_PARTS
    with pytest.raises(UserError, match="Part 'tests' of CIFAR-FS: did you mean test?"):
        cifar.few_shot_classes("tests")


@pytest.mark.parametrize("part", cifar.FEW_SHOT_PARTS)
def test_few_shot_takes_both_files_and_renumbers(folder_100, part):
    images = cifar.read_few_shot(folder_100, part)
    names, classes = cifar.few_shot_classes(part), cifar.DATA_SETS["cifar100"].classes
    everything = []
    for name in ("train.bin", "test.bin"):
        for record in np.fromfile(folder_100 / name, np.uint8).reshape(-1, 3074):
            if classes[record[1]] in names:
                everything.append((names.index(classes[record[1]]), record[2:].tobytes()))
    found = [
        (label, image.permute(2, 0, 1).contiguous().numpy().tobytes())
        for label, image in zip(images.labels.tolist(), images.pixels, strict=True)
    ]
    assert found == everything
    assert set(images.labels.tolist()) == set(range(len(names)))


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


def test_crops_are_one_draw_of_the_generator():
    """A training of before is resumed with the same crops: one draw an image, in their order."""
    pixels = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)
    index, draw = torch.tensor([3, 0, 4, 4]), torch.Generator().manual_seed(11)
    found = [cifar.augment(cifar.pack(pixels), index, draw) for _ in range(2)]
    drawn = torch.randint(0, 162, (8,), generator=torch.Generator().manual_seed(11))
    padded = torch.nn.functional.pad(pixels, (0, 0, 4, 4, 4, 4))
    for image, number, value in zip(torch.cat(found), index.repeat(2), drawn, strict=True):
        flip, place = divmod(int(value), 81)
        x, y = divmod(place, 9)
        crop = padded[number, y : y + 32, x : x + 32]
        assert torch.equal(image, crop.flip(1) if flip else crop)


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
