"""The order of loops of a layer: output line, output column, tile, kernel row, kernel column.

The one place that says which taps a window has and in which order, for all that plans or counts:
the cycle model (``hw.compile.timing``), what a simulation exercised (``sim.coverage``). The order
of the hardware is that of ``hw.engine.taps``; ``tests/hw/engine`` compares the hardware with a walk
of its own, and ``tests/hw/compile/test_schedule.py`` compares this one with the same walk.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hw.layer_entry import LayerEntry

__all__ = ["OutputPixel", "Tap", "output_pixels", "tile_drains"]


@dataclass(frozen=True)
class Tap:
    """A tap that counts.

    ``position`` is its number among the kernel's positions, those outside the image included;
    ``source`` is the pixel (y, x) that it reads. Of the projection shortcut ``position`` is the
    number of the kernel's positions, and ``source`` is None: the pixel follows from the output's.
    """

    position: int
    source: tuple[int, int] | None


@dataclass(frozen=True)
class OutputPixel:
    """An output pixel: where it is, and the taps of its windows, which are the same in each tile.

    ``last_column``: its line ends with it.
    """

    line: int
    column: int
    last_column: bool
    taps: tuple[Tap, ...]


def output_pixels(entry: LayerEntry) -> Iterator[OutputPixel]:
    """The layer's output pixels, line by line."""
    rows = _inside(
        range(entry.start_y, entry.last_y + 1, entry.stride),
        entry.kernel_height,
        entry.input_height,
    )
    columns = _inside(
        range(entry.start_x, entry.last_x + 1, entry.stride), entry.kernel_width, entry.input_width
    )
    shortcut = (Tap(entry.kernel_height * entry.kernel_width, None),) if entry.projection else ()
    for line, row in enumerate(rows):
        for column, places in enumerate(columns):
            kernel = tuple(
                Tap(number * entry.kernel_width + offset, (y, x))
                for number, y in row
                for offset, x in places
            )
            yield OutputPixel(line, column, column == len(columns) - 1, kernel + shortcut)


def tile_drains(entry: LayerEntry) -> list[int]:
    """Cycles of the drain of each tile's window, in the order of the tiles."""
    return [entry.drain_cycles] * (entry.tiles - 1) + [entry.last_drain_cycles]


def _inside(starts: range, kernel: int, extent: int) -> list[list[tuple[int, int]]]:
    """Along an axis, for each output position: its taps inside, as (number, coordinate)."""
    return [
        [(tap, start + tap) for tap in range(kernel) if 0 <= start + tap < extent]
        for start in starts
    ]
