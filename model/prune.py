"""`python -m model.prune FILE --data DIR`: accuracy against the share of feature maps pruned.

There is a curve for each criterion of ``model.measure.pruning``. With `--share` and `--output` the
program writes the pruned network file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from model import zoo
from model.common import files
from model.common.errors import Parser, UserError, run_cli
from model.common.optional import need
from model.common.terminal import Table, console, progress_bar, say
from model.data.cifar import DATA_SETS, Images, check_input, data_set_of, read_test, read_training
from model.integers.golden import attach_golden
from model.measure.pruning import (
    CRITERIA,
    SCOPES,
    Masks,
    choose,
    curve_of,
    prune,
    right_decisions,
    scores,
)
from model.network import Network, save
from model.zoo.opening import open_network

__all__ = ["main"]

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)


def write_pruned(
    network: Network, masks: Masks, path: Path, test: Images, facts: dict, advance=None
) -> Network:
    """Measure the pruned network on `test`, give it golden vectors and metadata, and save it."""
    pruned = prune(network, masks)
    right = right_decisions(pruned, masks, test, advance)
    metadata = {
        **{key: network.metadata[key] for key in ("data_set",) if key in network.metadata},
        "pruned": {"of": network.sha256, **facts},
        "top1": round(100 * right / len(test), 4),
        "test_images": len(test),
    }
    pruned = replace(pruned, name=f"{network.name}-pruned", metadata=metadata)
    return save(attach_golden(pruned), path)


def _shares(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--shares: {text!r} is not a list of numbers such as 0,0.1,0.2") from None
    for share in found:
        if not 0 <= share < 1:
            raise UserError(f"--shares: a share must be from 0 to below 1, not {share:g}")
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m model.prune",
        description="Accuracy of a network file against the share of feature maps pruned.",
    )
    add = parser.add_argument
    add("file", help="network file (.dham), or a name of the zoo")
    add("--data", required=True, help="folder of the binary version of the network's data set")
    add("--shares", default=",".join(f"{share:g}" for share in SHARES), help="of the table")
    add("--criteria", nargs="+", default=list(CRITERIA), metavar="NAME", help=", ".join(CRITERIA))
    add("--scope", choices=SCOPES, default="layer", help="share of every layer, or of all maps")
    add("--seed", type=int, default=0, help="of the criterion random")
    add("--images", type=int, default=1000, help="to rank on, and as many to measure on (1000)")
    add("--share", type=float, help="write the network pruned by this share, to --output")
    add("--criterion", choices=CRITERIA, default="wins", help="that --share prunes by (wins)")
    add("--output", metavar="FILE", help="pruned network file (.dham)")
    add("--limit", type=int, help="state the accuracy of FILE on the first N test images only")
    add("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    for name in options.criteria:
        if name not in CRITERIA:
            raise UserError(f"Criterion {name!r}: known: {', '.join(CRITERIA)}")
    for name in ("images", "limit"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be a positive integer, not {value}")
    if options.seed < 0:
        raise UserError(f"--seed must not be negative, not {options.seed}")
    if options.share is not None and not 0 <= options.share < 1:
        raise UserError(f"--share must be from 0 to below 1, not {options.share:g}")
    if (options.share is None) != (options.output is None):
        raise UserError("--share and --output belong together: what to prune, where to write it")
    if options.limit is not None and options.output is None:
        raise UserError("--limit belongs to --output: the table is of --images validation images")
    options.shares = _shares(options.shares)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    options = parse(arguments)
    need("torch")
    network = open_network(options.file)
    check_input(network, options.file)
    output = None
    if options.output is not None:
        output = files.check_output(options.output, "--output", keep=zoo.find(options.file))
    data_set = data_set_of(network.classes)
    training, validation = read_training(options.data, data_set)
    ranking, measured = training.first(options.images), validation.first(options.images)
    test = None
    if output is not None:
        test = read_test(options.data, data_set).first(options.limit)
    facts: dict[str, Any] = {
        "file": str(options.file),
        "sha256": network.sha256,
        "data": DATA_SETS[data_set].title,
        "ranking_images": len(ranking),
        "rows": [],
        "output": None,
    }
    try:
        with progress_bar() as bar:
            criteria = list(dict.fromkeys(options.criteria))
            steps = len(criteria) * len(options.shares) * len(measured) + len(test or ())
            task = bar.add_task("pruning", total=steps)

            def advance(count):
                bar.advance(task, count)

            keywords = {"scope": options.scope, "seed": options.seed}
            ranked = {
                criterion: scores(network, criterion, ranking, options.seed)
                for criterion in dict.fromkeys(
                    (*criteria, *[options.criterion] * (test is not None))
                )
            }
            facts["rows"] = [
                row
                for name in criteria
                for row in curve_of(
                    network,
                    ranked[name],
                    measured,
                    options.shares,
                    name,
                    advance=advance,
                    **keywords,
                )
            ]
            if output is not None and test is not None:
                masks = choose(ranked[options.criterion], options.share, options.scope)
                pruned = {"criterion": options.criterion, "share": options.share, **keywords}
                pruned["removed"] = [int(mask.sum()) for mask in masks]
                written = write_pruned(network, masks, output, test, pruned, advance)
                facts["output"] = {
                    "file": str(output),
                    "sha256": written.sha256,
                    **written.metadata,
                }
    finally:  # a network that cannot be written must not take the table with it
        if facts["rows"]:
            print(json.dumps(facts, indent=2)) if options.json else _print(facts)
    return 0


def _print(facts):
    rows = facts["rows"]
    criteria = list(dict.fromkeys(row["criterion"] for row in rows))
    found = {(row["criterion"], row["share"]): row for row in rows}
    table = Table("share", "maps left", *(f"by {name}" for name in criteria), left=0)
    for share in dict.fromkeys(row["share"] for row in rows):
        line = [found[name, share] for name in criteria]
        table.add(
            f"{share:g}",
            f"{line[0]['maps'] - line[0]['removed']}",
            *(f"{row['accuracy']:.2f} %  {row['multiplications'] / 1e6:.3f} M" for row in line),
        )
    table.show(to := console())
    say(
        to,
        f"Top-1 as integers on {rows[0]['images']} validation images of {facts['data']}, without "
        f"retraining, and millions of multiplications; wins counted on "
        f"{facts['ranking_images']} training images",
    )
    if facts["output"] is not None:
        made = facts["output"]
        say(
            to,
            f"{made['file']}: {made['top1']:.2f} % top-1 as integers on {made['test_images']} "
            f"test images, {sum(made['pruned']['removed'])} maps pruned by "
            f"{made['pruned']['criterion']}",
        )


if __name__ == "__main__":
    run_cli(main)()
