"""A different ℓ for every layer: a search within a budget, with Optuna.

ℓ of each layer is chosen for the highest validation accuracy after a short training, among networks
of at most so many multiplications, or of another cost. The study is a SQLite file. It can be gone
on with at any time, and several processes may work on it at once.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from model.common import files
from model.common.errors import UserError
from model.common.lazy import torch
from model.data.cifar import Images
from model.dham.shapes import NETWORKS, Shape
from model.measure.multiplications import layer_counts, skeleton, total
from model.searching.space import Costs, Space
from model.searching.study import Study
from model.training.loop import train_epochs
from model.training.trainer import Recipe, Trainer

__all__ = ["multiplications_of", "plot", "results", "search"]

POLL = 2.0  # seconds between two looks at what other workers do


def multiplications_of(shape: Shape) -> int:
    """True multiplications of one frame, one for each tap inside, group and output channel."""
    return total(layer_counts(skeleton(shape)))["dham"]


def search(
    name: str,
    *,
    budget: float,
    trials: int,
    study: Path,
    training: Images,
    validation: Images,
    recipe: Recipe,
    width: int | None = None,
    sizes: Sequence[int] = (1, 2, 4, 8),
    seed: int = 0,
    device: torch.device | str = "cpu",
    classes: int = 10,
    cost: Callable[[Shape], float] = multiplications_of,
    unit: str = "multiplications",
    score: Callable[[Shape], float] | None = None,
    report: Callable[[dict], object] | None = None,
    advance: Callable[[float], object] = lambda loss: None,
) -> list[dict]:
    """Search ℓ of every layer of the network `name`; returns when `trials` trials are through.

    Several processes may run it on one `study`, with the same arguments; each returns all rows.
    The first trial is the smallest ℓ that, the same in all layers, is within the budget; the next
    ones are random, then Optuna's tree-structured Parzen estimator (TPE) proposes.

    Parameters
    ----------
    budget : float
        The highest `cost` allowed.
    trials : int
        Trained networks in all, with those that the study has already.
    study : Path
        SQLite file, made if absent; FILE.lock beside it says who works on what.
    sizes : sequence of int
        What ℓ may be, in each layer as far as it divides the feature maps.
    seed : int
        Of Optuna's proposals and of every training.
    cost, unit : callable, str
        What the budget counts, as a function of the shape (`model.searching.cycles.BoardCycles`,
        for example; it may raise `model.searching.space.DoesNotFit`), and its name. A larger ℓ must
        cost no more.
    score : callable
        Shape to accuracy in percent; by default `recipe` trains it on `training`, and it is
        measured on `validation`.
    report : callable
        Called with the row of each trial that this process has finished.
    advance : callable
        Called with the loss after each step of training.

    Raises ``UserError`` where no network fits, for a budget that none is within, and for a study of
    another configuration.
    """
    space = Space.of(name, width=width, sizes=sizes, classes=classes)
    costs = Costs(cost)
    if trials < 1:
        raise UserError(f"Trials must be a positive integer, not {trials}")
    space = space.possible(costs)
    least = costs(space.shape(space.cheapest))
    if not budget >= least:
        raise UserError(
            f"Budget {budget:,.0f} is below the least, {least:,.0f} {unit}, "
            f"of ℓ = {' '.join(map(str, space.cheapest))}"
        )
    if score is None:

        def score(shape):
            return _train(shape, recipe, seed, training, validation, device, advance)

    configuration = {
        "network": name,
        "width": width or NETWORKS[name].width,
        "classes": classes,
        "sizes": sorted(sizes),
        "unit": unit,
        "budget": float(budget),
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "seed": seed,
        "images": [len(training), len(validation)],
    }
    with Study(study, space, configuration) as work:
        while (task := work.claim(trials, costs)) is not None:
            if task == "wait":
                time.sleep(POLL)
                continue
            work.run(task, score)
            if report is not None:
                report(work.rows(trials)[task.slot])
        return work.rows(trials)


def results(study: Path) -> list[dict]:
    """Rows of a study's trials so far, as `search` returns them; nothing is run."""
    if not Path(study).is_file():
        raise UserError(f"No study {study}")
    with Study(Path(study)) as work:
        slots = [trial.user_attrs.get("slot", -1) for trial in work.study.get_trials()]
        return work.rows(max(slots, default=-1) + 1)


def _train(shape, recipe, seed, training, validation, device, advance):
    trainer = Trainer(
        shape=shape,
        recipe=recipe,
        seed=seed,
        training=training,
        validation=validation,
        device=torch.device(device),
    )
    return train_epochs(trainer, advance=advance).validation


def plot(rows: Sequence[dict], path: Path, *, budget: float, unit: str, title: str) -> None:
    """Accuracy against cost of all complete trials, as PNG; uniform ℓ marked."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    done = [row for row in rows if row["state"] == "complete"]
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for uniform, label, marker in ((False, "ℓ per layer", "o"), (True, "uniform ℓ", "s")):
        some = [row for row in done if row["uniform"] == uniform]
        if some:
            axes.scatter(
                [row["cost"] for row in some],
                [row["accuracy"] for row in some],
                label=label,
                marker=marker,
            )
    least = min((row["cost"] for row in done), default=budget)
    for row in done:
        right = row["cost"] < (least + budget) / 2  # the text stays within the plot
        axes.annotate(
            " ".join(map(str, row["group_sizes"])),
            (row["cost"], row["accuracy"]),
            textcoords="offset points",
            xytext=(5 if right else -5, 4),
            ha="left" if right else "right",
            fontsize=6,
        )
    axes.axvline(budget, color="grey", linestyle=":", label="budget")
    axes.set(xlabel=f"{unit} of one frame", ylabel="validation top-1, %", title=title)
    axes.legend()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    pyplot.close(figure)
    files.write(path, data.getvalue())
