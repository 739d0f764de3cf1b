"""The project's own pictures: what a board shows when its user gives none, and data for tests.

Simple scenes, drawn by numpy alone at the size of the network's input. What a network decides on
them is up to it: they come from no data set.
"""

from collections.abc import Callable, Sequence

import numpy as np

from model.network import Network

__all__ = ["DRAWINGS", "draw", "drawings"]

_SAMPLES = 8  # of a pixel, in each direction
_SIDE = 100  # units of a drawing, in each direction, y downwards

Colour = tuple[int, int, int]


class _Canvas:
    """Shapes painted over one another, in units of `_SIDE`; colours are red, green, blue."""

    def __init__(self, height: int, width: int):
        self._shape = (height, width)
        rows, columns = height * _SAMPLES, width * _SAMPLES
        self._y = ((np.arange(rows) + 0.5) * _SIDE / rows)[:, None]
        self._x = ((np.arange(columns) + 0.5) * _SIDE / columns)[None, :]
        self._pixels = np.zeros((rows, columns, 3), np.int64)

    def sky(self, top: Colour, bottom: Colour) -> None:
        """From one colour to the other, over everything."""
        share = self._y[:, :, None] / _SIDE
        self._pixels[:] = np.rint((1 - share) * np.array(top) + share * np.array(bottom))

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        inside = (self._x >= left) & (self._x < right) & (self._y >= top) & (self._y < bottom)
        self._pixels[inside] = colour

    def disc(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        """An ellipse by its centre and half axes."""
        inside = ((self._x - x) / across) ** 2 + ((self._y - y) / down) ** 2 <= 1
        self._pixels[inside] = colour

    def shape(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """A polygon: inside, a ray to the right crosses its edges an odd number of times."""
        inside = np.zeros(self._pixels.shape[:2], bool)
        for (x, y), (next_x, next_y) in zip(points, [*points[1:], points[0]], strict=True):
            if y != next_y:
                beside = self._x < x + (self._y - y) * (next_x - x) / (next_y - y)
                inside ^= ((self._y < y) != (self._y < next_y)) & beside
        self._pixels[inside] = colour

    def picture(self) -> np.ndarray:
        """uint8 [height, width, 3]: the mean of each pixel's samples."""
        height, width = self._shape
        blocks = self._pixels.reshape(height, _SAMPLES, width, _SAMPLES, 3)
        total = blocks.sum(axis=(1, 3))
        return ((2 * total + _SAMPLES**2) // (2 * _SAMPLES**2)).astype(np.uint8)


def _ship(to: _Canvas) -> None:
    to.sky((120, 170, 220), (225, 235, 240))
    to.box(0, 66, 100, 100, (25, 70, 120))
    to.box(42, 34, 50, 48, (200, 60, 45))
    to.box(42, 34, 50, 38, (30, 30, 35))
    to.box(30, 46, 66, 58, (240, 240, 235))
    for left in (34, 42, 50, 58):
        to.box(left, 50, left + 4, 54, (60, 90, 120))
    to.shape([(8, 56), (94, 56), (82, 74), (18, 74)], (35, 35, 45))
    to.shape([(15, 69), (86, 69), (82, 74), (18, 74)], (150, 40, 40))
    for left, top in ((4, 82), (60, 80), (30, 91), (76, 93)):
        to.box(left, top, left + 20, top + 2, (120, 165, 200))


def _airplane(to: _Canvas) -> None:
    to.sky((60, 125, 215), (170, 210, 245))
    for x, y, across, down in ((20, 80, 17, 6), (32, 76, 12, 7), (82, 20, 13, 5)):
        to.disc(x, y, across, down, (245, 248, 250))
    to.shape([(44, 46), (56, 46), (42, 16), (34, 16)], (165, 172, 182))
    to.shape([(10, 46), (20, 46), (12, 26), (5, 26)], (200, 60, 50))
    to.disc(50, 49, 44, 7.5, (235, 237, 240))
    to.shape([(42, 51), (60, 51), (34, 84), (25, 84)], (190, 196, 205))
    to.disc(88, 46.5, 4, 2, (50, 70, 95))
    for x in range(30, 80, 8):
        to.disc(x, 46, 1.5, 1.5, (70, 95, 130))


def _wheel(to: _Canvas, x: float, y: float, size: float) -> None:
    to.disc(x, y, size, size, (25, 25, 28))
    to.disc(x, y, size / 2, size / 2, (165, 165, 170))


def _automobile(to: _Canvas) -> None:
    to.sky((175, 205, 230), (235, 235, 225))
    to.box(0, 58, 100, 100, (120, 120, 122))
    to.box(0, 56, 100, 60, (95, 135, 85))
    to.shape([(24, 48), (36, 28), (66, 28), (82, 48)], (165, 25, 30))
    to.shape([(31, 47), (39, 32), (50, 32), (50, 47)], (170, 205, 225))
    to.shape([(54, 47), (54, 32), (64, 32), (74, 47)], (170, 205, 225))
    to.shape([(6, 52), (12, 47), (86, 47), (95, 53), (95, 68), (6, 68)], (200, 30, 35))
    to.box(89, 54, 95, 59, (250, 235, 170))
    to.box(6, 64, 95, 68, (90, 20, 24))
    _wheel(to, 26, 69, 10)
    _wheel(to, 75, 69, 10)


def _truck(to: _Canvas) -> None:
    to.sky((190, 210, 225), (240, 230, 210))
    to.box(0, 70, 100, 100, (105, 105, 108))
    to.box(4, 18, 64, 68, (240, 240, 238))
    to.box(4, 36, 64, 46, (45, 125, 75))
    to.shape([(66, 68), (66, 32), (82, 32), (92, 48), (96, 50), (96, 68)], (40, 85, 160))
    to.shape([(70, 48), (70, 36), (80, 36), (87, 48)], (180, 215, 235))
    to.box(2, 66, 97, 71, (45, 45, 50))
    for x in (18, 34, 82):
        _wheel(to, x, 74, 9)


def _bird(to: _Canvas) -> None:
    to.sky((165, 205, 165), (215, 230, 190))
    to.box(0, 80, 100, 86, (105, 75, 45))
    to.shape([(2, 56), (6, 70), (34, 60), (30, 50)], (70, 60, 55))
    to.disc(46, 55, 27, 18, (175, 85, 45))
    to.disc(70, 37, 14, 13, (90, 80, 75))
    to.shape([(82, 33), (98, 39), (82, 43)], (235, 175, 50))
    to.disc(74, 34, 3, 3, (15, 15, 15))
    to.shape([(24, 48), (56, 46), (48, 66), (30, 64)], (85, 70, 60))
    for x in (44, 54):
        to.box(x, 70, x + 3, 81, (210, 150, 50))


def _cat(to: _Canvas) -> None:
    to.sky((205, 190, 170), (170, 150, 130))
    for ear, colour in (
        ([(16, 44), (16, 12), (42, 30)], (215, 135, 60)),
        ([(22, 44), (20, 20), (38, 30)], (240, 180, 165)),
    ):
        to.shape(ear, colour)
        to.shape([(100 - x, y) for x, y in ear], colour)
    to.disc(50, 56, 37, 33, (215, 135, 60))
    for x in (38, 48, 58):
        to.shape([(x, 24), (x + 4, 24), (x + 2, 40)], (150, 80, 30))
    to.disc(50, 73, 19, 14, (245, 230, 210))
    for x in (35, 65):
        to.disc(x, 52, 8, 7, (165, 200, 80))
        to.disc(x, 52, 2.5, 6, (15, 15, 15))
    to.shape([(45, 65), (55, 65), (50, 71)], (215, 110, 115))
    for y in (70, 77):
        to.box(8, y, 34, y + 1.5, (250, 245, 240))
        to.box(66, y, 92, y + 1.5, (250, 245, 240))


def _frog(to: _Canvas) -> None:
    to.sky((60, 110, 120), (40, 80, 70))
    to.disc(50, 84, 46, 13, (45, 120, 60))
    for x in (20, 80):
        to.disc(x, 70, 15, 13, (70, 135, 40))
        to.disc(x, 83, 13, 4, (95, 165, 55))
    to.disc(50, 62, 30, 24, (105, 175, 55))
    to.disc(50, 72, 21, 13, (200, 220, 140))
    to.disc(50, 45, 27, 16, (115, 185, 60))
    for x in (33, 67):
        to.disc(x, 31, 10, 10, (115, 185, 60))
        to.disc(x, 30, 6.5, 6.5, (240, 225, 120))
        to.disc(x, 30, 3, 4.5, (15, 20, 15))
    to.box(32, 51, 68, 53, (50, 95, 30))


DRAWINGS: dict[str, Callable[[_Canvas], None]] = {
    "ship": _ship,
    "airplane": _airplane,
    "automobile": _automobile,
    "bird": _bird,
    "cat": _cat,
    "frog": _frog,
    "truck": _truck,
}
"""Names of the scenes, in the order in which a board shows them."""


def draw(name: str, height: int, width: int) -> np.ndarray:
    """The scene of that name in `DRAWINGS`, uint8 [height, width, 3]."""
    canvas = _Canvas(height, width)
    DRAWINGS[name](canvas)
    return canvas.picture()


def drawings(network: Network) -> tuple[bytes, ...]:
    """All scenes as inputs of a network: its size, grey or in colour, of its `input_bits`.

    None where an input has neither 1 nor 3 channels: then it is no picture.
    """
    height, width, channels = network.input_shape
    if channels not in (1, 3):
        return ()
    found = []
    for name in DRAWINGS:
        picture = draw(name, height, width).astype(np.int64)
        if channels == 1:
            weights = np.array([299, 587, 114])  # ITU-R BT.601, in thousandths
            picture = (picture @ weights + 500)[..., None] // 1000
        found.append((picture >> (8 - network.input_bits)).astype(np.uint8).tobytes())
    return tuple(found)
