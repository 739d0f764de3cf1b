"""Any picture, made into a network's input: the one reader of every program (docs/pictures.md)."""

import argparse
import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, UnidentifiedImageError

from model.common.errors import UserError
from model.data.picture_files import REFUSED, STANDARD_INPUT, formats, note, read_bytes, shown
from model.data.picture_pixels import Colour, Refused, flatten

__all__ = ["FITS", "MOST_PIXELS", "PictureOptions", "add_picture_options", "read_picture"]

MOST_PIXELS = 1 << 27
"""The largest picture that is read; measured: up to 2.5 GB of memory, about 8 s."""

FITS = ("stretch", "crop", "pad")
"""How a picture of another aspect ratio becomes the input: `PictureOptions.fit`."""

_MODES = {1: "L", 3: "RGB"}
_FILTER = Image.Resampling.LANCZOS

_UPRIGHT = dict(
    zip(
        range(2, 9),
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        strict=True,
    )
)
"""What undoes each orientation of EXIF (tag 0x112) but the first, which needs nothing."""
_AS_STORED = 1

_ONE_PICTURE = frozenset({"MPO", "PSD"})
"""Formats whose further frames are other views or layers of the first one."""

_LONGEST = 120  # characters of a decoder's reason


@dataclass(frozen=True)
class PictureOptions:
    """How pictures become a network's input.

    ``fit``: another aspect ratio is stretched, cropped to the middle, or padded with
    ``background``, which also shows through what is transparent. ``recursive``: folders with
    their subfolders.
    """

    fit: str = "stretch"
    background: Colour = (255, 255, 255)
    recursive: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace) -> "PictureOptions":
        """Those that `add_picture_options` made."""
        return cls(options.fit, options.background, getattr(options, "recursive", False))


def add_picture_options(parser: argparse.ArgumentParser, *, folders: bool = True) -> None:
    """Give a program the options of `PictureOptions`; `folders`: if it takes folders."""
    default = PictureOptions()
    parser.add_argument(
        "--fit",
        choices=FITS,
        default=default.fit,
        help="a picture of another aspect ratio: stretched (default), cropped to its middle, or "
        "padded with the background",
    )
    parser.add_argument(
        "--background",
        type=_colour,
        default=default.background,
        metavar="COLOUR",
        help="behind transparent pixels and around padded ones: a name or #rrggbb; default: white",
    )
    if folders:
        parser.add_argument(
            "--recursive", action="store_true", help="folders with their subfolders"
        )


def _colour(text: str) -> Colour:
    with contextlib.suppress(ValueError):
        colour = ImageColor.getrgb(text)
        if len(colour) == 3:
            return colour
    raise argparse.ArgumentTypeError(f"no opaque colour {shown(text)!r}: a name of CSS or #rrggbb")


def read_picture(
    path: Path, *, input_shape: tuple[int, int, int], options: PictureOptions | None = None
) -> np.ndarray:
    """A picture as the network's input, uint8 [height, width, channels].

    It is made 8-bit, freed of transparency, turned upright, converted to RGB (3 channels) or grey
    (1), and resized as `options` say; a picture that already has the size keeps its pixels. Of
    several frames the first is taken, with a note on stderr. `path` may be `STANDARD_INPUT`.

    Raises `UserError` for what is no readable picture, whatever its decoder raises, and for an
    input of other channels.
    """
    options = options or PictureOptions()
    height, width, channels = input_shape
    if channels not in _MODES:
        raise UserError(f"A picture has 1 or 3 channels, but the network's input has {channels}")
    name = "on standard input" if path == STANDARD_INPUT else shown(path)
    try:
        data = read_bytes(path)
    except PermissionError as error:
        raise UserError(f"No permission to read {name}") from error
    except OSError as error:
        raise UserError(f"Cannot read picture {name}: {error.strerror or error}") from error
    try:
        with _quiet():
            picture, frames = _decode(data, _MODES[channels], options.background)
            picture = _fit(picture, (width, height), options)
    except Exception as error:  # decoders of damaged files raise what they happen to run into
        raise UserError(f"Cannot read picture {name}: {_reason(error, data)}") from error
    if frames > 1:
        note(f"picture {name} has {frames} frames: the first one is taken")
    return np.asarray(picture).reshape(height, width, channels)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings; and nothing on stderr, where libtiff and the log of Pillow print."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        with contextlib.suppress(OSError):  # closed: then nothing can be printed
            kept = os.dup(2)
            stack.callback(os.close, kept)
            nothing = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, nothing)
            os.dup2(nothing, 2)
            stack.callback(os.dup2, kept, 2)
        yield


