"""A different ℓ for every layer: a search within a budget, with Optuna.

`python -m model.search --network resnet8 --budget 3.0e6 --trials 20 --data DIR --study FILE`
chooses ℓ of each layer for the highest validation accuracy after a short training, among networks
of at most so many multiplications; with `--board NAME`, of at most so many cycles. The study is a
SQLite file. It can be gone on with at any time, and several processes may work on it at once.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from model.common import files
from model.common.distributed import device_of
from model.common.errors import Parser, UserError, how_stopped, nearest, run_cli
from model.common.optional import need
from model.common.terminal import Table, console, progress_bar
from model.data.cifar import DATA_SETS, read_training
from model.dham.shapes import NETWORKS
from model.searching.cycles import BoardCycles
from model.searching.search import multiplications_of, plot, search
from model.training.trainer import RECIPES, reuse_memory

__all__ = ["main"]


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
        rate = f"inferences/s at {board.clock_hz / 1e6:g} MHz, ≥"
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
