"""Figures of shares of wins: figures 2 to 4 of arXiv 2012.01509."""

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from model.common import files
from model.common.lazy import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from model.measure.wins import Wins

__all__ = ["classes_figure", "layer_figure", "write_figure"]

SHOWN = 12  # groups that a figure draws one by one
COLOURS = ("tab:blue", "tab:orange")


def _canvas(title, panels):
    """A figure with two wide panels above and `panels` small ones below; all the axes."""
    from matplotlib.figure import Figure

    rows = -(-panels // 4)
    figure = Figure(figsize=(10, 3 + 1.8 * rows), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    grid = figure.add_gridspec(rows + 1, 4, height_ratios=[1.6, *[1] * rows])
    wide = [figure.add_subplot(grid[0, :2]), figure.add_subplot(grid[0, 2:])]
    small = [figure.add_subplot(grid[1 + index // 4, index % 4]) for index in range(panels)]
    return figure, wide, small


def _stack(axes, wins, label, order, title):
    """Every group as one column: the shares of its maps, stacked in `order` [G, ℓ]."""
    from matplotlib import colormaps

    _group_axis(axes, wins)
    shares = wins.shares(label).gather(1, order)
    edges = torch.arange(wins.groups + 1).numpy() - 0.5
    bottom = torch.zeros(wins.groups, dtype=torch.float64)
    colours = colormaps["viridis"]
    for rank in range(wins.group_size):
        top = bottom + shares[:, rank]
        colour = colours(rank / max(wins.group_size - 1, 1))
        axes.stairs(top.numpy(), edges, baseline=bottom.numpy(), fill=True, color=colour)
        bottom = top
    axes.plot(
        wins.silent_share(label).tolist(), ".", color="tab:red", markersize=3, label="silent pixels"
    )
    axes.set(ylabel="share of wins", ylim=(0, 1))
    axes.set_title(title, fontsize="medium")
    axes.legend(fontsize="x-small", loc="upper right")


def _group_axis(axes, wins):
    from matplotlib.ticker import MaxNLocator

    axes.set(xlabel="group", xlim=(-0.5, wins.groups - 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _bars(axes, wins, group, order, series):
    """One group's shares, a bar for each map and each of `series`: (label, colour, name)."""
    names = [str(number) for number in order[group].tolist()]
    width = 0.8 / len(series)
    for index, (label, colour, name) in enumerate(series):
        shares = wins.shares(label)[group, order[group]].tolist()
        places = [rank + (index - (len(series) - 1) / 2) * width for rank in range(len(names))]
        axes.bar(places, shares, width, color=colour, label=name)
    axes.axhline(1 / wins.group_size, color="grey", linewidth=0.8, linestyle=":")
    step = -(-len(names) // 16)
    axes.set_xticks(range(0, len(names), step), names[::step], fontsize="x-small")
    axes.tick_params(axis="y", labelsize="x-small")
    silent = " and ".join(f"{100 * wins.silent_share(s[0])[group]:.0f}" for s in series)
    axes.set_title(f"group {group}: silent {silent} %", fontsize="small")


def _grouped(wins):
    if wins.group_size == 1:
        raise ValueError(f"Layer {wins.name} is dense (ℓ = 1): its groups have nothing to win")
    return f"layer {wins.name}: {wins.groups} groups of ℓ = {wins.group_size} maps"


def layer_figure(wins: "Wins", title: str) -> "Figure":
    """Share of wins of each map within its group, sorted, for all images.

    Above: every group, as a stack with silence as dots, and the entropy of its wins. Below: up to
    `SHOWN` groups, from the least to the most even one; the dotted line is 1 / ℓ. Bars are named by
    the map's number in its group.
    """
    subtitle = _grouped(wins)
    entropy = wins.entropy()
    ranked = entropy.argsort(stable=True)
    count = min(SHOWN, wins.groups)
    chosen = ranked[torch.linspace(0, wins.groups - 1, count).round().long()].tolist()
    figure, (stack, other), panels = _canvas(f"{title}\n{subtitle}", count)
    order = wins.shares().argsort(dim=1, descending=True, stable=True)
    _stack(stack, wins, None, order, "all groups, maps sorted")
    _group_axis(other, wins)
    other.stairs(entropy.numpy(), torch.arange(wins.groups + 1).numpy() - 0.5, fill=True)
    other.axhline(math.log2(wins.group_size), color="grey", linewidth=0.8, linestyle=":")
    other.set_ylabel("entropy of wins, bits")
    for axes, group in zip(panels, chosen, strict=True):
        _bars(axes, wins, group, order, [(None, COLOURS[0], "all")])
    return figure


def classes_figure(
    wins: "Wins", pair: tuple[int, int], names: tuple[str, str], title: str
) -> "Figure":
    """The same for two classes side by side; `pair` are their labels.

    Maps are in the same order for both: that of all images. Below are the groups in which the two
    differ the most.
    """
    subtitle = _grouped(wins)
    order = wins.shares().argsort(dim=1, descending=True, stable=True)
    count = min(SHOWN, wins.groups)
    chosen = wins.distance(*pair).argsort(descending=True, stable=True)[:count].tolist()
    figure, wide, panels = _canvas(f"{title}\n{subtitle}", count)
    for axes, label, name in zip(wide, pair, names, strict=True):
        _stack(axes, wins, label, order, name)
    series = list(zip(pair, COLOURS, names, strict=True))
    for axes, group in zip(panels, chosen, strict=True):
        _bars(axes, wins, group, order, series)
    panels[0].legend(fontsize="x-small")
    return figure


def write_figure(figure: "Figure", stem: Path) -> list[Path]:
    """Write `figure` as `stem`.png and `stem`.svg: the same bytes for the same figure."""
    import matplotlib

    paths = []
    engine = figure.get_layout_engine()
    if engine is not None:  # once for both files: it takes most of the time
        engine.execute(figure)
        figure.set_layout_engine("none")
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        path = stem.with_name(f"{stem.name}.{kind}")
        data = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "wins", "svg.fonttype": "none"}):
            figure.savefig(data, format=kind, dpi=120, metadata=metadata)
        files.write(path, data.getvalue())
        paths.append(path)
    return paths
