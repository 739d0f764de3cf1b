"""Plots without a display, the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from model.common.statistics import Interval
from model.experiments.runs import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["by_setting", "curve", "new_figure", "rendered"]

STYLE: dict[Any, Any] = {"svg.hashsalt": "decisivenets", "svg.fonttype": "none"}


def new_figure(
    title: str, columns: int = 1, rows: int = 1, size: tuple[float, float] = (5.2, 3.6)
) -> tuple[Figure, list[Axes]]:
    """A figure of `rows` × `columns` axes, each of `size` inches; the axes row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def curve(axes: Axes, points: Sequence[tuple[float, Interval]], label: str, **style: Any) -> None:
    """A line through the means, with error bars where there is an interval. May be empty."""
    if not points:
        return
    points = sorted(points, key=lambda point: point[0])
    options: dict[str, Any] = {"marker": "o", "markersize": 4, "capsize": 3}
    axes.errorbar(
        [x for x, _ in points],
        [found.mean for _, found in points],
        yerr=[found.half or 0 for _, found in points],
        label=label,
        **(options | style),
    )


def rendered(figure: Figure) -> dict[str, bytes]:
    """The figure as {"png": ..., "svg": ...}."""
    import matplotlib

    found = {}
    with matplotlib.rc_context(STYLE):
        for kind, options in (
            ("png", {"dpi": 120, "metadata": {"Software": None}}),
            ("svg", {"metadata": {"Date": None}}),
        ):
            data = io.BytesIO()
            figure.savefig(data, format=kind, **options)
            found[kind] = data.getvalue()
    return found


def by_setting(settings: Sequence[Setting], draw: Callable[[Setting, Axes], None]) -> Figure:
    """One figure with axes for each setting, titled by it; `draw` fills them."""
    figure, axes = new_figure("", columns=len(settings))
    for setting, place in zip(settings, axes, strict=True):
        draw(setting, place)
        place.set_title(setting.title, fontsize=7)
        if place.get_legend_handles_labels()[1]:
            place.legend(fontsize=7)
    return figure
