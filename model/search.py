"""A different ℓ for every layer: a search within a budget, with Optuna.

`python -m model.search --network resnet8 --budget 3.0e6 --trials 20 --data DIR --study FILE`
chooses ℓ of each layer for the highest validation accuracy after a short training, among networks
of at most so many multiplications; with `--board NAME`, of at most so many cycles. The study is a
SQLite file. It can be gone on with at any time, and several processes may work on it at once.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from model.common import files
from model.common.distributed import device_of
from model.common.errors import Parser, UserError, how_stopped, nearest, run_cli
from model.common.lazy import torch
from model.common.optional import need
from model.common.terminal import Table, console, progress_bar
from model.data.cifar import DATA_SETS, Images, read_training
from model.dham.shapes import NETWORKS, Shape
from model.multiplications import layer_counts, skeleton, total
from model.searching.cycles import BoardCycles
from model.searching.space import Costs, Space
from model.searching.study import Study
from model.training.trainer import RECIPES, Recipe, Trainer, reuse_memory

__all__ = ["main", "multiplications_of", "plot", "results", "search"]

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
    for _ in range(recipe.epochs):
        epoch = trainer.train_epoch(advance)
    return epoch.validation


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


# --- the program ----------------------------------------------------------------------------------


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m model.search", description="Search ℓ of every layer within a budget."
    )
    add = parser.add_argument
    add("--network", default="resnet8", help=f"one of: {', '.join(NETWORKS)}")
    add("--width", type=int, help="channels of the stem; the stages follow")
    add("--board", metavar="NAME", help="count the cycles of one frame on this board")
    add(
        "--budget",
        type=float,
        required=True,
        help="of one frame, at most: multiplications, or cycles",
    )
    add("--sizes", default="1,2,4,8", metavar="L,L...", help="what ℓ may be (1,2,4,8)")
    add("--trials", type=int, default=20, help="trained networks in all (20)")
    add("--recipe", default="float", help=f"one of: {', '.join(RECIPES)} (float)")
    add("--epochs", type=int, default=3, help="of each trial (3)")
    add("--images", type=int, help="train on the first N training images only")
    add("--seed", type=int, default=0)
    add("--data-set", choices=tuple(DATA_SETS), default="cifar10")
    add("--data", type=Path, required=True, help="folder of its binary version")
    add("--study", required=True, metavar="FILE", help="SQLite file, made or gone on")
    add("--plot", metavar="FILE", help="PNG (default: beside the study)")
    add("--lanes", type=int, help="show cycles at least needed by so many multipliers as well")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    try:
        options.sizes = tuple(int(part) for part in options.sizes.split(","))
    except ValueError:
        raise UserError(
            f"--sizes: {options.sizes!r} is not a list of integers such as 1,2,4"
        ) from None
    for name in ("trials", "epochs", "images", "lanes", "width"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be a positive integer, not {value}")
    if not (options.budget > 0 and math.isfinite(options.budget)):
        raise UserError(f"--budget must be a positive number, not {options.budget:g}")
    if not 0 <= options.seed < 2**31:
        raise UserError(f"--seed must be 0 to {2**31 - 1}, not {options.seed}")
    if options.board is not None and options.lanes is not None:
        raise UserError("--lanes is for a budget of multiplications: --board counts all cycles")
    if options.recipe not in RECIPES:
        known = nearest(options.recipe, tuple(RECIPES))
        raise UserError(f"Unknown recipe {options.recipe}: {known}")
    options.study = files.check_output(options.study, "--study")
    beside = options.study.with_suffix(".png")
    options.plot = files.check_output(beside if options.plot is None else options.plot, "--plot")
    if options.plot == options.study:
        raise UserError(f"--plot {options.plot} is the study itself: give another name")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; status 1 where a trial was given up."""
    options = parse(arguments)
    need("torch", "optuna", "matplotlib")
    recipe = replace(RECIPES[options.recipe], epochs=options.epochs)
    device = device_of(options.device)
    board = None if options.board is None else BoardCycles(options.board)
    unit = "cycles" if board else "multiplications"
    training, validation = read_training(options.data, options.data_set)
    training = training.first(options.images)
    reuse_memory()
    try:
        with progress_bar() as bar:
            steps = len(training) // recipe.batch * recipe.epochs
            task = bar.add_task("training", total=steps)

            def report(row):
                bar.say(_line(row))
                bar.reset(task)

            rows = search(
                options.network,
                budget=options.budget,
                trials=options.trials,
                study=options.study,
                training=training,
                validation=validation,
                recipe=recipe,
                width=options.width,
                sizes=options.sizes,
                seed=options.seed,
                device=device,
                classes=len(DATA_SETS[options.data_set].classes),
                cost=board or multiplications_of,
                unit=board.unit if board else unit,
                report=report,
                advance=lambda loss: bar.advance(task),
            )
    except KeyboardInterrupt as error:
        word, status = how_stopped(error)
        raise UserError(
            f"{word.capitalize()}: finished trials are kept in {options.study}, the same "
            "command goes on",
            status,
        ) from None
    where = f" on {options.board}" if board else ""
    name = f"{options.network}{where}, {recipe.epochs} epochs, seed {options.seed}"
    plot(rows, options.plot, budget=options.budget, unit=unit, title=name)
    if options.json:
        facts = {"network": options.network, "budget": options.budget, "epochs": recipe.epochs}
        facts |= {"unit": unit, "board": options.board}
        facts |= {"clock_mhz": board.clock_hz / 1e6} if board else {}
        print(json.dumps({**facts, "plot": str(options.plot), "trials": rows}, indent=2))
    else:
        _print(rows, _columns(options.lanes, board))
        print(f"plot: {options.plot}")
    return 0 if all(row["state"] == "complete" for row in rows) else 1


def _line(row):
    sizes = " ".join(map(str, row["group_sizes"] or ()))
    if row["state"] == "complete":
        return f"trial {row['slot']}: ℓ = {sizes}: {row['accuracy']:.2f} %"
    return f"trial {row['slot']}: ℓ = {sizes}: {row['error'] or row['state']}"


def _columns(lanes: int | None, board: BoardCycles | None) -> dict[str, Callable[[float], str]]:
    """Columns of the table that follow from a network's cost: heading to text."""
    if board is not None:
        rate = f"inferences/s at {board.clock_hz / 1e6:g} MHz"
        return {"cycles": "{:,}".format, rate: lambda cost: f"{board.clock_hz / cost:.1f}"}
    columns: dict[str, Callable[[float], str]] = {"multiplications": "{:,}".format}
    if lanes is not None:
        columns[f"cycles of {lanes} lanes, ≥"] = lambda cost: f"{-(-cost // lanes):,}"
    return columns


def _print(rows, columns):
    table = Table("ℓ, layer by layer", *columns, "validation, %", "seconds", "trial")
    for row in sorted(rows, key=lambda row: -(row["accuracy"] or -1)):
        sizes = " ".join(map(str, row["group_sizes"] or ("none",)))
        price = row["cost"]
        cells = ["" if price is None else text(price) for text in columns.values()]
        cells.append(row["error"] or row["state"])
        if row["state"] == "complete":
            cells[-1] = f"{row['accuracy']:.2f}"
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f}"
        table.add(sizes + ", uniform" * row["uniform"], *cells, seconds, row["slot"])
    table.show(console())


if __name__ == "__main__":
    run_cli(main)()
