"""Pictures from files: found, read, and made into the network's input."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageOps

from model.errors import UserError

__all__ = ["find_pictures", "read_picture"]

_MODES = {1: "L", 3: "RGB"}


def find_pictures(names: Iterable[str | Path]) -> list[Path]:
    """The files named, and of each folder named all pictures in it, by name.

    Raises `UserError` for a name that is neither, and for a folder without pictures.
    """
    pictures = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            known = Image.registered_extensions()
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in known)
            if not inside:
                raise UserError(f"No picture in folder {path}")
            pictures += inside
        elif path.is_file():
            pictures.append(path)
        else:
            raise UserError(f"No picture {path}")
    return pictures


def read_picture(path: Path, *, input_shape: tuple[int, int, int]) -> bytes:
    """A picture as the network's input: height × width × channels bytes, channels innermost.

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
    return picture.tobytes()
