"""Table 3: accuracy by the temperatures t_init and t_final, for ℓ = 2 and 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from model.common.statistics import interval
from model.experiments import paper
from model.experiments.accuracy import accuracy_task, test_accuracy
from model.experiments.plots import by_setting, curve
from model.experiments.runs import possible
from model.experiments.session import TRAINING, Experiment, Session
from model.experiments.tables import (
    ORIGIN,
    compared_with,
    markdown,
    origin,
    over_seeds,
    paper_title,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TABLE3"]


def run(session: Session) -> None:
    sizes = session.sizes(session.scale.temperature_group_sizes)
    session.perform(
        [
            accuracy_task(
                session,
                setting,
                setting.shape(group_size=size),
                seed,
                {"group_size": size, "t_init": first, "t_final": last},
                recipe=setting.of_recipe(t_initial=first, t_final=last),
            )
            for setting in session.scale.settings
            for seed in session.seeds
            for size in possible(setting, "group_size", sizes)
            for first, last in session.scale.temperatures
        ]
    )


def place_of(record: dict) -> tuple[int, float, float]:
    return record["group_size"], record["t_init"], record["t_final"]


def tables(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records, others = session.of(setting), compared_with(setting)
        places = sorted(
            {*paper.TABLE3["resnet18"], *map(place_of, records)}, key=lambda p: (p[0], p[2], p[1])
        )
        rows = []
        for place in places:
            mine = [r for r in records if place_of(r) == place]
            row = [f"{number:g}" for number in place]
            row += [
                f"{paper.TABLE3[n][place]:.2f}" if place in paper.TABLE3[n] else "" for n in others
            ]
            row.append(percent(over_seeds(mine, lambda r: r["validation"])))
            row.append(percent(over_seeds(mine, test_accuracy)))
            rows.append(row + origin(mine))
        header = ["ℓ", "t_init", "t_final", *(f"{paper_title(n)}, %" for n in others)]
        header += ["ours, validation, %", "ours, test, %"]
        text.append(f"## {setting.title}\n\n{markdown([*header, *ORIGIN], rows)}")
        for size in sorted({r["group_size"] for r in records}):
            text.append(chosen([r for r in records if r["group_size"] == size], size))
    return "\n".join(text)


def chosen(records: Sequence[dict], size: int) -> str:
    """The temperatures that the validation images choose, and what they give on the test images."""
    means = {}
    for place in {place_of(r) for r in records}:
        mine = [r for r in records if place_of(r) == place]
        means[place] = interval([r["validation"] for r in mine]).mean
    best = max(sorted(means), key=lambda place: means[place])
    mine = [r for r in records if place_of(r) == best]
    return (
        f"ℓ = {size}: by the validation images the best of {len(means)} is t_init = {best[1]:g}, "
        f"t_final = {best[2]:g}; test {percent(over_seeds(mine, test_accuracy))}.\n"
    )


def figures(session: Session) -> dict[str, Figure]:
    def fill(setting, axes):
        records = session.of(setting)
        for size, first in sorted({place_of(r)[:2] for r in records}):
            points = []
            for last in sorted({r["t_final"] for r in records if place_of(r)[:2] == (size, first)}):
                mine = [r for r in records if place_of(r) == (size, first, last)]
                if found := over_seeds(mine, test_accuracy):
                    points.append((last, found))
            curve(axes, points, f"ℓ = {size}, t_init = {first:g}")
        axes.set_xscale("log")
        axes.set(xlabel="t_final", ylabel="test accuracy, %")

    return {"accuracy": by_setting(session.scale.settings, fill)}


TABLE3 = Experiment(
    name="table3",
    takes=("--group-sizes", *TRAINING),
    dense="at every temperature its activation is the ReLU",
    summary="accuracy by temperatures t_init and t_final",
    run=run,
    tables=tables,
    figures=figures,
)
