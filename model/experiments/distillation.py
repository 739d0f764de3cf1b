"""`distillation`: a DHAM network that learns from the ℓ = 1 network of the same seed as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.common.statistics import paired
from model.experiments.accuracy import accuracy_task, test_accuracy
from model.experiments.plots import by_setting, curve
from model.experiments.runs import possible
from model.experiments.session import TRAINING, Experiment, Session
from model.experiments.tables import ORIGIN, by_seed, markdown, origin, over_seeds, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DISTILLATION"]


def run(session: Session) -> None:
    """Trainings with and without the teacher; those without, and the teachers, are table 1's."""
    tasks = []
    for setting in session.scale.settings:
        for seed in session.seeds:
            dense = setting.shape(group_size=1)
            teacher = session.scale.training(setting, dense, setting.of_recipe(), seed)
            for size in possible(setting, "group_size", session.group_sizes):
                shape = setting.shape(group_size=size)
                facts = {"group_size": size, "taught": False}
                tasks.append(accuracy_task(session, setting, shape, seed, facts))
                taught = facts | {"taught": True}
                tasks.append(accuracy_task(session, setting, shape, seed, taught, teacher=teacher))
    session.perform(tasks)


def split(records: list[dict], size: int) -> tuple[list[dict], list[dict]]:
    """Those without and with a teacher."""
    mine = [r for r in records if r["group_size"] == size]
    return [r for r in mine if not r["taught"]], [r for r in mine if r["taught"]]


def tables(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records, rows = session.of(setting), []
        sizes = {*possible(setting, "group_size", session.group_sizes)}
        for size in sorted({*sizes, *(r["group_size"] for r in records)}):
            alone, taught = split(records, size)
            gain = paired(by_seed(taught, test_accuracy), by_seed(alone, test_accuracy))
            rows.append(
                [
                    str(size),
                    percent(over_seeds(alone, test_accuracy)),
                    percent(over_seeds(taught, test_accuracy)),
                    percent(gain, sign=True) if gain else "",
                    *origin(taught),
                    *origin(alone)[-1:],
                ]
            )
        recipe = setting.of_recipe()
        header = ["ℓ", "labels alone, test, %", "with teacher, test, %", "gain, points, paired"]
        text.append(
            f"## {setting.title}\n\n{markdown([*header, *ORIGIN, 'logs, labels alone'], rows)}\n"
            f"Teacher: the ℓ = 1 network of the same recipe and seed; its part in the loss is "
            f"{recipe.distil:g}, at temperature {recipe.distil_temperature:g}.\n"
        )
    text.append("The paper did not distil: no number of its stands beside ours.\n")
    return "\n".join(text)


def figures(session: Session) -> dict[str, Figure]:
    def draw(setting, axes):
        records = session.of(setting)
        for index, label in enumerate(("labels alone", "with teacher")):
            points = [
                (size, found)
                for size in sorted({r["group_size"] for r in records})
                if (found := over_seeds(split(records, size)[index], test_accuracy))
            ]
            curve(axes, points, label)
        axes.set_xscale("log", base=2)
        axes.set(xlabel="group size ℓ", ylabel="test accuracy, %")

    return {"distillation": by_setting(session.scale.settings, draw)}


DISTILLATION = Experiment(
    name="distillation",
    takes=("--group-sizes", *TRAINING),
    summary="training with the ℓ = 1 network as a teacher",
    run=run,
    tables=tables,
    figures=figures,
)
