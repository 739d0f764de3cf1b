"""Pictures from files, made into a network's input."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from model.errors import UserError

__all__ = ["read_picture"]

_MODES = {1: "L", 3: "RGB"}


def read_picture(path: Path, *, input_shape: tuple[int, int, int]) -> np.ndarray:
    """A picture as the network's input, uint8 [height, width, channels].

    It is turned upright, converted to RGB (3 channels) or grey (1), and resized without keeping
    its aspect; a picture that already has the size keeps its pixels.

    Raises `UserError` for what is no readable picture, or an input of other channels.
    """
    height, width, channels = input_shape
    if channels not in _MODES:
        raise UserError(f"A picture has 1 or 3 channels, but the network's input has {channels}")
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I;16"):
                picture = picture.point(lambda value: value / 256).convert("L")
            picture = picture.convert(_MODES[channels])
    except PermissionError as error:
        raise UserError(f"No permission to read {path}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).removesuffix(f" '{path}'").removesuffix(f" {str(path)!r}")
        raise UserError(f"Cannot read picture {path}: {reason}") from error
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(height, width, channels)
