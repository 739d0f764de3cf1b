"""Generated data sets in CIFAR's binary layout, and a quick scale that takes seconds."""

from dataclasses import replace

import numpy as np
import pytest

from model.data import cifar
from model.experiments.scales import SCALES
from model.measure import wins_figures

RECORDS = 120  # images of a file of CIFAR-10, and of a unit of CIFAR-100


def records(count, classes, labels, seed):
    """`count` records of images whose colour tells their class: learned within seconds."""
    rng = np.random.default_rng(seed)
    found = np.arange(count) % classes
    base = np.stack([found % 2 * 120, found // 2 % 2 * 120, found // 4 % 3 * 60], 1)
    planes = base[:, :, None] + rng.integers(0, 60, (count, 3, 1024))
    head = np.repeat(found[:, None], labels, 1)
    head[:, 0] %= 20 if labels == 2 else 256
    return np.concatenate([head, planes.reshape(count, -1)], 1).astype(np.uint8)


def small_scale():
    """`quick`, smaller still."""
    quick = SCALES["quick"]
    setting = replace(quick.settings[0], width=8, epochs=1, batch=32)
    return replace(
        quick,
        settings=(setting,),
        split=RECORDS,
        images=96,
        held_out=32,
        test=40,
        episodes=20,
        queries=2,
        severities=(1,),
        widths=(8, 12),
        ranked=20,
        trials=2,
    )


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as context:
        yield context


@pytest.fixture(scope="module")
def data(tmp_path_factory, patch):
    """A folder with a small CIFAR-10 and CIFAR-100, and `quick` made to fit it."""
    folder = tmp_path_factory.mktemp("data")
    patch.setattr(cifar, "RECORDS", RECORDS)
    patch.setitem(SCALES, "quick", small_scale())
    patch.setattr(wins_figures, "SHOWN", 2)  # groups drawn one by one
    seed = 0
    for known in cifar.DATA_SETS.values():
        (folder / known.folder).mkdir()
        for file, units in {**known.training, **known.test}.items():
            seed += 1
            count, labels = RECORDS * units, len(known.labels)
            found = records(count, len(known.classes), labels, seed)
            found.tofile(folder / known.folder / file)
    return folder
