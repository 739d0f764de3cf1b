"""Images to simulate on: real ones, or random ones of several kinds."""

from pathlib import Path

import numpy as np

from model.common.errors import UserError
from model.common.optional import installed
from model.network import Network

__all__ = ["random_images", "read_cifar"]


def random_images(network: Network, count: int, seed: int) -> np.ndarray:
    """`count` images [N, H, W, C] uint8: noise, coarse noise, gradients, black, saturated."""
    rng = np.random.default_rng([seed, 0x51A])
    top = 2**network.input_bits - 1
    height, width, channels = network.input_shape
    images = np.empty((count, height, width, channels), np.uint8)
    rows, columns = np.mgrid[0:height, 0:width]
    for index, image in enumerate(images):
        kind = index % 8
        noise = rng.integers(0, top + 1, image.shape)
        if kind in (1, 3, 5):  # coarse: every pixel stands for a block
            step = int(rng.integers(2, 9))
            noise = noise[::step, ::step].repeat(step, 0).repeat(step, 1)[:height, :width]
        elif kind in (2, 6):
            slope = rng.normal(size=(2, channels))
            ramp = rows[..., None] * slope[0] + columns[..., None] * slope[1]
            ramp -= ramp.min()
            noise = ramp * top / max(ramp.max(), 1e-9)
        elif kind == 7:
            noise = np.full(image.shape, top * int(rng.integers(0, 2)))
        image[...] = noise
    return images


def read_cifar(folder: Path, count: int) -> np.ndarray:
    """The first `count` test images of CIFAR-10, [N, 32, 32, 3] uint8."""
    from model.data.cifar import read_test

    if not installed("torch"):
        raise UserError(
            "--data needs torch: pip install 'decisivenets[model]', or leave it out for random "
            "images"
        )
    pixels = read_test(folder).pixels.numpy()
    if count > len(pixels):
        raise UserError(f"--images must be at most {len(pixels)} with --data, not {count}")
    return pixels[:count]
