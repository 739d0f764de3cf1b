"""Pixels of every kind that Pillow has, made 8-bit and opaque.

Deep pixels are scaled by the range that their kind has by documentation, never by the values that
happen to be there; pixels without such a range are refused. What is transparent shows a background.
"""

import numpy as np
from PIL import Image

__all__ = ["Refused", "flatten"]

Colour = tuple[int, int, int]


class Refused(ValueError):
    """A picture that is read by Pillow but whose pixels have no sure meaning; says what to do."""


_MEASUREMENTS = frozenset({"FITS", "MCIDAS"})
"""Formats whose deep pixels are measurements, scaled by their header or by nothing."""

_SIXTEEN_BITS = frozenset({"PNG", "PPM"})
"""Formats whose pixels of mode I are 16-bit: Pillow has scaled them to 0 to 65535."""

# Tags of TIFF (TIFF 6.0, sections 8 and 19).
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2

_PNG_BITS = 24  # where a PNG file's header states the bits of a sample

_MEND = "save it with 8 or 16 bits"


def flatten(picture: Image.Image, *, data: bytes, background: Colour) -> Image.Image:
    """A loaded picture, 8-bit and without transparency, in any mode that converts to RGB or L.

    `data` is the file. Transparency, in each way that a file can have it, is composited on
    `background` in the values as they are stored, which is what browsers do. Raises `Refused`.
    """
    tags = getattr(picture, "tag_v2", {})
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        raise Refused(f"its numbers are signed, with no stated black and white: {_MEND}")
    if picture.mode == "LAB":
        raise Refused("its colours are CIE LAB: save it as RGB")
    key = picture.info.get("transparency")
    if picture.mode == "F" or picture.mode.startswith("I"):
        values = np.asarray(picture)
        grey = Image.fromarray(_grey(picture, values, tags))
        return grey if key is None else _composite(grey, values != key, background)
    if picture.mode in ("La", "RGBa"):  # premultiplied
        picture = picture.convert(picture.mode.upper())
    if picture.mode in ("1", "L", "RGB") and key is not None:
        opaque = picture.convert("L" if picture.mode == "1" else picture.mode)
        same = np.asarray(opaque) == _scaled_key(key, picture, data)
        return _composite(opaque, ~(same.all(2) if same.ndim == 3 else same), background)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        canvas = Image.new("RGB", picture.size, background)
        canvas.paste(picture, mask=picture)
        return canvas
    return picture


def _composite(opaque: Image.Image, mask: np.ndarray, background: Colour) -> Image.Image:
    """`opaque` where `mask` [H, W] is true, else the background."""
    canvas = Image.new("RGB", opaque.size, background)
    canvas.paste(opaque.convert("RGB"), mask=Image.fromarray(mask.astype(np.uint8) * 255))
    return canvas


def _scaled_key(key, picture: Image.Image, data: bytes):
    """The transparent colour of a PNG file in 8 bits, as Pillow scales pixels but not the key.

    Of 16-bit colours Pillow keeps the higher byte, so that the key can only be told by that.
    """
    bits = data[_PNG_BITS] if picture.format == "PNG" else 8
    if bits == 16:
        return np.right_shift(key, 8)
    if picture.mode == "L" and bits < 8:
        return key * 255 // ((1 << bits) - 1)
    return key


def _grey(picture: Image.Image, values: np.ndarray, tags) -> np.ndarray:
    """Deep `values` [H, W] as uint8."""
    if picture.format in _MEASUREMENTS:
        raise Refused(f"its numbers are measurements, with no stated black and white: {_MEND}")
    white_is_zero = bool(tags) and tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO
    if picture.mode == "F":
        grey = _from_float(values)
    elif picture.mode == "I" and picture.format not in _SIXTEEN_BITS:
        raise Refused(
            f"its numbers are 32-bit, from {values.min()} to {values.max()}, "
            f"with no stated black and white: {_MEND}"
        )
    else:
        bits = tags.get(_BITS, (16,))[0]
        grey = (values >> (bits - 8)).astype(np.uint8)
    return ~grey if white_is_zero else grey


def _from_float(values: np.ndarray) -> np.ndarray:
    """0 is black and 1 is white, the convention of floating-point pictures (as in OpenEXR)."""
    least, most = values.min(), values.max()  # a NaN makes both NaN
    if not (least >= 0 and most <= 1):
        raise Refused(
            f"its floating-point values run from {least:.4g} to {most:.4g}, but 0 is black and 1 "
            f"is white: scale them to 0 to 1, or {_MEND}"
        )
    return np.rint(values * np.float32(255)).astype(np.uint8)
