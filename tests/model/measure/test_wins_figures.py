"""Figures of wins: the shares in order, the same files twice."""

import pytest
import torch

from model.measure.wins import Wins
from model.measure.wins_figures import classes_figure, layer_figure, write_figure
from tests.model.winners import counted


def heights(axes):
    return [round(bar.get_height(), 12) for bar in axes.patches if hasattr(bar, "get_height")]


def test_layer_figure_shows_the_sorted_shares():
    wins, *_ = counted()
    figure = layer_figure(wins, "title")
    panels = figure.axes[2:]
    assert len(panels) == 4
    shown = {}
    for axes in panels:
        group = int(axes.get_title().split()[1].rstrip(":"))
        expected = sorted(wins.shares()[group].tolist(), reverse=True)
        assert heights(axes) == [round(share, 12) for share in expected]
        maps = [int(tick.get_text()) for tick in axes.get_xticklabels()]
        shown[group] = [wins.shares()[group, k].item() for k in maps]
        assert shown[group] == expected
    assert sorted(shown) == [0, 1, 2, 3]
    assert "4 groups of ℓ = 3 maps" in figure.get_suptitle()


def test_classes_figure_keeps_the_order_of_the_maps():
    wins, *_ = counted()
    figure = classes_figure(wins, (0, 2), ("cat", "dog"), "title")
    assert [axes.get_title() for axes in figure.axes[:2]] == ["cat", "dog"]
    distances = []
    for axes in figure.axes[2:]:
        group = int(axes.get_title().split()[1].rstrip(":"))
        distances.append(wins.distance(0, 2)[group].item())
        maps = [int(tick.get_text()) for tick in axes.get_xticklabels()]
        both = [wins.shares(label)[group, maps].tolist() for label in (0, 2)]
        assert heights(axes) == [round(share, 12) for share in both[0] + both[1]]
    assert distances == sorted(distances, reverse=True)


def test_many_groups_and_long_groups(tmp_path):
    wins = Wins("wide", 20, 14, 2)
    generator = torch.Generator().manual_seed(1)
    wins.counts += torch.randint(0, 9, wins.counts.shape, generator=generator)
    wins.counts[:, 7] = 0  # a group that never speaks
    figure = classes_figure(wins, (0, 1), ("a", "b"), "title")
    assert len(figure.axes) == 2 + 12
    write_figure(layer_figure(wins, "title"), tmp_path / "wide")
    assert {path.name for path in tmp_path.iterdir()} == {"wide.png", "wide.svg"}


def test_files_are_the_same_twice(tmp_path):
    wins, *_ = counted()
    first = write_figure(layer_figure(wins, "title"), tmp_path / "first.conv1")
    second = write_figure(layer_figure(wins, "title"), tmp_path / "second")
    assert [path.name for path in first] == ["first.conv1.png", "first.conv1.svg"]
    assert first[0].read_bytes().startswith(b"\x89PNG") and b"<svg" in first[1].read_bytes()
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_dense_layers_have_no_figure():
    with pytest.raises(ValueError, match="Layer stem is dense"):
        layer_figure(Wins("stem", 1, 4, 2), "title")
