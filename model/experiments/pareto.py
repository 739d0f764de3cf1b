"""`pareto`: accuracy against true multiplications over width, ℓ and bits.

The question: at equal multiplications, is a wider DHAM network better than a dense one?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING

from model.common.statistics import Interval, interval
from model.dham.shapes import Shape
from model.experiments.accuracy import accuracy_task, test_accuracy
from model.experiments.plots import by_setting, curve
from model.experiments.runs import Setting
from model.experiments.session import TRAINING, Experiment, Session, Task
from model.experiments.tables import NOT_RUN, ORIGIN, markdown, origin, over_seeds, percent
from model.training.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PARETO", "against_dense"]

FLOAT = {"float": "default"}  # a recipe in floating point, and its counterpart that quantises


def recipe_of(setting: Setting, bits: int | None) -> dict:
    """Recipe and its name: the setting's, or one that quantises."""
    if bits is None:
        return {"recipe": setting.of_recipe()}
    if setting.recipe in FLOAT:
        name = FLOAT[setting.recipe]
        return {"recipe": setting.of_recipe(name), "recipe_name": name}
    default = RECIPES["default"]
    keys = ("t_final", "soft", "quantise", "freeze")
    recipe: Recipe = setting.of_recipe(**{key: getattr(default, key) for key in keys})
    return {"recipe": recipe}


def shape_of(setting: Setting, width: int, size: int, bits: int | None) -> Shape | None:
    """None where ℓ does not divide the maps of every layer."""
    given = (
        {} if bits is None else dict.fromkeys(("weight_bits", "activation_bits", "stem_bits"), bits)
    )
    try:
        return setting.shape(group_size=size, width=width, **given)
    except ValueError:
        return None


def places(session: Session) -> list[tuple[int, int, int | None]]:
    """(width, ℓ, bits) of all points."""
    sizes = session.sizes(session.scale.pareto_group_sizes)
    return [
        (width, size, bits)
        for bits in session.scale.bits
        for width in session.scale.widths
        for size in sizes
    ]


def tasks(session: Session) -> Iterator[Task]:
    for setting in session.scale.settings:
        for seed in session.seeds:
            for width, size, bits in places(session):
                shape = shape_of(setting, width, size, bits)
                if shape is not None:
                    facts = {"group_size": size, "bits": bits}
                    more = recipe_of(setting, bits)
                    yield accuracy_task(session, setting, shape, seed, facts, **more)


def run(session: Session) -> None:
    session.perform(list(tasks(session)))


def place_of(record: dict) -> tuple[int, int, int | None]:
    return record["width"], record["group_size"], record["bits"]


def by_place(records: Sequence[dict]) -> dict[tuple, list[dict]]:
    """Records of each point, by bits (floating point first) and multiplications."""
    found: dict[tuple, list[dict]] = {}
    for record in sorted(records, key=lambda r: (r["bits"] or 0, r["multiplications"])):
        found.setdefault(place_of(record), []).append(record)
    return found


def between(points: Sequence[tuple[float, float]], count: float) -> float | None:
    """Accuracy at `count` multiplications on the line through (multiplications, accuracy).

    Straight in the logarithm of the multiplications; None outside of the points.
    """
    points = sorted(points)
    for (low, first), (high, second) in pairwise(points):
        if low <= count <= high:
            share = (log(count) - log(low)) / (log(high) - log(low))
            return first + share * (second - first)
    return None


def against_dense(records: Sequence[dict], mine: Sequence[dict]) -> Interval | None:
    """Points by which a DHAM network is above dense ones of as many multiplications.

    Seed by seed, against dense networks of the same bits and seed; None where they do not reach
    its number of multiplications from both sides.
    """
    gains = []
    for record in mine:
        dense = [
            (r["multiplications"], test_accuracy(r))
            for r in records
            if (r["group_size"], r["bits"], r["seed"]) == (1, record["bits"], record["seed"])
        ]
        level = between(dense, record["multiplications"])
        if level is not None:
            gains.append(test_accuracy(record) - level)
    return interval(gains) if gains else None


def front(found: dict[tuple, list[dict]], bits: int | None) -> set[tuple]:
    """Points that no other one of the same bits beats at as many multiplications or fewer.

    By the validation images.
    """
    points = {
        place: (mine[0]["multiplications"], interval([r["validation"] for r in mine]).mean)
        for place, mine in found.items()
        if place[2] == bits
    }
    return {
        place
        for place, (count, level) in points.items()
        if not any(
            other != place and c <= count and v >= level and (c, v) != (count, level)
            for other, (c, v) in points.items()
        )
    }


