"""A network of two convolutions whose maps compete, and images for it."""

import numpy as np
import torch

from model.data import cifar
from model.data.cifar import Images
from model.measure.wins import Wins
from model.network import Classifier, Conv, Network


def conv(name, source, inputs, channels, group_size, seed):
    rng = np.random.default_rng(seed)
    return Conv(
        name=name,
        source=source,
        weights=rng.integers(-8, 8, (channels, 4, 4, inputs)),
        weight_bits=4,
        stride=4,
        padding=(0, 0, 0, 0),
        bias=rng.integers(-900, 900, channels),
        multiplier=np.full(channels, 100),
        shift=np.full(channels, 16 if source == 0 else 10),
        group_size=group_size,
        activation_bits=4,
    )


def tiny(sizes=(3, 2), classes=cifar.CLASSES):
    """Two convolutions on 32×32 images, of 6 and 8 maps."""
    classifier = Classifier(
        name="classifier",
        source=2,
        weights=np.random.default_rng(5).integers(-8, 8, (len(classes), 8)),
        weight_bits=4,
        bias=np.zeros(len(classes), np.int64),
    )
    first, second = conv("stem", 0, 3, 6, sizes[0], 1), conv("a/b", 1, 6, 8, sizes[1], 2)
    return Network(
        name="tiny", input_shape=(32, 32, 3), layers=(first, second, classifier), classes=classes
    )


def images(count=12):
    rng = np.random.default_rng(4)
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8))
    return Images(pixels, torch.arange(count) % 10)


def random_records(count=9, size=3, groups=4, group_size=3, classes=5, seed=0):
    """Values, a third of them 0, winners and labels; map 4 never wins, class 4 has no images."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, size, size, groups)
    values = torch.randint(0, 3, shape, generator=generator)
    winners = torch.randint(0, group_size, shape, generator=generator)
    winners[..., 1][winners[..., 1] == 1] = 2
    winners[values == 0] = 0
    labels = torch.randint(0, classes - 1, (count,), generator=generator)
    return values, winners, labels


def plain(values, winners, labels, group_size, classes):
    counts = np.zeros((classes, values.shape[-1], group_size), np.int64)
    silent = np.zeros((classes, values.shape[-1]), np.int64)
    for image, y, x, group in np.ndindex(*values.shape):
        label = int(labels[image])
        if int(values[image, y, x, group]) == 0:
            silent[label, group] += 1
        else:
            counts[label, group, int(winners[image, y, x, group])] += 1
    return counts, silent


def counted(seed=0):
    """`Wins` of random records in batches of 4, and the plain counts."""
    values, winners, labels = random_records(seed=seed)
    wins = Wins("layer", 3, 4, 5)
    for first in range(0, 9, 4):
        part = slice(first, first + 4)
        wins.add(values[part], winners[part], labels[part])
    return wins, *plain(values, winners, labels, 3, 5)