def _decode(data: bytes, mode: str, background: Colour) -> tuple[Image.Image, int]:
    """The picture in `mode`, upright, and how many frames its file has."""
    if not data:
        raise Refused("it is empty")
    with Image.open(io.BytesIO(data), formats=formats()) as opened:
        _check_size(opened)
        opened.load()
        _check_size(opened)  # that of an icon is known only now
        picture = flatten(opened, data=data, background=background).convert(mode)
        turn = _UPRIGHT.get(_orientation(opened))
        if turn is not None:
            picture = picture.transpose(turn)
        return picture, _frames(opened)


def _check_size(picture: Image.Image) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise Refused(
            f"it has {picture.width} × {picture.height} pixels, but at most "
            f"{MOST_PIXELS // 10**6} million are read"
        )


def _orientation(picture: Image.Image) -> int:
    """Tag 0x112 of EXIF. Malformed EXIF says nothing of the pixels, so that it is passed over."""
    with contextlib.suppress(Exception):
        return picture.getexif().get(0x0112, _AS_STORED)
    return _AS_STORED


def _frames(picture: Image.Image) -> int:
    """How many frames there are; 1 if those after the first one cannot be counted."""
    with contextlib.suppress(Exception):
        if picture.format not in _ONE_PICTURE:
            return getattr(picture, "n_frames", 1)
    return 1


def _fit(picture: Image.Image, size: tuple[int, int], options: PictureOptions) -> Image.Image:
    """The picture in `size` (width, height)."""
    if picture.size == size:
        return picture
    across, down = size[0] / picture.width, size[1] / picture.height
    if options.fit == "crop":
        scale = max(across, down)
        right, bottom = min(size[0] / scale, picture.width), min(size[1] / scale, picture.height)
        left, top = (picture.width - right) / 2, (picture.height - bottom) / 2
        return picture.resize(size, _FILTER, box=(left, top, left + right, top + bottom))
    if options.fit == "pad":
        scale = min(across, down)
        inside = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        resized = picture.resize(inside, _FILTER) if inside != picture.size else picture
        canvas = Image.new("RGB", size, options.background).convert(picture.mode)
        canvas.paste(resized, ((size[0] - inside[0]) // 2, (size[1] - inside[1]) // 2))
        return canvas
    return picture.resize(size, _FILTER)


def _reason(error: Exception, data: bytes) -> str:
    """Why a picture cannot be read, in one short line."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        accepted = [name for name in Image.ID if _accepts(name, data)]
        refused = [name for name in accepted if name in REFUSED]
        if refused:
            return f"{refused[0]} is not read: convert it to PNG"
        if accepted:
            return f"a damaged {accepted[0]} picture, or of a kind that is not read"
        return "cannot identify image file: no picture, or of a format that is not read"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MOST_PIXELS // 10**6} million pixels"
    if isinstance(error, MemoryError):
        return "there is not enough memory for its pixels"
    text = " ".join(shown(str(error)).split())
    if isinstance(error, OSError) and text:
        return text[:_LONGEST]
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"it is damaged, or of a kind that is not read ({text[:_LONGEST]})"


def _accepts(name: str, data: bytes) -> bool:
    """Whether a file begins as the format `name` does."""
    accept = Image.OPEN[name][1]
    with contextlib.suppress(Exception):
        return bool(accept and accept(data[:16]) is True)
    return False