def verdict(found: dict[tuple, list[dict]], records: Sequence[dict], bits: int | None) -> str:
    """The answer to the question, for one kind of arithmetic."""
    what = "floating point" if bits is None else f"{bits} bits"
    gains = {
        place: gain
        for place, mine in found.items()
        if place[1] > 1 and place[2] == bits and (gain := against_dense(records, mine))
    }
    if not gains:
        return (
            f"{what}: not answered: no DHAM network has dense ones of fewer and of more "
            "multiplications.\n"
        )
    above = [p for p, g in gains.items() if g.half is not None and g.low > 0]
    below = [p for p, g in gains.items() if g.half is not None and g.high < 0]
    mean = sum(g.mean for g in gains.values()) / len(gains)
    answer = (
        "**yes**"
        if len(above) == len(gains)
        else "**no**"
        if len(below) == len(gains)
        else "**mixed**"
    )
    single = sum(g.half is None for g in gains.values())
    if single == len(gains):
        answer = "**undecided**, one seed only"
    elif not above and not below:
        answer = "**undecided**"
    return (
        f"{what}: at equal multiplications a wider DHAM is better than a dense network: {answer}. "
        f"Of {len(gains)} DHAM networks within the dense ones' range the 95 % interval is above "
        f"them for {len(above)}, below for {len(below)}, and settles nothing for "
        f"{len(gains) - len(above) - len(below)}; on average {mean:+.2f} points.\n"
    )


def tables(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records = session.of(setting)
        found = by_place(records)
        best = {place for bits in {p[2] for p in found} for place in front(found, bits)}
        rows = []
        for place, mine in found.items():
            width, size, bits = place
            gain = against_dense(records, mine) if size > 1 else None
            rows.append(
                [
                    str(width),
                    str(size),
                    "float" if bits is None else str(bits),
                    f"{mine[0]['multiplications']:,}",
                    percent(over_seeds(mine, test_accuracy)),
                    "" if size == 1 else percent(gain, sign=True) if gain else "outside",
                    "front" if place in best else "",
                    *origin(mine),
                ]
            )
        missing = [p for p in places(session) if p not in found]
        rows += [
            [str(w), str(s), "float" if b is None else str(b), "", NOT_RUN, "", "", *origin([])]
            for w, s, b in missing
            if shape_of(setting, w, s, b) is not None
        ]
        header = ["width", "ℓ", "bits", "true multiplications", "ours, test, %"]
        header += ["above dense at equal multiplications, points", "by validation"]
        text.append(f"## {setting.title}\n\n{markdown([*header, *ORIGIN], rows)}")
        text += [verdict(found, records, bits) for bits in session.scale.bits]
    text.append(
        "Dense networks of other widths are joined by a line, straight in the logarithm of the "
        "multiplications; a difference is taken seed by seed. The width in a heading is the "
        "scale's; rows have their own. Networks of fewer bits have the recipe that quantises, so "
        "only rows of equal bits compare. The paper did not ask this: no number of its stands "
        "beside ours.\n"
    )
    return "\n".join(text)


def figures(session: Session) -> dict[str, Figure]:
    def draw(setting, axes):
        found = by_place(session.of(setting))
        for bits in session.scale.bits:
            for size in sorted({place[1] for place in found}):
                points = [
                    (mine[0]["multiplications"], level)
                    for place, mine in found.items()
                    if place[1:] == (size, bits) and (level := over_seeds(mine, test_accuracy))
                ]
                kind = "float" if bits is None else f"{bits} bits"
                style = {
                    "linestyle": "-" if bits is None else "--",
                    "color": f"C{size.bit_length()}",
                }
                curve(axes, points, f"ℓ = {size}, {kind}", **style)
        axes.set_xscale("log")
        axes.set(xlabel="true multiplications of one frame", ylabel="test accuracy, %")

    return {"pareto": by_setting(session.scale.settings, draw)}


PARETO = Experiment(
    name="pareto",
    takes=("--group-sizes", "--widths", *(option for option in TRAINING if option != "--width")),
    summary="accuracy against multiplications over width, ℓ and bits",
    run=run,
    tables=tables,
    figures=figures,
)
