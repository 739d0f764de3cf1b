"""A generated data set that a small network learns within seconds, and a tiny network file."""

from pathlib import Path

import numpy as np
import torch

from model.data import cifar
from model.data.cifar import Images
from model.dham.shapes import shape_of
from model.network import Classifier, Conv, Network
from model.training.recipe import Recipe
from model.training.trainer import Trainer


def coloured(count: int, seed: int) -> Images:
    """Images whose class is their colour and brightness."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    base = np.stack([(labels % 2) * 120, (labels // 2 % 2) * 120, labels // 4 * 60], 1)
    pixels = base[:, None, None, :] + rng.integers(0, 100, (count, 32, 32, 3))
    return Images(torch.from_numpy(pixels.astype(np.uint8)), torch.from_numpy(labels))


def write_coloured(folder: Path, count: int = 64) -> None:
    """The files of CIFAR-10's binary version, with `count` coloured images each."""
    folder.mkdir()
    for number, name in enumerate((*cifar.TRAINING_FILES, *cifar.TEST_FILES)):
        images = coloured(count, number)
        planes = images.pixels.permute(0, 3, 1, 2).reshape(count, -1).numpy()
        labels = images.labels[:, None].numpy().astype(np.uint8)
        np.concatenate([labels, planes], 1).tofile(folder / name)


def write_checkpoint(path: Path, classes: int = 10, quantise: float = 1.0) -> None:
    """The checkpoint of one epoch on coloured images, quantised from that share of it on."""
    trainer = Trainer(
        shape=shape_of("dham8", width=16, classes=classes),
        recipe=Recipe(epochs=1, batch=32, soft=quantise, quantise=quantise, freeze=1.0),
        seed=0,
        training=coloured(64, 1),
        validation=coloured(32, 2),
        device=torch.device("cpu"),
    )
    trainer.train_epoch()
    trainer.save(path)


def tiny_network(classes: tuple[str, ...] = cifar.CLASSES, bias: int = 0) -> Network:
    """One strided convolution on 32×32 images, and a classifier whose biases are all `bias`."""
    rng = np.random.default_rng(0)
    conv = Conv(
        name="stem",
        source=0,
        weights=rng.integers(-8, 8, (6, 4, 4, 3)),
        weight_bits=4,
        stride=8,
        padding=(0, 0, 0, 0),
        bias=np.zeros(6, np.int64),
        multiplier=np.full(6, 100),
        shift=np.full(6, 16),
        group_size=3,
        activation_bits=4,
    )
    classifier = Classifier(
        name="classifier",
        source=1,
        weights=rng.integers(-8, 8, (len(classes), 6)),
        weight_bits=4,
        bias=np.full(len(classes), bias),
    )
    return Network(name="tiny", input_shape=(32, 32, 3), layers=(conv, classifier), classes=classes)
