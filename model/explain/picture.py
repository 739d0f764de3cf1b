"""The image to explain: a picture of any size, or one of a data set by its number."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.common.errors import UserError, nearest
from model.common.optional import need
from model.data.picture_files import STANDARD_INPUT, find_pictures, shown
from model.data.pictures import PictureOptions, read_picture
from model.network import Network

__all__ = ["Picture", "find_picture"]

_NUMBERED = re.compile(r"(cifar\w+):(\w+):(\S+)")


@dataclass(frozen=True)
class Picture:
    """``pixels`` [H, W, C] uint8 as the network reads them; ``label`` where it is known."""

    title: str
    pixels: np.ndarray
    label: str | None = None


def find_picture(
    name: str,
    network: Network,
    data: Path | None = None,
    options: PictureOptions | None = None,
) -> Picture:
    """The picture of a file or standard input (-), or ``cifar10:test:N`` (or cifar100) in `data`.

    Raises ``UserError`` for what is neither, and for images that the network does not take.
    """
    numbered = _NUMBERED.fullmatch(name)
    if numbered and not Path(name).exists():
        return _of_data_set(name, numbered, network, data)
    path = Path(name)
    if path.is_dir():
        raise UserError(f"No picture {shown(path)}: a folder, but one picture is explained")
    try:
        find_pictures([path])
    except UserError as error:
        raise UserError(f"{error}; one of a data set is called cifar10:test:123") from None
    pixels = read_picture(path, input_shape=network.input_shape, options=options)
    title = "standard input" if path == STANDARD_INPUT else shown(path.name)
    return Picture(title, pixels >> (8 - network.input_bits))


def _of_data_set(name, numbered, network, data):
    from model.data import cifar

    need("torch")
    data_set, part, number = numbered.groups()
    if data_set not in cifar.DATA_SETS:
        raise UserError(
            f"Image {name}: data set {data_set!r}: {nearest(data_set, list(cifar.DATA_SETS))}"
        )
    if part != "test":
        raise UserError(f"Image {name}: only test images are numbered: {data_set}:test:123")
    if data is None:
        raise UserError(f"Image {name} needs --data DIR: {cifar.DATA_SETS[data_set].how_to_get}")
    cifar.check_input(network, network.name)
    images = cifar.read_test(data, data_set)
    if not number.isdecimal() or int(number) >= len(images):
        raise UserError(f"Image {name}: test images are numbered 0 to {len(images) - 1}")
    pixels, label = images.pixels[int(number)].numpy(), int(images.labels[int(number)])
    return Picture(name, pixels, cifar.DATA_SETS[data_set].classes[label])
