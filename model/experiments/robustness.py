"""Table 5: accuracy under Gaussian, shot and impulse noise, on the trainings of table 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from model.experiments import paper
from model.experiments.plots import curve, new_figure
from model.experiments.session import TRAINING, Experiment, Session, by_size
from model.experiments.store import Finished
from model.experiments.tables import NOT_RUN, ORIGIN, markdown, missing, origin, over_seeds, percent
from model.measure.noise import NOISES, noise_table, summary
from model.training.checkpoint import classify

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TABLE5"]

COLUMNS = ("clean", *NOISES)


def measure(session: Session) -> Callable[[Finished], dict]:
    scale, store = session.scale, session.store

    def run(finished: Finished) -> dict:
        images = store.test(finished.training.data_set, scale.test)
        total = len(images) * (1 + len(NOISES) * len(scale.severities))
        with session.measuring("noise", total) as advance:
            rows = noise_table(
                classify(finished.network, store.device),
                images,
                severities=scale.severities,
                advance=advance,
            )
        return {"noise": summary(rows), "rows": rows}

    return run


def run(session: Session) -> None:
    session.perform(by_size(session, session.scale.settings, measure(session)))


def value(noise: str) -> Callable[[dict], float]:
    return lambda record: record["noise"][noise]


def tables(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records, rows = session.of(setting), []
        for size in sorted({*paper.TABLE5, *(r["group_size"] for r in records)}):
            mine = [r for r in records if r["group_size"] == size]
            known = paper.TABLE5.get(size)
            row = [str(size)]
            for noise in COLUMNS:
                row.append("" if known is None else f"{known[noise]:.2f}")
                if mine:
                    row.append(percent(over_seeds(mine, value(noise))))
                elif noise == "clean":
                    row.append(missing(setting, "group_size", size))
                else:
                    row.append(NOT_RUN)
            rows.append(row + origin(mine))
        header = ["ℓ"]
        for noise in COLUMNS:
            header += [f"{noise}, paper, %", f"{noise}, ours, %"]
        text.append(f"## {setting.title}\n\n{markdown([*header, *ORIGIN], rows)}")
    severities = ", ".join(map(str, session.scale.severities))
    text.append(
        f"The paper's are of ResNet-18, CIFAR-10. Means over the severities {severities} "
        "(constants of CIFAR-10-C, arXiv 1903.12261), noise drawn anew by seed 0, the same for all "
        "networks; networks were trained on clean images.\n"
    )
    return "\n".join(text)


def figures(session: Session) -> dict[str, Figure]:
    settings = session.scale.settings
    figure, axes = new_figure("", columns=len(COLUMNS), rows=len(settings), size=(3.6, 3.2))
    for number, setting in enumerate(settings):
        records = session.of(setting)
        for noise, place in zip(COLUMNS, axes[number * len(COLUMNS) :], strict=False):
            points = [
                (size, found)
                for size in sorted({r["group_size"] for r in records})
                if (
                    found := over_seeds(
                        [r for r in records if r["group_size"] == size], value(noise)
                    )
                )
            ]
            curve(place, points, "ours")
            known = {size: row[noise] for size, row in paper.TABLE5.items()}
            place.plot(list(known), list(known.values()), "--x", label="paper: ResNet-18, CIFAR-10")
            place.set_xscale("log", base=2)
            place.set(xlabel="group size ℓ", ylabel="accuracy, %", title=noise)
            place.legend(fontsize=7)
    return {"noise": figure}


TABLE5 = Experiment(
    name="table5",
    takes=("--group-sizes", *TRAINING),
    summary="accuracy under Gaussian, shot and impulse noise",
    run=run,
    tables=tables,
    figures=figures,
)
