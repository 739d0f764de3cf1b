"""Pictures from files, folders or standard input: found, read, made into the network's input."""

import io
import sys
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from model import pictures
from model.errors import UserError

__all__ = ["STANDARD_INPUT", "find_pictures", "read_picture"]

STANDARD_INPUT = Path("-")
"""Stands for one picture on standard input."""


class _StandardInput(io.BytesIO):
    """What came on standard input; its name in messages."""

    def __str__(self) -> str:
        return "on standard input"

    def __repr__(self) -> str:
        return repr(str(self))


def find_pictures(names: Iterable[str | Path]) -> list[Path]:
    """The files named, and of each folder named all pictures in it, by name; "-" stays as it is.

    Raises `UserError` for a name that is neither, for a folder without pictures, and for a second
    "-".
    """
    found = []
    for name in names:
        path = Path(name)
        if path == STANDARD_INPUT:
            if path in found:
                raise UserError("Standard input (-) can be read once, but is named twice")
            found.append(path)
        elif path.is_dir():
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
    source = _StandardInput(sys.stdin.buffer.read()) if path == STANDARD_INPUT else path
    return pictures.read_picture(source, input_shape=input_shape).tobytes()  # type: ignore[arg-type]
