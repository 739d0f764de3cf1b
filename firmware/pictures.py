"""Pictures from files: found, read, and made into the network's input."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from model import pictures
from model.errors import UserError

__all__ = ["find_pictures", "read_picture"]


def find_pictures(names: Iterable[str | Path]) -> list[Path]:
    """The files named, and of each folder named all pictures in it, by name.

    Raises `UserError` for a name that is neither, and for a folder without pictures.
    """
    found = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            known = Image.registered_extensions()
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in known)
            if not inside:
                raise UserError(f"No picture in folder {path}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"No picture {path}")
    return found


def read_picture(path: Path, *, input_shape: tuple[int, int, int]) -> bytes:
    """A picture as the network's input: height × width × channels bytes, channels innermost."""
    return pictures.read_picture(path, input_shape=input_shape).tobytes()
