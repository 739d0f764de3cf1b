"""Tables 1 and 2: accuracy by group size ℓ and by the number of groups c.

Networks in floating point, in evaluation (the winner takes all), on the test images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from model.common.statistics import Interval, paired
from model.dham.shapes import Shape
from model.experiments import paper
from model.experiments.plots import by_setting, curve
from model.experiments.runs import Setting, divides, possible
from model.experiments.session import TRAINING, Experiment, Session, Task
from model.experiments.tables import (
    ORIGIN,
    by_seed,
    compared_with,
    markdown,
    missing,
    origin,
    over_seeds,
    paper_title,
    percent,
)
from model.measure.multiplications import layer_counts, papers_count, skeleton, total

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TABLE1", "TABLE2", "accuracy_task", "test_accuracy", "true_multiplications"]

MUST = 0.3  # points that ℓ = 2 may be below ℓ = 1


def true_multiplications(shape: Shape) -> int:
    """Of one frame, as the hardware does them (docs/arithmetic.md, "Counting")."""
    return total(layer_counts(skeleton(shape)))["dham"]


def test_accuracy(record: dict) -> float:
    """Percent of the test images."""
    return record["test"]["accuracy"]


def validation_accuracy(record: dict) -> float:
    """Percent of the images held out from training."""
    return record["validation"]


def accuracy_task(
    session: Session, setting: Setting, shape: Shape, seed: int, facts: dict, **more
) -> Task:
    """Train `shape` by the setting's recipe and measure it on the test images.

    `more` replaces fields of the training.
    """
    recipe = more.pop("recipe", None) or setting.of_recipe()
    training = session.scale.training(setting, shape, recipe, seed, **more)
    return Task(
        key=training.name,
        training=training,
        facts={"setting": setting.label, **facts},
        measure=lambda finished: {
            "test": session.store.tested(finished, session.scale.test),
            "multiplications": true_multiplications(finished.training.shape),
        },
    )


def sweep(word: str) -> Callable[[Session], None]:
    """A run over ℓ or c, seed by seed so that a comparison is complete as early as can be."""

    def run(session: Session) -> None:
        numbers = session.group_sizes if word == "group_size" else session.groups
        session.perform(
            [
                accuracy_task(session, setting, setting.shape(**{word: n}), seed, {word: n})
                for setting in session.scale.settings
                for seed in session.seeds
                for n in possible(setting, word, numbers)
            ]
        )

    return run


def baseline_of(
    records: Sequence[dict], base: Sequence[dict], value: Callable[[dict], float]
) -> Interval | None:
    """Difference of a value to ℓ = 1 over the seeds that both have, trained by the same recipe."""
    pairs = {r["seed"]: r for r in base}
    same = [r for r in records if r["seed"] in pairs and r["recipe"] == pairs[r["seed"]]["recipe"]]
    return paired(by_seed(same, value), by_seed(base, value))


def must_text(found: Interval | None, what: str) -> str:
    """Whether ℓ = 2 is within `MUST` points of ℓ = 1, as far as the interval settles it."""
    if found is None:
        return f"{what}: ℓ = 2 against ℓ = 1 was not run with a common seed.\n"
    if found.half is None:
        return f"{what}: one seed only, no interval: not decided: {found.mean:+.2f} points.\n"
    if found.low >= -MUST:
        verdict = "met"
        why = f"is within the aim: ℓ = 2 is at most {MUST} points below ℓ = 1, or above it"
    elif found.high < -MUST:
        verdict = "missed"
        why = f"is below the aim: ℓ = 2 is more than {MUST} points below ℓ = 1"
    else:
        side = "within" if found.mean >= -MUST else "below"
        verdict = "undecided"
        why = f"reaches across the aim of -{MUST} points; the mean is {side} it"
    return (
        f"{what}: **{verdict}**: the 95 % interval, {found.low:+.2f} to {found.high:+.2f} points "
        f"({found.n} paired seeds, mean {found.mean:+.2f}), {why}.\n"
    )


def table1(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records, others = session.of(setting), compared_with(setting)
        sizes = sorted({*paper.TABLE1["resnet18"], *(r["group_size"] for r in records)})
        base = [r for r in records if r["group_size"] == 1]
        dense = true_multiplications(setting.shape(group_size=1))
        rows = []
        for size in sizes:
            mine = [r for r in records if r["group_size"] == size]
            row = [str(size)]
            for name in others:
                known = size in paper.TABLE1[name]
                row += (
                    [f"{paper.TABLE1[name][size]:.2f}", f"{papers_count(name, size):,}"]
                    if known
                    else ["", ""]
                )
            reason = divides(setting, group_size=size)
            row.append(
                percent(over_seeds(mine, test_accuracy))
                if mine
                else missing(setting, "group_size", size)
            )
            for value in (test_accuracy, validation_accuracy):
                found = baseline_of(mine, base, value)
                row.append("" if not mine or size == 1 else difference(found))
            if reason is None:
                count = true_multiplications(setting.shape(group_size=size))
                row += [f"{count:,}", f"{count / dense:.3f}"]
            else:
                row += ["", ""]
            rows.append(row + origin(mine))
        header = ["ℓ"]
        for name in others:
            header += [f"{paper_title(name)}, %", "paper's count of multiplications"]
        header += [
            "ours, test, %",
            "ours − ℓ = 1, points, paired",
            "ours − ℓ = 1, validation",
            "true multiplications",
            "of ℓ = 1",
        ]
        text.append(f"## {setting.title}\n\n{markdown([*header, *ORIGIN], rows)}")
        two = [r for r in records if r["group_size"] == 2]
        text.append(
            must_text(
                baseline_of(two, base, test_accuracy),
                "Must (ℓ = 2 at most 0.3 points below ℓ = 1, same recipe)",
            )
        )
    text.append(
        "The paper's count is its own, recomputed by `model.multiplications`. The true count is of "
        "one frame: taps inside the image × groups × output channels, projections and classifier "
        "included.\n"
    )
    return "\n".join(text)


def difference(found: Interval | None) -> str:
    return "no ℓ = 1 of the same recipe and seed" if found is None else percent(found, sign=True)


def table2(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records, others = session.of(setting), compared_with(setting)
        numbers = sorted({*paper.TABLE2["resnet18"], *(r["groups"] for r in records)})
        rows = []
        for number in numbers:
            mine = [r for r in records if r["groups"] == number]
            row = [str(number)]
            row += [
                f"{paper.TABLE2[n][number]:.2f}" if number in paper.TABLE2[n] else ""
                for n in others
            ]
            row.append(
                percent(over_seeds(mine, test_accuracy))
                if mine
                else missing(setting, "groups", number)
            )
            row.append(
                ""
                if divides(setting, groups=number)
                else f"{true_multiplications(setting.shape(groups=number)):,}"
            )
            rows.append(row + origin(mine))
        header = ["c"] + [f"{paper_title(n)}, %" for n in others]
        header += ["ours, test, %", "true multiplications"]
        text.append(f"## {setting.title}\n\n{markdown([*header, *ORIGIN], rows)}")
    text.append(
        "c is the number of groups in every layer; a layer of C maps has groups of ℓ = C / c.\n"
    )
    return "\n".join(text)


def sweep_figure(word: str, sign: str, known: dict) -> Callable[[Session], dict[str, Figure]]:
    """Accuracy by ℓ or c beside the paper's."""

    def draw(session: Session) -> dict[str, Figure]:
        def fill(setting, axes):
            records = session.of(setting)
            points = [
                (number, found)
                for number in sorted({r[word] for r in records})
                if (found := over_seeds([r for r in records if r[word] == number], test_accuracy))
            ]
            curve(axes, points, "ours")
            for name in compared_with(setting):
                shown = known[name]
                axes.plot(list(shown), list(shown.values()), "--x", label=paper_title(name))
            axes.set_xscale("log", base=2)
            axes.set(xlabel=sign, ylabel="test accuracy, %")

        return {"accuracy": by_setting(session.scale.settings, fill)}

    return draw


TABLE1 = Experiment(
    name="table1",
    takes=("--group-sizes", *TRAINING),
    summary="accuracy and multiplications by group size ℓ",
    run=sweep("group_size"),
    tables=table1,
    figures=sweep_figure("group_size", "group size ℓ", paper.TABLE1),
)
TABLE2 = Experiment(
    name="table2",
    takes=("--groups", *TRAINING),
    summary="accuracy by number of groups c",
    run=sweep("groups"),
    tables=table2,
    figures=sweep_figure("groups", "number of groups c", paper.TABLE2),
)
